// SPDX-License-Identifier: Apache-2.0
// Update rules with a memory: of (seed, slope) pairs of the last steps, from which their noise is made again.
// A buffer of the model's size is never needed.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/core/runtime.hpp>
#include <pocketllm/optimize/gradient.hpp>
#include <pocketllm/optimize/move.hpp>
#include <pocketllm/optimize/update_rule.hpp>
#include <pocketllm/random/perturbed.hpp>
#include <pocketllm/tensor/update.hpp>
#include <pocketllm/tensor/visit.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string_view>

namespace pocketllm::optimize {

/// The gradients of the last steps, the newest first.
class RecentGradients {
public:
  /// Puts `gradient` first and forgets all behind the first `most`. Throws Error when that is 0.
  void add(Gradient const& gradient, std::size_t most) {
    require(most != 0, "a history of 0 steps; momentum and Adam need at least the step under way");
    gradients_.push_front(gradient);
    gradients_.resize(std::min(gradients_.size(), most));
  }
  /// At the newest.
  [[nodiscard]] auto begin() const noexcept { return gradients_.begin(); }
  /// Behind the oldest.
  [[nodiscard]] auto end() const noexcept { return gradients_.end(); }

private:
  std::deque<Gradient> gradients_;
};

/// Heavy-ball momentum, m = g + beta m, theta <- theta - rate (m + decay theta), where m is the sum over the
/// last `history` steps. Each of them costs its noise once more in every step: 20 keep 88 % of the weight of
/// all with beta = 0.9.
struct Momentum {
  /// What a journal calls it.
  static constexpr std::string_view name = "momentum";
  float learning_rate = 1e-7F; ///< 1 / (1 - beta) times smaller than that of Sgd, for steps as long
  float weight_decay = 0.0F;   ///< as Sgd's: of matrices only
  float beta = 0.9F;           ///< the gradient of i steps ago weighs beta^i in m
  std::uint32_t history = 20;  ///< steps, this one included; 1 or more
  RecentGradients past = {};   ///< filled by move()

  template <class Self, class F>
  static void parameters(Self& self, F&& f) {
    f("weight_decay", self.weight_decay);
    f("beta", self.beta);
    f("history", self.history);
  }

  /// What the next step is to be; takes the gradient into `past`, so it is to be called once a step. Throws
  /// Error for a history of 0.
  [[nodiscard]] Move move(Gradient const& gradient) {
    past.add(gradient, history);
    Move move;
    float weight = -learning_rate;
    for (Gradient const& each : past) {
      add_terms(move, each, weight);
      weight *= beta;
    }
    move.keep = std::fma(-learning_rate, weight_decay, 1.0F);
    return move;
  }

  /// Makes move(gradient). `perturbation` must be the one that the slopes were measured with.
  template <tensor::HasTensors Model, random::Perturbation P>
  void operator()(Model& model, P const& perturbation, Gradient const& gradient, Runtime& runtime) {
    make_move(model, perturbation, move(gradient), runtime);
  }
};

/// Adam without its buffers, as AdaMeZO has it (Cai, Chen, Zhu, arXiv 2605.00650): the moments are means over
/// the gradients of the last `history` steps, with weights beta1^i and beta2^i divided by their sum (which is
/// Adam's correction of the bias), theta <- theta - rate (m / (sqrt(v) + floor) + decay theta). With weight
/// decay it is AdamW. The noise of the last steps is made again in every step, once for both moments.
struct Adam {
  /// What a journal calls it.
  static constexpr std::string_view name = "adam";
  float learning_rate = 1e-5F; ///< about the most that a step moves a weight by
  float weight_decay = 0.0F;   ///< as Sgd's: of matrices only
  float beta1 = 0.9F,          ///< see above: of the mean m
      beta2 = 0.99F;           ///< and of the mean square v
  float floor = 1e-8F;         ///< Adam's epsilon
  std::uint32_t history = 20;  ///< steps, this one included; 1 or more
  RecentGradients past = {};   ///< filled by move()

  template <class Self, class F>
  static void parameters(Self& self, F&& f) {
    f("weight_decay", self.weight_decay);
    f("beta1", self.beta1);
    f("beta2", self.beta2);
    f("floor", self.floor);
    f("history", self.history);
  }

  /// What the next step is to be; takes the gradient into `past`, so it is to be called once a step. Throws
  /// Error for a history of 0.
  [[nodiscard]] Move move(Gradient const& gradient) {
    past.add(gradient, history);
    float first = 1.0F, second = 1.0F, firsts = 0.0F, seconds = 0.0F;
    Move move;
    for (Gradient const& each : past) {
      std::size_t const before = move.terms.size();
      add_terms(move, each, 1.0F);
      move.groups.push_back({move.terms.size() - before, first, second});
      firsts += first, seconds += second;
      first *= beta1, second *= beta2;
    }
    for (tensor::TermGroup& group : move.groups) {
      group.first *= -learning_rate / firsts;
      group.second /= seconds;
    }
    move.keep = std::fma(-learning_rate, weight_decay, 1.0F);
    move.floor = floor;
    return move;
  }

  /// Makes move(gradient). `perturbation` must be the one that the slopes were measured with.
  template <tensor::HasTensors Model, random::Perturbation P>
  void operator()(Model& model, P const& perturbation, Gradient const& gradient, Runtime& runtime) {
    make_move(model, perturbation, move(gradient), runtime);
  }
};

static_assert(MovingRule<Momentum> && MovingRule<Adam>);

} // namespace pocketllm::optimize
