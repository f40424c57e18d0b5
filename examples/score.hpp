// SPDX-License-Identifier: Apache-2.0
// What an evaluation found, for files of figures and for people.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/train/evaluate.hpp>
#include <pocketllm/train/format.hpp>
#include <pocketllm/train/metrics.hpp>

#include <cmath>
#include <cstddef>
#include <iomanip>
#include <ios>
#include <optional>
#include <string>

namespace examples {

/// What an evaluation found: for the figures, and in words.
struct Score {
  double loss = 0.0;
  std::optional<double> accuracy = {}, macro_f1 = {};
  std::optional<double> exact_match = {}, answer_f1 = {}; ///< of written answers
  std::string words;
};

inline std::string percent(double share) {
  return pocketllm::concat(std::fixed, std::setprecision(1), 100.0 * share, " %");
}

/// A classifier's.
inline Score score_of(pocketllm::train::Evaluation const& result, std::size_t classes) {
  auto const metrics = pocketllm::train::compute_metrics(result.labels, result.predictions, classes);
  return {.loss = result.loss,
          .accuracy = metrics.accuracy,
          .macro_f1 = metrics.macro_f1,
          .words = pocketllm::concat(
              "accuracy ", percent(metrics.accuracy), "  macro-F1 ", percent(metrics.macro_f1), "  loss ",
              std::isnan(result.loss) ? "nan" : pocketllm::train::fixed(result.loss, 3))};
}

} // namespace examples
