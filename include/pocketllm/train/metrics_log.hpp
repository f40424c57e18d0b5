// SPDX-License-Identifier: Apache-2.0
// The figures of a run as a file: a line of CSV or JSON for each step or evaluation.
#pragma once

#include <pocketllm/core/error.hpp>

#include <nlohmann/json.hpp>

#include <array>
#include <cerrno>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace pocketllm::train {

/// One line of the log. What was not measured in this step stays empty.
struct MetricsRow {
  std::uint64_t step = 0;              ///< steps done
  std::optional<double> loss;          ///< of the training batch
  std::optional<double> learning_rate; ///< of the last step
  std::optional<double> seconds;       ///< since the run began
  std::optional<double> eval_loss;     ///< mean over the test examples
  std::optional<double> accuracy;      ///< of the test examples, 0 to 1
  std::optional<double> macro_f1;      ///< of the test examples, 0 to 1
  std::optional<double> exact_match;   ///< of the answers that were written to test questions, 0 to 1
  std::optional<double> answer_f1;     ///< mean over the answers that were written to test questions, 0 to 1
};

/// Appends rows to a file, as CSV with a header (.csv) or as JSON lines (.jsonl), and flushes each, so that a
/// run that is killed leaves all it did.
class MetricsLog {
public:
  /// What becomes of a file that is there already.
  enum class Open {
    replace, ///< an existing file is emptied
    append   ///< rows go behind those of an existing file
  };

  /// What a CSV has columns for. Of what there is no column for, nothing is written.
  enum class Of {
    predictions, ///< losses, accuracy and macro-F1
    answers      ///< those, and exact match and F1 of written answers
  };

  /// A CSV that is continued keeps its columns. Throws Error for another extension and when the file cannot
  /// be written.
  explicit MetricsLog(std::filesystem::path const& path, Open open = Open::replace, Of of = Of::predictions)
      : name_(path.string()), json_(path.extension() == ".jsonl"),
        columns_(columns.begin(), columns.end() - (json_ || of == Of::answers ? 0 : columns_of_answers)) {
    require(json_ || path.extension() == ".csv", name_, ": unknown kind of log; name it .csv or .jsonl");
    std::error_code none;
    bool const fresh = open == Open::replace || !std::filesystem::exists(path, none) ||
                       std::filesystem::file_size(path, none) == 0;
    if (!json_ && !fresh) {
      keep_columns_of(path);
    }
    errno = 0;
    file_.open(path, std::ios::binary | (open == Open::replace ? std::ios::trunc : std::ios::app));
    check();
    if (!json_ && fresh) {
      write(header());
    }
  }

  /// Throws Error, naming the file, when it cannot be written (a full disk).
  void append(MetricsRow const& row) { write(json_ ? json_line(row) : csv_line(row)); }

private:
  struct Column {
    char const* name;
    std::optional<double> MetricsRow::*value;
  };
  static constexpr std::array<Column, 8> columns{{{"loss", &MetricsRow::loss},
                                                  {"learning_rate", &MetricsRow::learning_rate},
                                                  {"seconds", &MetricsRow::seconds},
                                                  {"eval_loss", &MetricsRow::eval_loss},
                                                  {"accuracy", &MetricsRow::accuracy},
                                                  {"macro_f1", &MetricsRow::macro_f1},
                                                  {"exact_match", &MetricsRow::exact_match},
                                                  {"answer_f1", &MetricsRow::answer_f1}}};
  static constexpr std::ptrdiff_t columns_of_answers = 2; // the last ones

  [[nodiscard]] std::string header() const {
    std::string header = "step";
    for (Column const& column : columns_) {
      header += concat(",", column.name);
    }
    return header;
  }

  /// Those of the file's header, so that its rows stay as long as it is.
  void keep_columns_of(std::filesystem::path const& path) {
    std::ifstream file(path, std::ios::binary);
    std::string found;
    std::getline(file, found);
    bool const shorter = !concat(found, ",").ends_with(concat(",", columns.back().name, ","));
    columns_.assign(columns.begin(), columns.end() - (shorter ? columns_of_answers : 0));
  }

  [[nodiscard]] std::string csv_line(MetricsRow const& row) const {
    std::string line = std::to_string(row.step);
    for (Column const& column : columns_) {
      std::optional<double> const value = row.*column.value;
      line += concat(",", value ? number(*value) : "");
    }
    return line;
  }

  /// Empty values are left out; what is not finite is null, as JSON has no word for it.
  [[nodiscard]] std::string json_line(MetricsRow const& row) const {
    nlohmann::ordered_json object{{"step", row.step}};
    for (Column const& column : columns_) {
      if (std::optional<double> const value = row.*column.value) {
        object[column.name] = *value;
      }
    }
    return object.dump();
  }

  /// The shortest digits that read back as the same double, in every locale; nan and inf as Python reads
  /// them.
  [[nodiscard]] static std::string number(double value) {
    if (std::isnan(value)) {
      return "nan";
    }
    return std::isinf(value) ? (value > 0 ? "inf" : "-inf") : nlohmann::json(value).dump();
  }

  void write(std::string const& line) {
    errno = 0;
    file_ << line << '\n' << std::flush;
    check();
  }

  void check() const {
    if (!file_) {
      fail(name_, ": cannot be written", errno != 0 ? concat(" (", std::strerror(errno), ")") : "",
           "; check the folder, its permissions and the space on the disk");
    }
  }

  std::string name_;
  bool json_;
  std::vector<Column> columns_; ///< behind the step
  std::ofstream file_;
};

} // namespace pocketllm::train
