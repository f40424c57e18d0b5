// SPDX-License-Identifier: Apache-2.0
// How good predictions are: confusion matrix, accuracy, precision, recall, F1.
#pragma once

#include <pocketllm/core/error.hpp>

#include <cstddef>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

namespace pocketllm::train {

/// Of one class. A quotient of 0 by 0 counts as 0, as with scikit-learn's zero_division=0.
struct ClassMetrics {
  double precision = 0.0;   ///< of what was predicted as this class, the share that is
  double recall = 0.0;      ///< of what is this class, the share that was found
  double f1 = 0.0;          ///< harmonic mean of precision and recall
  std::size_t examples = 0; ///< that are of this class
};

/// The figures of a classifier on labelled examples.
struct Metrics {
  std::size_t examples = 0; ///< of all classes
  double accuracy = 0.0;    ///< share of them that was predicted as what it is, 0 to 1
  /// Mean of the F1 of all classes, each counting the same. A class that neither occurs nor is predicted
  /// counts with 0, as in scikit-learn's f1_score(average="macro", labels=all classes, zero_division=0).
  double macro_f1 = 0.0;
  std::vector<ClassMetrics> classes; ///< by class index
  /// [label, prediction], row-major: how many examples of a class were predicted as which.
  std::vector<std::size_t> confusion;
};

namespace detail {

[[nodiscard]] inline double ratio(std::size_t part, std::size_t whole) noexcept {
  return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
}

} // namespace detail

/// From a confusion matrix [label, prediction] of `classes` x `classes`, which may be a sum of several.
[[nodiscard]] inline Metrics metrics_of(std::vector<std::size_t> confusion, std::size_t classes) {
  require(classes > 0 && confusion.size() == classes * classes, "metrics: ", confusion.size(),
          " counts do not make a confusion matrix of ", classes, " classes");
  Metrics metrics;
  std::size_t right = 0;
  for (std::size_t c = 0; c < classes; ++c) {
    std::size_t const hits = confusion[c * classes + c];
    std::size_t labelled = 0, predicted = 0;
    for (std::size_t other = 0; other < classes; ++other) {
      labelled += confusion[c * classes + other];
      predicted += confusion[other * classes + c];
    }
    // 2 P R / (P + R) with one rounding; the sum is 0 when both P and R are
    metrics.classes.push_back({detail::ratio(hits, predicted), detail::ratio(hits, labelled),
                               detail::ratio(2 * hits, labelled + predicted), labelled});
    metrics.macro_f1 += metrics.classes.back().f1 / static_cast<double>(classes);
    metrics.examples += labelled;
    right += hits;
  }
  metrics.accuracy = detail::ratio(right, metrics.examples);
  metrics.confusion = std::move(confusion);
  return metrics;
}

/// From the class indices of labels and predictions, one of each per example. Throws Error when there are
/// none, when their numbers differ or when an index is not below `classes`.
[[nodiscard]] inline Metrics compute_metrics(std::span<std::size_t const> labels,
                                             std::span<std::size_t const> predictions, std::size_t classes) {
  require(!labels.empty() && labels.size() == predictions.size(), "metrics: ", labels.size(), " labels and ",
          predictions.size(), " predictions; there must be as many of both, and at least one");
  std::vector<std::size_t> confusion(classes * classes);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    require(labels[i] < classes && predictions[i] < classes, "metrics: example ", i, " has label ", labels[i],
            " and prediction ", predictions[i], "; there are ", classes, " classes, counted from 0");
    ++confusion[labels[i] * classes + predictions[i]];
  }
  return metrics_of(std::move(confusion), classes);
}

/// Mean of the losses of single examples, summed in double. NaN for none.
[[nodiscard]] inline double mean_loss(std::span<float const> losses) noexcept {
  double const sum = std::accumulate(losses.begin(), losses.end(), 0.0);
  return sum / static_cast<double>(losses.size());
}

} // namespace pocketllm::train
