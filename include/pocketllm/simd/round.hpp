// SPDX-License-Identifier: Apache-2.0
// Vectors of floats stored as 16-bit weights, up or down at random so that the mean is right: an update far
// below half a unit in the last place is lost by rounding to nearest, and kept on average by this.
#pragma once

#include <pocketllm/core/float16.hpp>
#include <pocketllm/simd/batch.hpp>

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace pocketllm::simd {

namespace detail {

/// bfloat16 of `value`: away from zero with the probability of the 16 bits that are cut. Infinity and NaN
/// stay.
[[nodiscard]] constexpr bf16 stochastic_bf16(float value, std::uint32_t random) noexcept {
  std::uint32_t const bits = std::bit_cast<std::uint32_t>(value);
  bool const finite = (bits & 0x7f800000U) != 0x7f800000U;
  return {static_cast<std::uint16_t>((bits + (finite ? random & 0xffffU : 0U)) >> 16)};
}

/// binary16 of `value` by the same rule; beyond the largest binary16 it stays there, since an infinite weight
/// cannot be undone.
[[nodiscard]] constexpr f16 stochastic_f16(float value, std::uint32_t random) noexcept {
  std::uint32_t const bits = std::bit_cast<std::uint32_t>(value);
  std::uint32_t const sign = (bits >> 16) & 0x8000U;
  std::uint32_t const magnitude = bits & 0x7fffffffU;
  if (magnitude > 0x7f800000U) {
    return {static_cast<std::uint16_t>(sign | 0x7e00U)};
  }
  std::uint32_t half = 0;
  if (magnitude < 0x38800000U) { // below 2^-14 the unit is 2^-24: floor(value / unit + u), u of 16 bits
    double const units = static_cast<double>(std::bit_cast<float>(magnitude)) * 0x1p24;
    half = static_cast<std::uint32_t>(units + static_cast<double>(random & 0xffffU) * 0x1p-16);
  } else { // 13 bits are cut; 112 = 127 - 15 between the exponents
    half = (magnitude + (random & 0x1fffU) - 0x38000000U) >> 13;
  }
  return {static_cast<std::uint16_t>(sign | (half < 0x7bffU ? half : 0x7bffU))};
}

} // namespace detail

/// Stores width<A> floats; `random` holds at least 16 random bits an element, which f32 does not use.
template <class A>
[[gnu::always_inline]] inline void store_rounded(float* to, f32<A> value, u32<A>) noexcept {
  simd::store<A>(to, value);
}

template <class A>
[[gnu::always_inline]] inline void store_rounded(bf16* to, f32<A> value, u32<A> random) noexcept {
  alignas(64) std::array<float, width<A>> values;
  alignas(64) std::array<std::uint32_t, width<A>> bits;
  simd::store<A>(values.data(), value);
  simd::store<A>(bits.data(), random);
  for (std::size_t i = 0; i < width<A>; ++i) {
    to[i] = detail::stochastic_bf16(values[i], bits[i]);
  }
}

template <class A>
[[gnu::always_inline]] inline void store_rounded(f16* to, f32<A> value, u32<A> random) noexcept {
  alignas(64) std::array<float, width<A>> values;
  alignas(64) std::array<std::uint32_t, width<A>> bits;
  simd::store<A>(values.data(), value);
  simd::store<A>(bits.data(), random);
  for (std::size_t i = 0; i < width<A>; ++i) {
    to[i] = detail::stochastic_f16(values[i], bits[i]);
  }
}

} // namespace pocketllm::simd
