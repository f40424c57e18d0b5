// SPDX-License-Identifier: Apache-2.0
// Vectors of floats stored as 16-bit weights, up or down at random so that the mean is right: an update far
// below half a unit in the last place is lost by rounding to nearest, and kept on average by this.
#pragma once

#include <pocketllm/core/float16.hpp>
#include <pocketllm/simd/batch.hpp>

#include <array>
#include <cstddef>
#include <cstdint>

namespace pocketllm::simd {

namespace detail {

/// bfloat16 of `value`: away from zero with the probability of the 16 bits that are cut. Infinity and NaN
/// stay.
template <class A>
[[gnu::always_inline]] inline u32<A> stochastic_bf16(f32<A> value, u32<A> random) noexcept {
  u32<A> const bits = simd::as_bits<A>(value);
  u32<A> const exponent = simd::splat<A>(0x7f800000U);
  u32<A> const cut = simd::select<A>((bits & exponent) == exponent, simd::splat<A>(0U), random);
  return simd::shift_right<A, 16>(bits + cut);
}

/// binary16 of `value` by the same rule. Beyond the largest binary16 it stays there, since an infinite weight
/// cannot be undone; NaN stays.
template <class A>
[[gnu::always_inline]] inline u32<A> stochastic_f16(f32<A> value, u32<A> random) noexcept {
  u32<A> const bits = simd::as_bits<A>(value);
  u32<A> const magnitude = bits & simd::splat<A>(0x7fffffffU);
  u32<A> const sign = simd::shift_right<A, 16>(bits ^ magnitude);
  // 13 bits are cut; 0x38000000 is 112 = 127 - 15 in the exponent's place
  u32<A> const normal =
      simd::shift_right<A, 13>(magnitude + (random & simd::splat<A>(0x1fffU)) - simd::splat<A>(0x38000000U));
  // below 2^-14 the unit is 2^-24: fixed point with 16 bits behind it
  u32<A> const small = simd::splat<A>(0x38800000U);
  f32<A> const limited = simd::as_float<A>(simd::select_below<A>(magnitude, small, magnitude, small));
  u32<A> const fixed = simd::truncate<A>(limited * simd::splat<A>(0x1p40F));
  u32<A> const subnormal = simd::shift_right<A, 16>(fixed + random);
  u32<A> half = simd::select_below<A>(magnitude, small, subnormal, normal);
  u32<A> const largest = simd::splat<A>(0x7bffU);
  half = simd::select_below<A>(half, largest, half, largest);
  half = simd::select_below<A>(simd::splat<A>(0x7f800000U), magnitude, simd::splat<A>(0x7e00U), half);
  return sign | half;
}

/// The lower halves of 32-bit integers below 2^16, side by side.
template <class A, class T>
[[gnu::always_inline]] inline void store_halves(T* to, u32<A> halves) noexcept {
#if XSIMD_WITH_AVX512F
  if constexpr (Avx512<A>) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm512_cvtepi32_epi16(halves));
    return;
  } else
#endif
#if XSIMD_WITH_AVX2
      if constexpr (Avx2<A>) { // packed within 128-bit lanes, of which the first and third quarter count
    __m256i const packed = _mm256_packus_epi32(halves, halves);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to),
                     _mm256_castsi256_si128(_mm256_permute4x64_epi64(packed, 0x08)));
    return;
  } else
#endif
#if XSIMD_WITH_NEON64
      if constexpr (Neon64<A>) {
    vst1_u16(reinterpret_cast<std::uint16_t*>(to), vmovn_u32(halves));
    return;
  } else
#endif
  {
    alignas(64) std::array<std::uint32_t, width<A>> bits;
    simd::store<A>(bits.data(), halves);
    for (std::size_t i = 0; i < width<A>; ++i) {
      to[i].bits = static_cast<std::uint16_t>(bits[i]);
    }
  }
}

} // namespace detail

/// Stores `width<A>` floats. `random` holds 16 random bits an element, with zeros above them; f32 does not
/// use them.
template <class A>
[[gnu::always_inline]] inline void store_rounded(float* to, f32<A> value, u32<A>) noexcept {
  simd::store<A>(to, value);
}
/// Up or down at random, so that the mean is `value`; infinity and NaN stay.
template <class A>
[[gnu::always_inline]] inline void store_rounded(bf16* to, f32<A> value, u32<A> random) noexcept {
  detail::store_halves<A>(to, detail::stochastic_bf16<A>(value, random));
}
/// The same; what is beyond the largest binary16 becomes that, and NaN stays.
template <class A>
[[gnu::always_inline]] inline void store_rounded(f16* to, f32<A> value, u32<A> random) noexcept {
  detail::store_halves<A>(to, detail::stochastic_f16<A>(value, random));
}

} // namespace pocketllm::simd
