// SPDX-License-Identifier: Apache-2.0
// Layer normalisation (Ba, Kiros, Hinton, arXiv 1607.06450).
#pragma once

#include <pocketllm/layers/rows.hpp>
#include <pocketllm/simd/math.hpp>
#include <pocketllm/tensor/perturbed_row.hpp>
#include <pocketllm/tensor/tensor.hpp>

#include <cmath>
#include <cstddef>
#include <span>
#include <string>

namespace pocketllm::layers {

/// y = (x - mean(x)) / sqrt(var(x) + epsilon) * weight + bias over the last dimension; weight and bias
/// [width].
struct LayerNorm {
  tensor::Tensor<float> weight;
  tensor::Tensor<float> bias;
  float epsilon = 1e-5F;

  LayerNorm() = default;
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
      float* const row = x.row(l, r);
      if (residual.data != nullptr) {
        float const* const other = residual.row(l, r);
        for (std::size_t i = 0; i < width; ++i) {
          row[i] += other[i];
        }
      }
      normalize<A>(row, gain.data() + l * width, shift.data() + l * width);
    });
  }

  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    f(self.weight);
    f(self.bias);
  }

private:
  template <class A>
  void normalize(float* row, float const* gain, float const* shift) const noexcept {
    using V = simd::f32<A>;
    std::size_t const width = weight.size();
    float const count = static_cast<float>(width);
    float const mean = simd::reduce<A>(row, width, [](V v, V part) { return part + v; }) / count;
    for (std::size_t i = 0; i < width; ++i) {
      row[i] -= mean;
    }
    float const squares = simd::reduce<A>(row, width, [](V v, V part) { return simd::fma<A>(v, v, part); });
    float const scale = 1.0F / std::sqrt(squares / count + epsilon);
    for (std::size_t i = 0; i < width; ++i) {
      row[i] = simd::mul_add<simd::scalar>(row[i] * scale, gain[i], shift[i]);
    }
  }
};

} // namespace pocketllm::layers
