// SPDX-License-Identifier: Apache-2.0
// Square blocks of floats transposed in registers: width<A> vectors become their columns.
#pragma once

#include <pocketllm/simd/batch.hpp>

#include <array>
#include <cstddef>
#include <utility>

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push // GCC's own AVX-512 headers read variables they leave undefined on purpose
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

namespace pocketllm::simd {

/// A block of `width<A>` by `width<A>` floats, one vector a row.
template <class A>
using Square = std::array<f32<A>, width<A>>;

namespace detail {

/// log2(width) rounds of interleaving rows i and i + width/2: each round
/// rotates the bits of (row, column) by one place, so after all of them row and column have changed sides.
/// For registers of 128 bits; wider ones are below, as xsimd 8 interleaves those within 128-bit lanes only.
template <class A>
struct Transpose {
  [[gnu::always_inline]] static void run(Square<A>& m) noexcept {
    if constexpr (!Scalar<A>) {
      constexpr std::size_t n = width<A>;
      static_assert(n == 4, "wider registers need their own transpose");
      for (std::size_t round = 1; round < n; round *= 2) {
        Square<A> next;
        for (std::size_t i = 0; i < n / 2; ++i) {
          next[2 * i] = xsimd::zip_lo(m[i], m[i + n / 2]);
          next[2 * i + 1] = xsimd::zip_hi(m[i], m[i + n / 2]);
        }
        m = next;
      }
    }
  }
};

#if XSIMD_WITH_AVX
/// Eight by eight: 4x4 blocks within the 128-bit lanes, then the lanes.
template <Avx A>
struct Transpose<A> {
  [[gnu::always_inline]] static void run(Square<A>& m) noexcept {
    __m256 pairs[8], quads[8];
    for (std::size_t i = 0; i < 4; ++i) {
      pairs[2 * i] = _mm256_unpacklo_ps(m[2 * i], m[2 * i + 1]);
      pairs[2 * i + 1] = _mm256_unpackhi_ps(m[2 * i], m[2 * i + 1]);
    }
    for (std::size_t i = 0; i < 2; ++i) {
      quads[4 * i] = _mm256_shuffle_ps(pairs[4 * i], pairs[4 * i + 2], 0x44);
      quads[4 * i + 1] = _mm256_shuffle_ps(pairs[4 * i], pairs[4 * i + 2], 0xee);
      quads[4 * i + 2] = _mm256_shuffle_ps(pairs[4 * i + 1], pairs[4 * i + 3], 0x44);
      quads[4 * i + 3] = _mm256_shuffle_ps(pairs[4 * i + 1], pairs[4 * i + 3], 0xee);
    }
    for (std::size_t i = 0; i < 4; ++i) {
      m[i] = f32<A>(_mm256_permute2f128_ps(quads[i], quads[i + 4], 0x20));
      m[i + 4] = f32<A>(_mm256_permute2f128_ps(quads[i], quads[i + 4], 0x31));
    }
  }
};
#endif

#if XSIMD_WITH_AVX512F
/// Sixteen by sixteen: 4x4 blocks within the 128-bit lanes, then the 4x4 lanes in two rounds.
template <Avx512 A>
struct Transpose<A> {
  [[gnu::always_inline]] static void run(Square<A>& m) noexcept {
    __m512 a[16], b[16];
    for (std::size_t i = 0; i < 8; ++i) {
      a[2 * i] = _mm512_unpacklo_ps(m[2 * i], m[2 * i + 1]);
      a[2 * i + 1] = _mm512_unpackhi_ps(m[2 * i], m[2 * i + 1]);
    }
    for (std::size_t i = 0; i < 4; ++i) { // b[4i + c]: column c of every lane, rows 4i to 4i + 3
      b[4 * i] = _mm512_shuffle_ps(a[4 * i], a[4 * i + 2], 0x44);
      b[4 * i + 1] = _mm512_shuffle_ps(a[4 * i], a[4 * i + 2], 0xee);
      b[4 * i + 2] = _mm512_shuffle_ps(a[4 * i + 1], a[4 * i + 3], 0x44);
      b[4 * i + 3] = _mm512_shuffle_ps(a[4 * i + 1], a[4 * i + 3], 0xee);
    }
    for (std::size_t c = 0; c < 4; ++c) {
      __m512 const low02 = _mm512_shuffle_f32x4(b[c], b[4 + c], 0x88);
      __m512 const low13 = _mm512_shuffle_f32x4(b[c], b[4 + c], 0xdd);
      __m512 const high02 = _mm512_shuffle_f32x4(b[8 + c], b[12 + c], 0x88);
      __m512 const high13 = _mm512_shuffle_f32x4(b[8 + c], b[12 + c], 0xdd);
      m[c] = f32<A>(_mm512_shuffle_f32x4(low02, high02, 0x88));
      m[4 + c] = f32<A>(_mm512_shuffle_f32x4(low13, high13, 0x88));
      m[8 + c] = f32<A>(_mm512_shuffle_f32x4(low02, high02, 0xdd));
      m[12 + c] = f32<A>(_mm512_shuffle_f32x4(low13, high13, 0xdd));
    }
  }
};
#endif

} // namespace detail

/// The columns of the block become its rows.
template <class A>
[[gnu::always_inline]] inline void transpose(Square<A>& m) noexcept {
  detail::Transpose<A>::run(m);
}

} // namespace pocketllm::simd

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
