// SPDX-License-Identifier: Apache-2.0
// The figures of a run as a file: a line of CSV or JSON for each step or evaluation.
#pragma once

#include <pocketllm/core/error.hpp>

#include <nlohmann/json.hpp>

#include <array>
#include <cerrno>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <utility>

namespace pocketllm::train {

/// One line of the log. What was not measured in this step stays empty.
struct MetricsRow {
  std::uint64_t step = 0;     ///< steps done
  std::optional<double> loss; ///< of the training batch
  std::optional<double> learning_rate;
  std::optional<double> seconds;   ///< since the run began
  std::optional<double> eval_loss; ///< mean over the test examples
  std::optional<double> accuracy;  ///< of the test examples, 0 to 1
  std::optional<double> macro_f1;  ///< of the test examples, 0 to 1
};

/// Appends rows to a file, as CSV with a header (.csv) or as JSON lines (.jsonl), and flushes each, so that a
/// run that is killed leaves all it did.
class MetricsLog {
public:
  enum class Open {
    replace, ///< an existing file is emptied
    append   ///< rows go behind those of an existing file
  };

  /// Throws Error for another extension and when the file cannot be written.
  explicit MetricsLog(std::filesystem::path const& path, Open open = Open::replace)
      : name_(path.string()), json_(path.extension() == ".jsonl") {
    require(json_ || path.extension() == ".csv", name_, ": unknown kind of log; name it .csv or .jsonl");
    std::error_code none;
    bool const fresh = open == Open::replace || !std::filesystem::exists(path, none) ||
                       std::filesystem::file_size(path, none) == 0;
    errno = 0;
    file_.open(path, std::ios::binary | (open == Open::replace ? std::ios::trunc : std::ios::app));
    check();
    if (!json_ && fresh) {
      std::string header = "step";
      for (Column const& column : columns) {
        header += concat(",", column.name);
      }
      write(header);
    }
  }

  /// Throws Error, naming the file, when it cannot be written (a full disk).
  void append(MetricsRow const& row) { write(json_ ? json_line(row) : csv_line(row)); }

private:
  struct Column {
    char const* name;
    std::optional<double> MetricsRow::*value;
  };
  static constexpr std::array<Column, 6> columns{{{"loss", &MetricsRow::loss},
                                                  {"learning_rate", &MetricsRow::learning_rate},
                                                  {"seconds", &MetricsRow::seconds},
                                                  {"eval_loss", &MetricsRow::eval_loss},
                                                  {"accuracy", &MetricsRow::accuracy},
                                                  {"macro_f1", &MetricsRow::macro_f1}}};

  [[nodiscard]] static std::string csv_line(MetricsRow const& row) {
    std::string line = std::to_string(row.step);
    for (Column const& column : columns) {
      std::optional<double> const value = row.*column.value;
      line += concat(",", value ? number(*value) : "");
    }
    return line;
  }

  /// Empty values are left out; what is not finite is null, as JSON has no word for it.
  [[nodiscard]] static std::string json_line(MetricsRow const& row) {
    nlohmann::ordered_json object{{"step", row.step}};
    for (Column const& column : columns) {
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
  std::ofstream file_;
};

} // namespace pocketllm::train
