// SPDX-License-Identifier: Apache-2.0
// What is to become small: a function of model and batch, evaluated at several points of the weights at once.
#pragma once

#include <pocketllm/core/lanes.hpp>
#include <pocketllm/core/runtime.hpp>
#include <pocketllm/random/perturbed.hpp>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <span>
#include <vector>

namespace pocketllm::train {

/// `objective(model, batch, at, runtime)` gives the loss of the batch at each of the points `at`, in their
/// order; `objective.batch(examples, indices)` makes a batch of the chosen ones of its examples.
template <class O, class Model, class P = random::Gaussian>
concept Objective = requires(O const o, Model const& model, typename O::Batch const& batch,
                             std::span<typename O::Example const> examples,
                             std::span<std::size_t const> indices, random::Perturbed<P> const& at,
                             Runtime& runtime) {
  { o.batch(examples, indices) } -> std::same_as<typename O::Batch>;
  { o(model, batch, at, runtime) } -> std::convertible_to<std::vector<float>>;
};

/// -ln softmax(scores)[label], in double so that neither many classes nor large scores cost digits.
[[nodiscard]] inline double cross_entropy(std::span<float const> scores, std::size_t label) {
  double const top = *std::max_element(scores.begin(), scores.end());
  double sum = 0.0;
  for (float const score : scores) {
    sum += std::exp(static_cast<double>(score) - top);
  }
  return top + std::log(sum) - static_cast<double>(scores[label]);
}

/// The mean of cross_entropy over the rows of `scores` [lanes, examples, classes], for each lane.
[[nodiscard]] inline std::vector<float> mean_cross_entropy(Lanes<float const> scores,
                                                           std::span<std::size_t const> labels) {
  std::vector<float> losses;
  for (std::size_t l = 0; l < scores.lanes; ++l) {
    double sum = 0.0;
    for (std::size_t r = 0; r < scores.rows; ++r) {
      sum += cross_entropy({scores.row(l, r), scores.cols}, labels[r]);
    }
    losses.push_back(static_cast<float>(sum / static_cast<double>(scores.rows)));
  }
  return losses;
}

} // namespace pocketllm::train
