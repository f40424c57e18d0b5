// SPDX-License-Identifier: Apache-2.0
// Metrics as a table to print.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/train/metrics.hpp>
#include <pocketllm/train/terminal.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pocketllm::train {

namespace detail {

/// A share as percent with one digit behind the point: "93.3 %".
[[nodiscard]] inline std::string percent(double share) {
  auto const tenths = static_cast<long long>(std::llround(share * 1000.0));
  return concat(tenths / 10, ".", tenths % 10, " %");
}

/// Cells [rows, columns] with a space between columns: the first column to the left, the others to the right.
[[nodiscard]] inline std::string align(std::span<std::string const> cells, std::size_t columns) {
  std::vector<std::size_t> widths(columns);
  for (std::size_t i = 0; i < cells.size(); ++i) {
    widths[i % columns] = std::max(widths[i % columns], columns_of(cells[i]));
  }
  std::string table;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    std::size_t const column = i % columns;
    std::string const gap(widths[column] - columns_of(cells[i]), ' ');
    table += column == 0 ? cells[i] + gap : concat("  ", gap, cells[i]);
    table += column + 1 == columns ? "\n" : "";
  }
  return table;
}

} // namespace detail

/// The confusion matrix, a line for each class, with precision, recall and F1 behind it:
///
///     label \ predicted  ham  spam  precision  recall      F1
///     ham                290    10     93.5 %  96.7 %  95.1 %
///     spam                20   280     96.6 %  93.3 %  94.9 %
///
/// Throws Error unless there is a name for each class.
[[nodiscard]] inline std::string confusion_table(Metrics const& metrics, std::span<std::string const> names) {
  std::size_t const classes = metrics.classes.size();
  require(names.size() == classes, "confusion table: ", names.size(), " names for ", classes, " classes");
  std::vector<std::string> cells{"label \\ predicted"};
  cells.insert(cells.end(), names.begin(), names.end());
  cells.insert(cells.end(), {"precision", "recall", "F1"});
  for (std::size_t c = 0; c < classes; ++c) {
    cells.push_back(names[c]);
    for (std::size_t other = 0; other < classes; ++other) {
      cells.push_back(std::to_string(metrics.confusion[c * classes + other]));
    }
    ClassMetrics const& of = metrics.classes[c];
    cells.insert(cells.end(),
                 {detail::percent(of.precision), detail::percent(of.recall), detail::percent(of.f1)});
  }
  return detail::align(cells, classes + 4);
}

} // namespace pocketllm::train
