// SPDX-License-Identifier: Apache-2.0
// What is to become small need not have a gradient: accuracy, F1, or whatever a user computes from the
// answers.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/core/lanes.hpp>
#include <pocketllm/core/runtime.hpp>
#include <pocketllm/core/workspace.hpp>
#include <pocketllm/random/perturbed.hpp>
#include <pocketllm/train/metrics.hpp>
#include <pocketllm/train/objective.hpp>

#include <algorithm>
#include <cstddef>
#include <functional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace pocketllm::train {

/// A classifier's answers to a batch, at one point of the weights.
struct Answers {
  Lanes<float const> scores;            ///< [1, examples, classes], before softmax
  std::span<std::size_t const> labels;  ///< the right classes, by example
  std::vector<std::size_t> predictions; ///< the class of the highest score, the first of equal ones
};

/// Of the answers to a batch, the number that is to become small.
using LossFunction = std::function<float(Answers const&)>;

/// The mean cross-entropy: what objectives that are classifiers have of themselves.
[[nodiscard]] inline float cross_entropy_loss(Answers const& answers) {
  return mean_cross_entropy(answers.scores, answers.labels).front();
}
/// 1 - accuracy.
[[nodiscard]] inline float error_rate(Answers const& answers) {
  Metrics const metrics = compute_metrics(answers.labels, answers.predictions, answers.scores.cols);
  return static_cast<float>(1.0 - metrics.accuracy);
}
/// 1 - macro-F1 of the batch, for data whose classes are of unequal size.
[[nodiscard]] inline float macro_f1_loss(Answers const& answers) {
  Metrics const metrics = compute_metrics(answers.labels, answers.predictions, answers.scores.cols);
  return static_cast<float>(1.0 - metrics.macro_f1);
}

/// The loss with one of the names that programs offer. Throws Error for another one.
[[nodiscard]] inline LossFunction loss_function(std::string_view name) {
  if (name == "cross-entropy") {
    return cross_entropy_loss;
  }
  if (name == "accuracy") {
    return error_rate;
  }
  require(name == "macro-f1", "there is no loss called ", name,
          "; there are cross-entropy, accuracy and macro-f1");
  return macro_f1_loss;
}

/// An objective that scores classes, and whose loss is any function of the answers. Most such functions are
/// flat almost everywhere and jump: the points need to be further apart than for cross-entropy (a larger
/// epsilon) and the batches larger.
template <class Base>
class Scored : public Base {
public:
  /// `loss` must not be empty.
  Scored(Base base, LossFunction loss) : Base(std::move(base)), loss_(std::move(loss)) {}

  /// The loss of the batch at each point.
  template <class Model, random::Perturbation P>
  [[nodiscard]] std::vector<float> operator()(Model const& model, typename Base::Batch const& batch,
                                              random::Perturbed<P> const& at, Runtime& runtime) const {
    Workspace::Frame const frame(runtime.workspace());
    Lanes<float const> const scores = Base::scores(model, batch, at, runtime);
    std::vector<float> losses;
    for (std::size_t l = 0; l < scores.lanes; ++l) {
      Answers answers{{scores.row(l, 0), 1, scores.rows, scores.cols, scores.stride}, batch.labels, {}};
      for (std::size_t r = 0; r < scores.rows; ++r) {
        float const* const row = scores.row(l, r);
        answers.predictions.push_back(
            static_cast<std::size_t>(std::max_element(row, row + scores.cols) - row));
      }
      losses.push_back(loss_(answers));
    }
    return losses;
  }

private:
  LossFunction loss_;
};

} // namespace pocketllm::train
