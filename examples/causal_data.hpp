// SPDX-License-Identifier: Apache-2.0
// The texts that finetune_causal trains and tests on.
#pragma once

#include "causal_options.hpp"
#include <pocketllm/core/error.hpp>
#include <pocketllm/text/dataset.hpp>
#include <pocketllm/text/prompt_template.hpp>
#include <pocketllm/text/shuffle.hpp>
#include <pocketllm/text/split.hpp>
#include <pocketllm/text/table.hpp>

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace examples {

namespace pl = pocketllm;

/// Labels and what stands for them, from "label=word".
struct Labels {
  std::vector<std::string> names, words;
};

inline Labels parse_labels(std::vector<std::string> const& pairs) {
  Labels labels;
  for (std::string const& pair : pairs) {
    std::size_t const sign = pair.find('=');
    pl::require(sign != std::string::npos && sign != 0 && sign + 1 != pair.size(), "--label-words: \"", pair,
                "\" is not label=word; write e.g. spam=commercial,ham=personal");
    labels.names.push_back(pair.substr(0, sign));
    labels.words.push_back(pair.substr(sign + 1));
  }
  return labels;
}

/// Whether a file is one text and no table.
inline bool is_plain_text(std::filesystem::path const& file) {
  return file.extension() == ".txt" || file.extension() == ".md";
}

/// The rows of a table that --where asks for, each once.
inline pl::text::Dataset read_rows(CausalOptions const& o, std::filesystem::path const& file,
                                   Labels const& labels) {
  std::vector<std::string> columns = o.text_columns;
  std::size_t const fields = columns.size();
  bool const labelled = !labels.names.empty();
  if (labelled) {
    columns.push_back(o.label_column);
  }
  std::string column, value;
  if (!o.where.empty()) {
    std::size_t const sign = o.where.find('=');
    pl::require(sign != std::string::npos && sign != 0, "--where: \"", o.where,
                "\" is not COLUMN=VALUE; write e.g. Label=ham");
    column = o.where.substr(0, sign);
    value = o.where.substr(sign + 1);
    columns.push_back(column);
  }
  pl::text::Table table = pl::text::read_table(file, columns);
  pl::text::Dataset data{table.name, o.text_columns, labels.names, {}};
  for (pl::text::Record& record : table.records) {
    if (!o.where.empty() && record.cells.back() != value) {
      continue;
    }
    pl::text::Example example;
    if (labelled) {
      example.label = record.cells[fields];
      auto const found = std::find(labels.names.begin(), labels.names.end(), example.label);
      pl::require(found != labels.names.end(), table.name, ":", record.line, ": label ",
                  pl::text::quote(example.label), " is not one of: ", pl::text::name_list(labels.names));
      example.class_index = static_cast<std::size_t>(found - labels.names.begin());
    }
    record.cells.resize(fields);
    example.fields = std::move(record.cells);
    data.examples.push_back(std::move(example));
  }
  pl::require(!data.examples.empty(), table.name, ": no row has ", o.where);
  return pl::text::without_duplicates(data);
}

/// The fields of a row for a template; a single column is {text} too.
inline std::vector<pl::text::Field> fields_of(pl::text::Dataset const& data, pl::text::Example const& row) {
  std::vector<pl::text::Field> fields;
  for (std::size_t i = 0; i < row.fields.size(); ++i) {
    fields.push_back({data.field_names[i], row.fields[i]});
  }
  if (row.fields.size() == 1) {
    fields.push_back({"text", row.fields.front()});
  }
  return fields;
}

/// Which of `count` examples are tested on and which trained on, the test's first; both of `all` when there
/// is a file of its own to test on.
struct Parts {
  std::vector<std::size_t> train, test;
};

/// In a random order by --seed, or, where neighbours overlap, the last ones to test on.
inline Parts split(CausalOptions const& o, std::size_t count, bool in_order) {
  pl::text::SplitMix64 random(o.seed);
  std::vector<std::size_t> order = pl::text::shuffled_indices(count, random);
  if (in_order) {
    std::sort(order.begin(), order.end(), std::greater<>());
  }
  std::size_t const held = o.test_data.empty() ? static_cast<std::size_t>(o.test_size) : 0;
  pl::require(held < count, o.data.string(), ": ", count, " texts, and --test-size ", held,
              " leaves none to train on; ask for fewer");
  std::size_t const left = count - held;
  std::size_t const wanted = o.train_size == 0 ? left : static_cast<std::size_t>(o.train_size);
  pl::require(wanted <= left, o.data.string(), ": ", left, " texts left of the ", wanted,
              " wanted for training; ask for fewer");
  auto const middle = order.begin() + static_cast<std::ptrdiff_t>(held);
  return {{middle, middle + static_cast<std::ptrdiff_t>(wanted)}, {order.begin(), middle}};
}

/// Labelled rows to train and to test on: as many of each class to test on, and with --k-shot to train on.
struct LabelledData {
  pl::text::Dataset train, test;
};

inline LabelledData read_labelled(CausalOptions const& o, Labels const& labels) {
  pl::text::Dataset all = read_rows(o, o.data, labels);
  LabelledData data;
  if (o.test_data.empty()) {
    std::size_t const per_class = static_cast<std::size_t>(o.test_size) / labels.names.size();
    pl::require(per_class != 0, "--test-size ", o.test_size, " is fewer than one example for each of ",
                labels.names.size(), " classes");
    pl::text::Split parts = pl::text::held_out(all, per_class, o.seed);
    data = {std::move(parts.rest), std::move(parts.held_out)};
  } else {
    data = {std::move(all), read_rows(o, o.test_data, labels)};
  }
  if (o.k_shot != 0) {
    data.train = pl::text::k_shot(data.train, static_cast<std::size_t>(o.k_shot), o.seed);
  }
  return data;
}

} // namespace examples
