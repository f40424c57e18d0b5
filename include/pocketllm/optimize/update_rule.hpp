// SPDX-License-Identifier: Apache-2.0
// Update rules: what to do to the weights with the slopes of a step.
#pragma once

#include <pocketllm/core/runtime.hpp>
#include <pocketllm/optimize/gradient.hpp>
#include <pocketllm/optimize/move.hpp>
#include <pocketllm/random/perturbed.hpp>
#include <pocketllm/tensor/visit.hpp>

#include <cmath>
#include <concepts>
#include <cstddef>
#include <string_view>

namespace pocketllm::optimize {

/// Adds weight * slope z(seed) for each slope to the terms of a move.
inline void add_terms(Move& move, Gradient const& gradient, float weight) {
  for (Slope const& slope : gradient) {
    move.terms.push_back({slope.seed, weight * slope.slope});
  }
}

/// One visit to the trained tensors of `model`. `perturbation` must be the one that the slopes were measured
/// with.
template <tensor::HasTensors Model, random::Perturbation P>
void make_move(Model& model, P const& perturbation, Move const& move, Runtime& runtime) {
  make_moves(model, perturbation, {&move, 1}, runtime, [](std::size_t) {});
}

/// Stochastic gradient descent, theta <- theta - rate (sum_i slope_i z_i + decay theta), with MeZO's weight
/// decay: none on biases and LayerNorm, which are the tensors of one dimension (arXiv 2305.17333, algorithm
/// 1).
struct Sgd {
  /// What a journal calls it.
  static constexpr std::string_view name = "sgd";
  float learning_rate = 1e-6F; ///< a Trainer sets it before each step, by its Schedule
  float weight_decay = 0.0F;   ///< times the rate: the part of a weight in a matrix that a step takes off

  /// What is written down of it beside its name (train/part.hpp). The rate is not: each step has its own.
  template <class Self, class F>
  static void parameters(Self& self, F&& f) {
    f("weight_decay", self.weight_decay);
  }

  /// What the next step is to be.
  [[nodiscard]] Move move(Gradient const& gradient) const {
    Move move;
    add_terms(move, gradient, -learning_rate);
    move.keep = std::fma(-learning_rate, weight_decay, 1.0F); // explicit: one rounding on every machine
    return move;
  }

  /// Makes move(gradient). `perturbation` must be the one that the slopes were measured with.
  template <tensor::HasTensors Model, random::Perturbation P>
  void operator()(Model& model, P const& perturbation, Gradient const& gradient, Runtime& runtime) const {
    make_move(model, perturbation, move(gradient), runtime);
  }
};

/// The sign of each slope alone, theta <- theta - rate (sum_i sign(slope_i) z_i + decay theta): no loss,
/// however wild, makes a step longer (ZO-signSGD, Liu et al., ICLR 2019, along directions instead of
/// coordinates).
struct Sign {
  /// What a journal calls it.
  static constexpr std::string_view name = "sign";
  float learning_rate = 1e-6F; ///< with n slopes a step moves each weight by about sqrt(n) of it
  float weight_decay = 0.0F;   ///< as Sgd's: of matrices only

  template <class Self, class F>
  static void parameters(Self& self, F&& f) {
    f("weight_decay", self.weight_decay);
  }

  /// What the next step is to be; a slope of 0 or NaN counts as none.
  [[nodiscard]] Move move(Gradient gradient) const {
    for (Slope& slope : gradient) {
      slope.slope = static_cast<float>((slope.slope > 0.0F) - (slope.slope < 0.0F));
    }
    return Sgd{learning_rate, weight_decay}.move(gradient);
  }

  /// Makes move(gradient). `perturbation` must be the one that the slopes were measured with.
  template <tensor::HasTensors Model, random::Perturbation P>
  void operator()(Model& model, P const& perturbation, Gradient const& gradient, Runtime& runtime) const {
    make_move(model, perturbation, move(gradient), runtime);
  }
};

/// A rule is called with the model, the perturbation, the slopes and the runtime, and changes the model's
/// weights. It has a learning rate that schedules set before every step. It may keep the (seed, slope) pairs
/// of earlier steps (momentum): it is called for all steps in their order, also when they are replayed.
template <class U, class Model, class P>
concept UpdateRule = requires(U u, Model& model, P const& perturbation, Gradient const& gradient,
                              Runtime& runtime) {
  u(model, perturbation, gradient, runtime);
  { u.learning_rate } -> std::convertible_to<float>;
};

/// A rule whose steps are moves: move(gradient) gives the next one, whose terms may have seeds of earlier
/// steps too, and calling the rule makes that move. Such steps are replayed many at a time and can be taken
/// back. Where a snapshot stands for the steps before it, these are given to move() all the same, and what it
/// gives is not made.
template <class U>
concept MovingRule = requires(U u, Gradient const& gradient) {
  { u.move(gradient) } -> std::same_as<Move>;
  u.learning_rate = 1.0F;
};

static_assert(UpdateRule<Sgd, tensor::detail::OneTensor, random::Gaussian> && MovingRule<Sgd> &&
              MovingRule<Sign>);
static_assert(!UpdateRule<Gradient, tensor::detail::OneTensor, random::Gaussian> && !MovingRule<Gradient>);

} // namespace pocketllm::optimize
