// SPDX-License-Identifier: Apache-2.0
// Arithmetic of vectors with the same results on every instruction set and with every version of xsimd.
#pragma once

#include <pocketllm/simd/batch.hpp>

#include <array>
#include <cmath>
#include <cstddef>

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push // GCC's own AVX-512 headers read variables they leave undefined on purpose
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

namespace pocketllm::simd {

namespace detail {
template <class A>
struct Exact {
  [[gnu::always_inline]] static f32<A> sqrt(f32<A> value) noexcept { return xsimd::sqrt(value); }
  [[gnu::always_inline]] static f32<A> divide(f32<A> a, f32<A> b) noexcept { return a / b; }
};
#if XSIMD_WITH_NEON64
template <Neon64 A>
struct Exact<A> { // xsimd 8 refines estimates there, which are off by a bit now and then
  [[gnu::always_inline]] static f32<A> sqrt(f32<A> value) noexcept { return f32<A>(vsqrtq_f32(value)); }
  [[gnu::always_inline]] static f32<A> divide(f32<A> a, f32<A> b) noexcept { return f32<A>(vdivq_f32(a, b)); }
};
#endif
} // namespace detail

/// Rounded as IEEE 754 says, on every architecture.
template <class A>
[[gnu::always_inline]] inline f32<A> sqrt(f32<A> value) noexcept {
  if constexpr (Scalar<A>) {
    return std::sqrt(value);
  } else {
    return detail::Exact<A>::sqrt(value);
  }
}

/// a / b, rounded as IEEE 754 says.
template <class A>
[[gnu::always_inline]] inline f32<A> divide(f32<A> a, f32<A> b) noexcept {
  if constexpr (Scalar<A>) {
    return a / b;
  } else {
    return detail::Exact<A>::divide(a, b);
  }
}

namespace detail {
template <class A>
struct Extrema {
  [[gnu::always_inline]] static f32<A> max(f32<A> a, f32<A> b) noexcept { return xsimd::max(a, b); }
  [[gnu::always_inline]] static f32<A> min(f32<A> a, f32<A> b) noexcept { return xsimd::min(a, b); }
};
// x86 gives the second operand where one is not a number. xsimd 14 swaps them.
#if XSIMD_WITH_SSE2
template <Sse2 A>
struct Extrema<A> {
  [[gnu::always_inline]] static f32<A> max(f32<A> a, f32<A> b) noexcept { return f32<A>(_mm_max_ps(a, b)); }
  [[gnu::always_inline]] static f32<A> min(f32<A> a, f32<A> b) noexcept { return f32<A>(_mm_min_ps(a, b)); }
};
#endif
#if XSIMD_WITH_AVX
template <Avx A>
struct Extrema<A> {
  [[gnu::always_inline]] static f32<A> max(f32<A> a, f32<A> b) noexcept {
    return f32<A>(_mm256_max_ps(a, b));
  }
  [[gnu::always_inline]] static f32<A> min(f32<A> a, f32<A> b) noexcept {
    return f32<A>(_mm256_min_ps(a, b));
  }
};
#endif
#if XSIMD_WITH_AVX512F
template <Avx512 A>
struct Extrema<A> {
  [[gnu::always_inline]] static f32<A> max(f32<A> a, f32<A> b) noexcept {
    return f32<A>(_mm512_max_ps(a, b));
  }
  [[gnu::always_inline]] static f32<A> min(f32<A> a, f32<A> b) noexcept {
    return f32<A>(_mm512_min_ps(a, b));
  }
};
#endif
} // namespace detail

/// The larger of two numbers, element by element; NaN where b is.
template <class A>
[[gnu::always_inline]] inline f32<A> max(f32<A> a, f32<A> b) noexcept {
  if constexpr (Scalar<A>) {
    return a > b ? a : b;
  } else {
    return detail::Extrema<A>::max(a, b);
  }
}
/// The smaller of two numbers, element by element; NaN where b is.
template <class A>
[[gnu::always_inline]] inline f32<A> min(f32<A> a, f32<A> b) noexcept {
  if constexpr (Scalar<A>) {
    return a < b ? a : b;
  } else {
    return detail::Extrema<A>::min(a, b);
  }
}

namespace detail {
template <class A>
struct Fused {
  [[gnu::always_inline]] static f32<A> run(f32<A> a, f32<A> b, f32<A> c) noexcept {
    return xsimd::fma(a, b, c);
  }
};
#if XSIMD_WITH_AVX512F
template <Avx512 A>
struct Fused<A> { // xsimd 8 has none for AVX-512 and rounds twice unless the compiler happens to contract
  [[gnu::always_inline]] static f32<A> run(f32<A> a, f32<A> b, f32<A> c) noexcept {
    return f32<A>(_mm512_fmadd_ps(a, b, c));
  }
};
#endif
} // namespace detail

/// a * b + c with one rounding on every architecture: what z, the update and therefore a replay are
/// made of, so that they have the same bits everywhere. Where the hardware has no such instruction
/// the C library's fmaf is called for every element.
template <class A>
[[gnu::always_inline]] inline f32<A> fma(f32<A> a, f32<A> b, f32<A> c) noexcept {
  if constexpr (Scalar<A>) {
    return std::fma(a, b, c);
  } else if constexpr (has_fma<A>) {
    return detail::Fused<A>::run(a, b, c);
  } else {
    alignas(64) std::array<float, width<A>> x, y, z;
    simd::store<A>(x.data(), a);
    simd::store<A>(y.data(), b);
    simd::store<A>(z.data(), c);
    for (std::size_t i = 0; i < width<A>; ++i) {
      z[i] = std::fma(x[i], y[i], z[i]);
    }
    return simd::load<A>(z.data());
  }
}

namespace detail {
template <class A>
struct Contracted {
  [[gnu::always_inline]] static f32<A> run(f32<A> a, f32<A> b, f32<A> c) noexcept { return a * b + c; }
};
#if defined(__FMA__) // where compilers fuse a * b + c in one place and not in another
template <Sse2 A>
struct Contracted<A> {
  [[gnu::always_inline]] static f32<A> run(f32<A> a, f32<A> b, f32<A> c) noexcept {
    return f32<A>(_mm_fmadd_ps(a, b, c));
  }
};
template <Avx A>
struct Contracted<A> {
  [[gnu::always_inline]] static f32<A> run(f32<A> a, f32<A> b, f32<A> c) noexcept {
    return f32<A>(_mm256_fmadd_ps(a, b, c));
  }
};
#endif
} // namespace detail

/// a * b + c, as fast as the hardware does it: with one rounding where `has_fma<A>` or the file is compiled
/// for a machine that has it, else with two.
template <class A>
[[gnu::always_inline]] inline f32<A> mul_add(f32<A> a, f32<A> b, f32<A> c) noexcept {
  if constexpr (Scalar<A>) {
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
    return std::fma(a, b, c);
#else
    return a * b + c;
#endif
  } else if constexpr (has_fma<A>) {
    return detail::Fused<A>::run(a, b, c);
  } else {
    return detail::Contracted<A>::run(a, b, c);
  }
}

} // namespace pocketllm::simd

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
