// SPDX-License-Identifier: Apache-2.0
// Sums of products of small integers: a few neighbouring codes in every element of 32 bits.
#pragma once

#include <pocketllm/simd/batch.hpp>

#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#if XSIMD_WITH_NEON64 && !defined(__ARM_FEATURE_DOTPROD) && defined(__linux__)
#include <sys/auxv.h>
#define POCKETLLM_ASKS_FOR_DOTPROD 1
#else
#define POCKETLLM_ASKS_FOR_DOTPROD 0
#endif

namespace pocketllm::simd {

/// Instructions of x86-64 multiply pairs of 16 bits (pmaddwd), those of AArch64 bytes.
template <class A>
concept DotsPairs = Sse2<A> || Avx2<A> || std::derived_from<A, xsimd::avx512bw>;
static_assert(DotsPairs<xsimd::sse2> && DotsPairs<xsimd::avx512bw>);
static_assert(!DotsPairs<scalar> && !DotsPairs<xsimd::neon64> && !DotsPairs<xsimd::avx>);

/// What an element of 32 bits holds of the integers that are multiplied: neighbours in the sum.
template <class A>
struct Dot {
  using Code = std::int8_t;                              ///< -127 to 127
  using Sixteen = Code __attribute__((vector_size(16))); ///< so many codes, as compilers' own vectors
  static constexpr std::size_t count = 4;                ///< codes in an element
};
/// Pairs of 16 bits.
template <DotsPairs A>
struct Dot<A> {
  using Code = std::int16_t;                             ///< -127 to 127 too, in 16 bits
  using Sixteen = Code __attribute__((vector_size(32))); ///< sixteen codes
  static constexpr std::size_t count = 2;                ///< codes in an element
};

/// The same architecture with ARMv8.2's sdot, which a Neon64 machine has or not.
template <Neon64 A>
struct WithDotprod {};

namespace detail {

template <class A>
struct DotAdd {
  using Code = typename Dot<A>::Code;
  using Codes = std::array<Code, Dot<A>::count>;

  [[nodiscard]] static std::uint32_t one(std::uint32_t sum, std::uint32_t x, std::uint32_t y) noexcept {
    Codes const a = std::bit_cast<Codes>(x), b = std::bit_cast<Codes>(y);
    for (std::size_t i = 0; i < a.size(); ++i) {
      sum += static_cast<std::uint32_t>(a[i] * b[i]);
    }
    return sum;
  }
  [[gnu::always_inline]] static u32<A> run(u32<A> sum, u32<A> x, u32<A> y) noexcept {
    if constexpr (Scalar<A>) {
      return one(sum, x, y);
    } else {
      alignas(64) std::array<std::uint32_t, width<A>> s, a, b;
      simd::store<A>(s.data(), sum);
      simd::store<A>(a.data(), x);
      simd::store<A>(b.data(), y);
      for (std::size_t i = 0; i < width<A>; ++i) {
        s[i] = one(s[i], a[i], b[i]);
      }
      return simd::load<A>(s.data());
    }
  }
};
// The empty asm keeps GCC 12 from making all products of a sum before it adds the first, which then lie on
// the stack.
#if XSIMD_WITH_SSE2
template <Sse2 A>
struct DotAdd<A> {
  [[gnu::always_inline]] static u32<A> run(u32<A> sum, u32<A> x, u32<A> y) noexcept {
    __m128i result = _mm_add_epi32(sum, _mm_madd_epi16(x, y));
    __asm__("" : "+x"(result));
    return u32<A>(result);
  }
};
#endif
#if XSIMD_WITH_AVX2
template <Avx2 A>
struct DotAdd<A> {
  [[gnu::always_inline]] static u32<A> run(u32<A> sum, u32<A> x, u32<A> y) noexcept {
    __m256i result = _mm256_add_epi32(sum, _mm256_madd_epi16(x, y));
    __asm__("" : "+x"(result));
    return u32<A>(result);
  }
};
#endif
#if XSIMD_WITH_AVX512BW
template <Avx512 A>
requires DotsPairs<A>
struct DotAdd<A> {
  [[gnu::always_inline]] static u32<A> run(u32<A> sum, u32<A> x, u32<A> y) noexcept {
#if defined(__AVX512VNNI__)
    return u32<A>(_mm512_dpwssd_epi32(sum, x, y));
#else
    __m512i result = _mm512_add_epi32(sum, _mm512_madd_epi16(x, y));
    __asm__("" : "+v"(result));
    return u32<A>(result);
#endif
  }
};
#endif
#if XSIMD_WITH_NEON64
template <Neon64 A>
struct DotAdd<A> { // two products of bytes (-127 to 127) fit 16 bits
  [[gnu::always_inline]] static u32<A> run(u32<A> sum, u32<A> x, u32<A> y) noexcept {
    int8x16_t const a = vreinterpretq_s8_u32(x), b = vreinterpretq_s8_u32(y);
    int16x8_t const low = vmull_s8(vget_low_s8(a), vget_low_s8(b)), high = vmull_high_s8(a, b);
    return u32<A>(vreinterpretq_u32_s32(vpadalq_s16(vreinterpretq_s32_u32(sum), vpaddq_s16(low, high))));
  }
};
template <Neon64 A>
struct DotAdd<WithDotprod<A>> {
  /// One element, in place of a vector of it. Not the intrinsic, which clang before 16 has only where all of
  /// the file is compiled for such machines.
  [[gnu::always_inline]] static u32<A> run(u32<A> sum, u32<A> x, float y) noexcept {
    uint32x4_t result = sum, a = x;
    __asm__("sdot %0.4s, %1.16b, %2.4b[0]" : "+w"(result) : "w"(a), "w"(y));
    return u32<A>(result);
  }
};
#endif

} // namespace detail

/// Whether the machine has sdot. POCKETLLM_LEVEL=baseline in the environment says no, to compare, unless the
/// file is compiled for machines that have it.
[[nodiscard]] inline bool machine_has_dotprod() noexcept {
#if defined(__ARM_FEATURE_DOTPROD)
  return true;
#elif POCKETLLM_ASKS_FOR_DOTPROD
  constexpr unsigned long asimddp = 1UL << 20; // HWCAP_ASIMDDP, which older headers lack
  char const* const level = std::getenv("POCKETLLM_LEVEL");
  return (getauxval(AT_HWCAP) & asimddp) != 0 && (level == nullptr || std::string_view(level) != "baseline");
#else
  return false;
#endif
}

} // namespace pocketllm::simd
