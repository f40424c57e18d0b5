// SPDX-License-Identifier: Apache-2.0
// A classifier's answers on examples, with the unperturbed weights.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/core/runtime.hpp>
#include <pocketllm/random/perturbed.hpp>
#include <pocketllm/train/objective.hpp>

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <span>
#include <vector>

namespace pocketllm::train {

/// Answers in the order of the examples.
struct Evaluation {
  std::vector<std::size_t> labels;      ///< the right classes
  std::vector<std::size_t> predictions; ///< the class of the highest score, the first of equal ones
  std::vector<float> scores;            ///< [examples, classes], before softmax
  double loss = 0.0;                    ///< mean cross-entropy
};

/// Indices of all examples, the shortest first: batches of similar length.
template <class Example>
[[nodiscard]] std::vector<std::size_t> order_by_length(std::span<Example const> examples) {
  std::vector<std::size_t> order(examples.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return examples[a].ids.size() < examples[b].ids.size();
  });
  return order;
}

/// Evaluates all examples, `batch_size` of similar length at a time. The model is only read. Throws Error for
/// a batch size of 0.
template <class Objective, class Model, random::Perturbation P = random::Gaussian>
[[nodiscard]] Evaluation evaluate(Objective const& objective, Model const& model,
                                  std::span<typename Objective::Example const> examples,
                                  std::size_t batch_size, Runtime& runtime, P const& perturbation = {}) {
  require(batch_size > 0, "a batch size of 0; ask for at least 1 example");
  std::vector<std::size_t> order = order_by_length(examples);
  std::size_t const classes = objective.classes();
  Evaluation result{std::vector<std::size_t>(examples.size()), std::vector<std::size_t>(examples.size()),
                    std::vector<float>(examples.size() * classes), 0.0};
  for (std::size_t begin = 0; begin < order.size(); begin += batch_size) {
    auto const indices = std::span(order).subspan(begin, std::min(batch_size, order.size() - begin));
    auto const batch = objective.batch(examples, indices);
    Workspace::Frame const frame(runtime.workspace());
    Lanes<float const> const scores =
        objective.scores(model, batch, random::unperturbed(perturbation), runtime);
    for (std::size_t r = 0; r < indices.size(); ++r) {
      std::span<float const> const row(scores.row(0, r), classes);
      std::copy(row.begin(), row.end(),
                result.scores.begin() + static_cast<std::ptrdiff_t>(indices[r] * classes));
      result.labels[indices[r]] = batch.labels[r];
      result.predictions[indices[r]] =
          static_cast<std::size_t>(std::max_element(row.begin(), row.end()) - row.begin());
      result.loss += cross_entropy(row, batch.labels[r]);
    }
  }
  result.loss /= static_cast<double>(std::max<std::size_t>(1, examples.size()));
  return result;
}

} // namespace pocketllm::train
