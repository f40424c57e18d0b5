// SPDX-License-Identifier: Apache-2.0
// Functions applied to every element of activations.
#pragma once

#include <pocketllm/layers/rows.hpp>
#include <pocketllm/simd/math.hpp>

namespace pocketllm::layers {

/// x = gelu(x), the exact one with erf.
template <class A = simd::native>
void gelu(Lanes<float> x, Runtime& runtime) {
  for_each_row(x, runtime, [&](std::size_t lane, std::size_t row) {
    simd::transform<A>(x.row(lane, row), x.cols, [](simd::f32<A> v) { return simd::gelu<A>(v); });
  });
}

/// x = tanh(x)
template <class A = simd::native>
void tanh(Lanes<float> x, Runtime& runtime) {
  for_each_row(x, runtime, [&](std::size_t lane, std::size_t row) {
    simd::transform<A>(x.row(lane, row), x.cols, [](simd::f32<A> v) { return simd::tanh<A>(v); });
  });
}

} // namespace pocketllm::layers
