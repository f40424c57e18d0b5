// SPDX-License-Identifier: Apache-2.0
// The two 16-bit floating-point storage types, as safetensors holds them (F16 and BF16), with exact
// conversions in integer arithmetic. Vectorised conversions of rows are in simd/convert.hpp.
#pragma once

#include <bit>
#include <cstdint>

namespace pocketllm {

/// IEEE 754 binary16: 1 sign, 5 exponent and 10 fraction bits.
struct f16 {
  std::uint16_t bits = 0; ///< sign, exponent and fraction, from the top
  friend constexpr bool operator==(f16, f16) = default;
};

/// bfloat16: the upper half of a binary32.
struct bf16 {
  std::uint16_t bits = 0; ///< sign, 8 bits of exponent and 7 of fraction, from the top
  friend constexpr bool operator==(bf16, bf16) = default;
};

/// Exact: every binary16 is a binary32. NaN payloads are kept (made quiet).
[[nodiscard]] constexpr float to_float(f16 value) noexcept {
  std::uint32_t const sign = static_cast<std::uint32_t>(value.bits & 0x8000U) << 16;
  std::uint32_t const exponent = (value.bits >> 10) & 0x1fU;
  std::uint32_t const fraction = value.bits & 0x3ffU;
  if (exponent == 0x1f) { // infinity, or NaN with its quiet bit set
    std::uint32_t const quiet = fraction != 0 ? 0x400000U : 0U;
    return std::bit_cast<float>(sign | 0x7f800000U | (fraction << 13) | quiet);
  }
  if (exponent != 0) {
    return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (fraction << 13)); // 112 = 127 - 15
  }
  // zero and subnormals: fraction * 2^-24, exact in binary32
  float const magnitude = static_cast<float>(fraction) * 0x1p-24F;
  return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(magnitude));
}

/// Exact: every bfloat16 is a binary32, with zeros for its lower half. NaNs are kept as they are.
[[nodiscard]] constexpr float to_float(bf16 value) noexcept {
  return std::bit_cast<float>(static_cast<std::uint32_t>(value.bits) << 16);
}

/// The number itself, for code that is written for all storage types.
[[nodiscard]] constexpr float to_float(float value) noexcept { return value; }

namespace detail {

/// Binary32 to binary16, nearest even; overflow becomes infinity.
[[nodiscard]] constexpr f16 round_to_f16(float value) noexcept {
  std::uint32_t const bits = std::bit_cast<std::uint32_t>(value);
  std::uint32_t const sign = (bits >> 16) & 0x8000U;
  std::uint32_t const magnitude = bits & 0x7fffffffU;
  if (magnitude > 0x7f800000U) {
    return {static_cast<std::uint16_t>(sign | 0x7e00U | ((magnitude >> 13) & 0x3ffU))};
  }
  if (magnitude >= 0x477ff000U) { // 65520 and above round to infinity
    return {static_cast<std::uint16_t>(sign | 0x7c00U)};
  }
  if (magnitude < 0x38800000U) { // below 2^-14: adding 2^-1 shifts the value to units of 2^-24, rounded
    float const shifted = std::bit_cast<float>(magnitude) + 0.5F;
    return {static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(shifted) - 0x3f000000U))};
  }
  std::uint32_t const odd = (magnitude >> 13) & 1U;
  std::uint32_t const rounded = magnitude - 0x38000000U + 0xfffU + odd;
  return {static_cast<std::uint16_t>(sign | (rounded >> 13))};
}

/// Binary32 to bfloat16, nearest even.
[[nodiscard]] constexpr bf16 round_to_bf16(float value) noexcept {
  std::uint32_t const bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffffU) > 0x7f800000U) {
    return {static_cast<std::uint16_t>((bits >> 16) | 0x40U)};
  }
  return {static_cast<std::uint16_t>((bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16)};
}

} // namespace detail

/// Rounds to the nearest value of type `To`, ties to even. `To` is float, f16 or bf16.
template <class To>
[[nodiscard]] constexpr To from_float(float value) noexcept = delete;
/// The number itself.
template <>
[[nodiscard]] constexpr float from_float<float>(float value) noexcept {
  return value;
}
/// From 65520 on, infinity; a NaN stays one, with the upper bits of its payload.
template <>
[[nodiscard]] constexpr f16 from_float<f16>(float value) noexcept {
  return detail::round_to_f16(value);
}
/// From 2^128 - 2^119 on, infinity; a NaN stays one, with the upper bits of its payload.
template <>
[[nodiscard]] constexpr bf16 from_float<bf16>(float value) noexcept {
  return detail::round_to_bf16(value);
}

} // namespace pocketllm
