// SPDX-License-Identifier: Apache-2.0
// Labelled examples from a file.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/text/name_list.hpp>
#include <pocketllm/text/quote.hpp>
#include <pocketllm/text/table.hpp>

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pocketllm::text {

/// One text, or several that belong together, and what class they are of.
struct Example {
  std::vector<std::string> fields; ///< one for each text column
  std::string label;               ///< as the file writes it
  std::size_t class_index = 0;     ///< of the label among the data set's classes
};

/// Which columns of a file are meant, and the classes.
struct DatasetOptions {
  std::vector<std::string> text_columns; ///< names, or "#0" and so on where there are none
  std::string label_column;              ///< in the same way
  /// The labels that may occur, in the order of the class indices. Empty: as found, in order of appearance.
  std::vector<std::string> classes = {};
  TableOptions table = {}; ///< how the file is read
};

/// Labelled texts.
struct Dataset {
  std::string name;                     ///< the file, for messages
  std::vector<std::string> field_names; ///< the text columns
  std::vector<std::string> classes;     ///< labels by class index
  std::vector<Example> examples;        ///< in the order of the file

  /// Number of examples.
  [[nodiscard]] std::size_t size() const noexcept { return examples.size(); }

  /// The class index of each example.
  [[nodiscard]] std::vector<std::size_t> class_indices() const {
    std::vector<std::size_t> indices;
    indices.reserve(size());
    for (Example const& example : examples) {
      indices.push_back(example.class_index);
    }
    return indices;
  }

  /// How many examples each class has.
  [[nodiscard]] std::vector<std::size_t> class_sizes() const {
    std::vector<std::size_t> sizes(classes.size());
    for (Example const& example : examples) {
      ++sizes[example.class_index];
    }
    return sizes;
  }
};

namespace detail {

/// The index of `label` among the classes; adds it where classes are being collected.
[[nodiscard]] inline std::size_t class_of(std::string const& label, std::vector<std::string>& classes,
                                          bool collect, std::string_view name, std::size_t line) {
  auto const found = std::find(classes.begin(), classes.end(), label);
  if (found != classes.end()) {
    return static_cast<std::size_t>(found - classes.begin());
  }
  if (!collect) {
    fail(name, ":", line, ": label ", quote(label), " is not one of: ", name_list(classes));
  }
  require(!label.empty(), name, ":", line, ": the label is empty");
  // each label is compared with all classes, and a column of so many values holds no classes
  require(classes.size() < 1000, name, ":", line,
          ": more than 1000 different labels; is the label column the right one?");
  classes.push_back(label);
  return classes.size() - 1;
}

inline void check(DatasetOptions const& options) {
  require(!options.text_columns.empty(), "no text column is named; name at least one");
  require(!options.label_column.empty(), "no label column is named; name one");
  for (auto it = options.classes.begin(); it != options.classes.end(); ++it) {
    require(std::find(options.classes.begin(), it, *it) == it, "class ", quote(*it),
            " is named twice; name each class once");
  }
}

} // namespace detail

/// Reads labelled examples. Throws Error for what read_table refuses, and for a label that is not among
/// `options.classes` where they are given. Labels are compared byte by byte.
[[nodiscard]] inline Dataset read_dataset(std::filesystem::path const& path, DatasetOptions options) {
  detail::check(options);
  std::vector<std::string> columns = options.text_columns;
  columns.push_back(options.label_column);
  Table table = read_table(path, std::move(columns), options.table);

  Dataset data{std::move(table.name), std::move(options.text_columns), std::move(options.classes), {}};
  bool const collect = data.classes.empty();
  data.examples.reserve(table.records.size());
  for (Record& record : table.records) {
    std::string label = std::move(record.cells.back());
    record.cells.pop_back();
    std::size_t const index = detail::class_of(label, data.classes, collect, data.name, record.line);
    data.examples.push_back({std::move(record.cells), std::move(label), index});
  }
  return data;
}

} // namespace pocketllm::text
