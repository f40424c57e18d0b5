// SPDX-License-Identifier: Apache-2.0
// Layer normalisation (Ba, Kiros, Hinton, arXiv 1607.06450).
#pragma once

#include <pocketllm/layers/rows.hpp>
#include <pocketllm/simd/kernel.hpp>
#include <pocketllm/simd/math.hpp>
#include <pocketllm/tensor/perturbed_row.hpp>
#include <pocketllm/tensor/tensor.hpp>

#include <cmath>
#include <cstddef>
#include <span>
#include <string>

namespace pocketllm::layers {

namespace kernel {

/// x = norm(x + residual) * gain + shift over `width` floats; `residual` may be null.
struct NormalizeRow {
  using Signature = void(float*, float const*, float const*, float const*, std::size_t, float);

  template <class A>
  static void run(float* x, float const* residual, float const* gain, float const* shift, std::size_t width,
                  float epsilon) noexcept {
    using V = simd::f32<A>;
    if (residual != nullptr) {
      simd::transform<A>(x, residual, width, [](V a, V b) { return a + b; });
    }
    float const count = static_cast<float>(width);
    float const mean = simd::reduce<A>(x, width, [](V v, V part) { return part + v; }) / count;
    V const center = simd::splat<A>(mean);
    simd::transform<A>(x, width, [=](V v) { return v - center; });
    float const squares = simd::reduce<A>(x, width, [](V v, V part) { return simd::fma<A>(v, v, part); });
    V const scale = simd::splat<A>(1.0F / std::sqrt(squares / count + epsilon));
    simd::transform<A>(x, gain, width, [=](V v, V g) { return v * scale * g; });
    simd::transform<A>(x, shift, width, [](V v, V s) { return v + s; });
  }
};

} // namespace kernel
} // namespace pocketllm::layers

template <>
inline constexpr bool pocketllm::simd::is_dispatched<pocketllm::layers::kernel::NormalizeRow> = true;

namespace pocketllm::layers {

/// y = (x - mean(x)) / sqrt(var(x) + epsilon) * weight + bias over the last dimension; weight and bias
/// [width].
struct LayerNorm {
  tensor::Tensor<float> weight; ///< [width], f32 in models of any storage
  tensor::Tensor<float> bias;   ///< [width]
  float epsilon = 1e-5F;        ///< added to the variance; from the model's configuration

  LayerNorm() = default;
  /// The tensors are called `name`.weight and `name`.bias; they have no data yet.
  LayerNorm(std::string const& name, std::size_t width, float eps)
      : weight(name + ".weight", {width}), bias(name + ".bias", {width}), epsilon(eps) {}

  /// X = norm(X + R) in place; `residual` may have no data: then X = norm(X). X, R [lanes, rows, width].
  template <class A = simd::native, random::Perturbation P>
  void operator()(Lanes<float> x, Lanes<float const> residual, random::Perturbed<P> const& at,
                  Runtime& runtime) const {
    Workspace::Frame const frame(runtime.workspace());
    std::size_t const width = weight.size();
    std::span<float> const gain = runtime.workspace().take(at.lanes() * width);
    std::span<float> const shift = runtime.workspace().take(at.lanes() * width);
    tensor::perturbed_row<A>(weight, at, {0, 0, width}, gain.data(), width);
    tensor::perturbed_row<A>(bias, at, {0, 0, width}, shift.data(), width);
    for_each_row(x, runtime, [&](std::size_t l, std::size_t r) {
      simd::invoke<A, kernel::NormalizeRow>(
          x.row(l, r), residual.data == nullptr ? nullptr : residual.row(l, r), gain.data() + l * width,
          shift.data() + l * width, width, epsilon);
    });
  }

  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    f(self.weight);
    f(self.bias);
  }
};

} // namespace pocketllm::layers
