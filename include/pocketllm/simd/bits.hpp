// SPDX-License-Identifier: Apache-2.0
// Operations on the bits of 32-bit integers that xsimd 8 has no words for.
#pragma once

#include <pocketllm/simd/batch.hpp>

#include <cstdint>

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push // GCC's own AVX-512 headers read variables they leave undefined on purpose
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

namespace pocketllm::simd {

namespace detail {

template <class A>
struct ShiftedTwice {
  template <int N>
  [[gnu::always_inline]] static u32<A> rotate_left(u32<A> x) noexcept {
    return shift_left<A, N>(x) | shift_right<A, 32 - N>(x);
  }
};

template <class A>
struct Bits : ShiftedTwice<A> {
  [[gnu::always_inline]] static u32<A> byte_sum(u32<A> x) noexcept {
    u32<A> const even = simd::splat<A>(0x00ff00ffU);
    u32<A> const pairs = (x & even) + (shift_right<A, 8>(x) & even);
    return (pairs & simd::splat<A>(0xffffU)) + shift_right<A, 16>(pairs);
  }
};

#if XSIMD_WITH_AVX512BW
template <Avx512 A>
struct Bits<A> {
  template <int N>
  [[gnu::always_inline]] static u32<A> rotate_left(u32<A> x) noexcept {
    return u32<A>(_mm512_rol_epi32(x, N));
  }
  [[gnu::always_inline]] static u32<A> byte_sum(u32<A> x) noexcept {
    __m512i const pairs = _mm512_maddubs_epi16(x, _mm512_set1_epi8(1));
    return u32<A>(_mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
  }
};
#endif

#if XSIMD_WITH_AVX2
template <Avx2 A>
struct Bits<A> : ShiftedTwice<A> {
  [[gnu::always_inline]] static u32<A> byte_sum(u32<A> x) noexcept {
    __m256i const pairs = _mm256_maddubs_epi16(x, _mm256_set1_epi8(1));
    return u32<A>(_mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  }
};
#endif

#if XSIMD_WITH_NEON64
template <Neon64 A>
struct Bits<A> {
  template <int N>
  [[gnu::always_inline]] static u32<A> rotate_left(uint32x4_t x) noexcept {
    return u32<A>(vsriq_n_u32(vshlq_n_u32(x, N), x, 32 - N));
  }
  [[gnu::always_inline]] static u32<A> byte_sum(uint32x4_t x) noexcept {
    return u32<A>(vpaddlq_u16(vpaddlq_u8(vreinterpretq_u8_u32(x))));
  }
};
#endif

} // namespace detail

/// The bits of each element moved up by N, 0 < N < 32, those that fall out coming back below.
template <class A, int N>
[[gnu::always_inline]] inline u32<A> rotate_left(u32<A> x) noexcept {
  return detail::Bits<A>::template rotate_left<N>(x);
}

/// The sum of the four bytes of each element, 0 to 1020.
template <class A>
[[gnu::always_inline]] inline u32<A> byte_sum(u32<A> x) noexcept {
  return detail::Bits<A>::byte_sum(x);
}

} // namespace pocketllm::simd

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
