// SPDX-License-Identifier: Apache-2.0
// Products of 32-bit integers in 64 bits, which a counter-based generator is made of.
#pragma once

#include <pocketllm/simd/batch.hpp>

#include <array>
#include <cstddef>
#include <cstdint>

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push // GCC's own AVX-512 headers read variables they leave undefined on purpose
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

namespace pocketllm::simd {

/// The product of 32-bit integers, lower and upper half.
template <class A>
struct Wide {
  u32<A> low, ///< bits 0 to 31 of each product
      high;   ///< bits 32 to 63
};

namespace detail {

/// xsimd has no widening multiplication, so each instruction set has its own: the products of the even and of
/// the odd elements, put together again. This one is for plain numbers and for sets not named below.
template <class A>
struct MulWide {
  [[gnu::always_inline]] static Wide<A> run(u32<A> a, std::uint32_t m) noexcept {
    alignas(64) std::array<std::uint32_t, width<A>> low, high;
    simd::store<A>(low.data(), a);
    for (std::size_t i = 0; i < width<A>; ++i) {
      std::uint64_t const product = static_cast<std::uint64_t>(low[i]) * m;
      low[i] = static_cast<std::uint32_t>(product);
      high[i] = static_cast<std::uint32_t>(product >> 32);
    }
    return {simd::load<A>(low.data()), simd::load<A>(high.data())};
  }
};

#if XSIMD_WITH_AVX512F
template <Avx512 A>
struct MulWide<A> {
  [[gnu::always_inline]] static Wide<A> run(__m512i x, std::uint32_t m) noexcept {
    __m512i const factor = _mm512_set1_epi32(static_cast<int>(m));
    __m512i const even = _mm512_mul_epu32(x, factor);
    __m512i const odd = _mm512_mul_epu32(_mm512_srli_epi64(x, 32), factor);
    return {u32<A>(_mm512_mullo_epi32(x, factor)),
            u32<A>(_mm512_mask_mov_epi32(_mm512_srli_epi64(even, 32), 0xaaaa, odd))};
  }
};
#endif

#if XSIMD_WITH_AVX2
template <Avx2 A>
struct MulWide<A> {
  [[gnu::always_inline]] static Wide<A> run(__m256i x, std::uint32_t m) noexcept {
    __m256i const factor = _mm256_set1_epi32(static_cast<int>(m));
    __m256i const even = _mm256_mul_epu32(x, factor);
    __m256i const odd = _mm256_mul_epu32(_mm256_srli_epi64(x, 32), factor);
    return {u32<A>(_mm256_mullo_epi32(x, factor)),
            u32<A>(_mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xaa))};
  }
};
#endif

#if XSIMD_WITH_SSE2
template <Sse2 A>
struct MulWide<A> {
  [[gnu::always_inline]] static Wide<A> run(__m128i x, std::uint32_t m) noexcept {
    __m128i const factor = _mm_set1_epi32(static_cast<int>(m));
    __m128i const even = _mm_mul_epu32(x, factor);
    __m128i const odd = _mm_mul_epu32(_mm_srli_epi64(x, 32), factor);
    __m128i const upper = _mm_set_epi32(-1, 0, -1, 0);
    return {u32<A>(_mm_or_si128(_mm_andnot_si128(upper, even), _mm_slli_epi64(odd, 32))),
            u32<A>(_mm_or_si128(_mm_srli_epi64(even, 32), _mm_and_si128(upper, odd)))};
  }
};
#endif

#if XSIMD_WITH_NEON64
template <Neon64 A>
struct MulWide<A> {
  [[gnu::always_inline]] static Wide<A> run(uint32x4_t x, std::uint32_t m) noexcept {
    uint32x4_t const first = vreinterpretq_u32_u64(vmull_n_u32(vget_low_u32(x), m));
    uint32x4_t const second = vreinterpretq_u32_u64(vmull_high_n_u32(x, m));
    return {u32<A>(vuzp1q_u32(first, second)), u32<A>(vuzp2q_u32(first, second))};
  }
};
#endif

} // namespace detail

/// a * m in 64 bits, element by element.
template <class A>
[[gnu::always_inline]] inline Wide<A> mul_wide(u32<A> a, std::uint32_t m) noexcept {
  return detail::MulWide<A>::run(a, m);
}

} // namespace pocketllm::simd

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
