// SPDX-License-Identifier: Apache-2.0
// Rows of floats as codes and scales: 8 bits with a scale a row, 4 bits with a scale for 32 elements.
#pragma once

#include <pocketllm/core/float16.hpp>
#include <pocketllm/tensor/storage.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

namespace pocketllm::tensor {

namespace detail {

/// Rounds |x| < 2^22 to the nearest integer, ties to even, by the unit of the numbers near 1.5 * 2^23: plain
/// arithmetic that compilers vectorise.
[[nodiscard]] inline float nearest(float x) noexcept {
  constexpr float magic = 12582912.0F;
  return (x + magic) - magic;
}

/// The element of largest magnitude.
[[nodiscard]] inline float extreme(std::span<float const> x) noexcept {
  float most = 0.0F, least = 0.0F;
  for (float const value : x) {
    most = value > most ? value : most;
    least = value < least ? value : least;
  }
  return -least > most ? least : most;
}

} // namespace detail

/// Quantises a row symmetrically: scale = max |x| / 127. `codes` has room for x.size(). The elements are
/// finite.
inline void quantize_row(std::span<float const> x, i8* codes, float* scale) noexcept {
  float const top = std::abs(detail::extreme(x));
  float const inverse = top > 0.0F ? 127.0F / top : 0.0F;
  *scale = top / 127.0F;
  for (std::size_t i = 0; i < x.size(); ++i) {
    codes[i].code = static_cast<std::int8_t>(detail::nearest(x[i] * inverse));
  }
}

/// Quantises a row in groups of 32: the element of largest magnitude gets the code -8, the end of the range
/// that reaches further, so the scale may be negative. `codes` and `scales` have room as QuantizedLayout
/// says; the padding of the last group is 0. The elements are finite, and below 8 * 65504 in magnitude.
inline void quantize_row(std::span<float const> x, i4* codes, f16* scales) noexcept {
  constexpr std::size_t group = QuantizedLayout<i4>::group, half = group / 2;
  for (std::size_t first = 0; first < x.size(); first += group, codes += half, ++scales) {
    std::array<float, group> part{};
    std::copy_n(x.begin() + static_cast<std::ptrdiff_t>(first), std::min(group, x.size() - first),
                part.begin());
    *scales = from_float<f16>(detail::extreme(part) / -8.0F);
    float const scale = to_float(*scales);
    float const inverse = scale != 0.0F ? 1.0F / scale : 0.0F;
    std::array<std::uint8_t, group> bits;
    for (std::size_t i = 0; i < group; ++i) { // the rounded scale may put an element beyond the range
      bits[i] = static_cast<std::uint8_t>(std::clamp(detail::nearest(part[i] * inverse), -8.0F, 7.0F) + 8.0F);
    }
    for (std::size_t i = 0; i < half; ++i) {
      codes[i].codes = static_cast<std::uint8_t>(bits[i] | (bits[half + i] << 4));
    }
  }
}

} // namespace pocketllm::tensor
