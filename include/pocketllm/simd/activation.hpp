// SPDX-License-Identifier: Apache-2.0
// Functions applied to every element of activations.
#pragma once

#include <pocketllm/simd/math.hpp>

#include <cstddef>
#include <cstdint>

namespace pocketllm::simd {

/// gelu is the exact one, with erf.
enum class Activation : std::uint8_t { none, gelu, tanh, relu };

/// x = activation(x) over `count` floats.
template <class A>
void activate(Activation activation, float* x, std::size_t count) noexcept {
  switch (activation) {
  case Activation::gelu:
    simd::transform<A>(x, count, [](f32<A> v) { return simd::gelu<A>(v); });
    break;
  case Activation::tanh:
    simd::transform<A>(x, count, [](f32<A> v) { return simd::tanh<A>(v); });
    break;
  case Activation::relu: // NaN where x is: of a comparison with NaN, x86 gives the second operand
    simd::transform<A>(x, count, [](f32<A> v) { return simd::max<A>(simd::splat<A>(0.0F), v); });
    break;
  case Activation::none:
    break;
  }
}

} // namespace pocketllm::simd
