// SPDX-License-Identifier: Apache-2.0
// Weights of any storage type loaded as vectors of floats.
#pragma once

#include <pocketllm/core/float16.hpp>
#include <pocketllm/core/quantized.hpp>
#include <pocketllm/simd/batch.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push // GCC's own AVX-512 headers read variables they leave undefined on purpose
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

namespace pocketllm::simd {

/// `width<A>` consecutive elements as floats; exact.
template <class A>
[[gnu::always_inline]] inline f32<A> load_as_float(float const* from) noexcept {
  return simd::load<A>(from);
}

namespace detail {
/// Sixteen-bit patterns widened to 32 bits.
template <class A>
[[gnu::always_inline]] inline u32<A> widen(void const* from) noexcept {
  if constexpr (Scalar<A>) {
    std::uint16_t bits = 0;
    std::memcpy(&bits, from, sizeof bits);
    return bits;
#if XSIMD_WITH_AVX512F
  } else if constexpr (Avx512<A>) {
    return u32<A>(_mm512_cvtepu16_epi32(_mm256_loadu_si256(static_cast<__m256i const*>(from))));
#endif
#if XSIMD_WITH_AVX2
  } else if constexpr (Avx2<A>) {
    return u32<A>(_mm256_cvtepu16_epi32(_mm_loadu_si128(static_cast<__m128i const*>(from))));
#endif
#if XSIMD_WITH_NEON64
  } else if constexpr (Neon64<A>) {
    return u32<A>(vmovl_u16(vld1_u16(static_cast<std::uint16_t const*>(from))));
#endif
  } else {
    std::array<std::uint16_t, width<A>> half;
    std::memcpy(half.data(), from, sizeof half);
    alignas(64) std::array<std::uint32_t, width<A>> full;
    for (std::size_t i = 0; i < width<A>; ++i) {
      full[i] = half[i];
    }
    return simd::load<A>(full.data());
  }
}

/// Bytes widened to 32 bits.
template <class A>
[[gnu::always_inline]] inline u32<A> widen_bytes(void const* from) noexcept {
  if constexpr (Scalar<A>) {
    return *static_cast<std::uint8_t const*>(from);
#if XSIMD_WITH_AVX512F
  } else if constexpr (Avx512<A>) {
    return u32<A>(_mm512_cvtepu8_epi32(_mm_loadu_si128(static_cast<__m128i const*>(from))));
#endif
#if XSIMD_WITH_AVX2
  } else if constexpr (Avx2<A>) {
    return u32<A>(_mm256_cvtepu8_epi32(_mm_loadl_epi64(static_cast<__m128i const*>(from))));
#endif
#if XSIMD_WITH_NEON64
  } else if constexpr (Neon64<A>) {
    std::uint32_t four = 0;
    std::memcpy(&four, from, sizeof four);
    return u32<A>(vmovl_u16(vget_low_u16(vmovl_u8(vreinterpret_u8_u32(vdup_n_u32(four))))));
#endif
  } else {
    std::array<std::uint8_t, width<A>> bytes;
    std::memcpy(bytes.data(), from, sizeof bytes);
    alignas(64) std::array<std::uint32_t, width<A>> full;
    for (std::size_t i = 0; i < width<A>; ++i) {
      full[i] = bytes[i];
    }
    return simd::load<A>(full.data());
  }
}
} // namespace detail

/// The codes themselves; their scale is the caller's to apply.
template <class A>
[[gnu::always_inline]] inline f32<A> load_as_float(i8 const* from) noexcept {
  u32<A> const sign = simd::splat<A>(0x80U);
  return simd::convert<A>((detail::widen_bytes<A>(from) ^ sign) - sign);
}

/// The codes less 8 of the lower (`half` 0) or upper (1) halves of `width<A>` bytes.
template <class A>
[[gnu::always_inline]] inline f32<A> load_as_float(i4 const* from, std::size_t half) noexcept {
  u32<A> const bytes = detail::widen_bytes<A>(from);
  u32<A> const codes = half == 0 ? bytes & simd::splat<A>(15U) : shift_right<A, 4>(bytes);
  return simd::convert<A>(codes - simd::splat<A>(8U));
}

/// Exact: the bits of a bfloat16 are the upper half of the float's.
template <class A>
[[gnu::always_inline]] inline f32<A> load_as_float(bf16 const* from) noexcept {
  return as_float<A>(shift_left<A, 16>(detail::widen<A>(from)));
}

/// binary16 in integer arithmetic and one exact product: with the exponent field moved into place the
/// value is 2^-112 of itself (112 = 127 - 15), subnormals included. Infinity and NaN, which a file of
/// weights should not have, come out as large finite numbers here and as themselves below.
template <class A>
[[gnu::always_inline]] inline f32<A> load_as_float(f16 const* from) noexcept {
#if XSIMD_WITH_AVX512F
  if constexpr (Avx512<A>) {
    return f32<A>(_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<__m256i const*>(from))));
  } else
#endif
#if defined(__F16C__)
      if constexpr (Avx<A>) {
    return f32<A>(_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<__m128i const*>(from))));
  } else
#endif
#if XSIMD_WITH_NEON64
      if constexpr (Neon64<A>) {
    return f32<A>(vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(reinterpret_cast<std::uint16_t const*>(from)))));
  } else
#endif
  {
    u32<A> const bits = detail::widen<A>(from);
    u32<A> const sign = shift_left<A, 16>(bits & simd::splat<A>(0x8000U));
    u32<A> const magnitude = shift_left<A, 13>(bits & simd::splat<A>(0x7fffU));
    f32<A> const value = as_float<A>(magnitude) * simd::splat<A>(0x1p112F);
    return as_float<A>(as_bits<A>(value) | sign);
  }
}

} // namespace pocketllm::simd

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
