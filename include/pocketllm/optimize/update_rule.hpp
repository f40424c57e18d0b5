// SPDX-License-Identifier: Apache-2.0
// Update rules: what to do to the weights with the slopes of a step.
#pragma once

#include <pocketllm/core/runtime.hpp>
#include <pocketllm/optimize/gradient.hpp>
#include <pocketllm/random/perturbed.hpp>
#include <pocketllm/tensor/tensor.hpp>
#include <pocketllm/tensor/update.hpp>
#include <pocketllm/tensor/visit.hpp>

#include <cmath>
#include <vector>

namespace pocketllm::optimize {

/// Stochastic gradient descent, theta <- theta - rate (sum_i slope_i z_i + decay theta), with MeZO's weight
/// decay: none on biases and LayerNorm, which are the tensors of one dimension (arXiv 2305.17333, algorithm
/// 1).
struct Sgd {
  float learning_rate = 1e-6F;
  float weight_decay = 0.0F;

  /// One sweep over the trained tensors of `model`. `perturbation` must be the one that the slopes were
  /// measured with.
  template <tensor::HasTensors Model, random::Perturbation P>
  void operator()(Model& model, P const& perturbation, Gradient const& gradient, Runtime& runtime) const {
    std::vector<random::Point> terms;
    for (Slope const& slope : gradient) {
      terms.push_back({slope.seed, -learning_rate * slope.slope});
    }
    float const keep =
        std::fma(-learning_rate, weight_decay, 1.0F); // explicit: one rounding on every machine
    tensor::for_each_tensor(model, [&](auto& tensor) {
      bool const decays = tensor.shape().size() > 1;
      tensor::update(tensor, perturbation, terms, decays ? keep : 1.0F, runtime);
    });
  }
};

/// A rule is called with the model, the perturbation, the slopes and the runtime, and changes the model's
/// weights. It has a learning rate that schedules set before every step.
template <class U, class Model, class P>
concept UpdateRule = requires(U u, Model& model, P const& perturbation, Gradient const& gradient,
                              Runtime& runtime) {
  u(model, perturbation, gradient, runtime);
  { u.learning_rate } -> std::convertible_to<float>;
};

static_assert(UpdateRule<Sgd, tensor::detail::OneTensor, random::Gaussian>);
static_assert(!UpdateRule<Gradient, tensor::detail::OneTensor, random::Gaussian>);

} // namespace pocketllm::optimize
