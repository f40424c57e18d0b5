// SPDX-License-Identifier: Apache-2.0
// Vectors of 32-bit floats and integers for kernels that are written once for every instruction set:
// xsimd's batches, and plain numbers for the architecture `scalar`.
#pragma once

#include <xsimd/xsimd.hpp>

#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push // GCC's own AVX-512 headers read variables they leave undefined on purpose
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

namespace pocketllm::simd {

/// The architecture without vectors: a float is its own batch of one.
struct scalar {};

/// The architecture of plain numbers.
template <class A>
concept Scalar = std::same_as<A, scalar>;

/// The best instruction set that the including file is compiled for.
#if defined(XSIMD_NO_SUPPORTED_ARCHITECTURE) || defined(POCKETLLM_SCALAR)
using native = scalar;
#else
using native = xsimd::default_arch;
#endif

namespace detail {
template <class T, class A>
struct batch_type {
  using type = xsimd::batch<T, A>;
  static constexpr std::size_t width = xsimd::batch<T, A>::size;
};
template <class T>
struct batch_type<T, scalar> {
  using type = T;
  static constexpr std::size_t width = 1;
};

template <class A>
struct is_fma3 : std::false_type {};
template <class B>
struct is_fma3<xsimd::fma3<B>> : std::true_type {};
} // namespace detail

/// A vector of `width<A>` floats, and of as many unsigned 32-bit integers.
template <class A>
using f32 = typename detail::batch_type<float, A>::type;
/// The integers; with A = scalar both are plain numbers.
template <class A>
using u32 = typename detail::batch_type<std::uint32_t, A>::type;

/// Elements in a vector: 1, 4, 8 or 16.
template <class A>
inline constexpr std::size_t width = detail::batch_type<float, A>::width;

/// AVX-512 F and what goes beyond it.
template <class A>
concept Avx512 = std::derived_from<A, xsimd::avx512f>;
/// AVX2 with or without FMA, but not AVX-512.
template <class A>
concept Avx2 = std::derived_from<A, xsimd::avx2> && !Avx512<A>;
/// Vectors of 256 bits, AVX2 included.
template <class A>
concept Avx = std::derived_from<A, xsimd::avx> && !Avx512<A>;
/// Vectors of 128 bits on x86-64.
template <class A>
concept Sse2 = std::derived_from<A, xsimd::sse2> && !Avx<A> && !Avx512<A>;
/// Vectors of 128 bits on AArch64.
template <class A>
concept Neon64 = std::derived_from<A, xsimd::neon64>;

/// Whether the instruction set multiplies and adds with one rounding. Without it, fma() is right but
/// slow, and mul_add() rounds twice.
template <class A>
inline constexpr bool has_fma = detail::is_fma3<A>::value || Avx512<A> || Neon64<A>;

/// `width<A>` floats, from an address that need not be aligned.
template <class A>
[[gnu::always_inline]] inline f32<A> load(float const* from) noexcept {
  if constexpr (Scalar<A>) {
    return *from;
  } else {
    return f32<A>::load_unaligned(from);
  }
}

/// The same of integers.
template <class A>
[[gnu::always_inline]] inline u32<A> load(std::uint32_t const* from) noexcept {
  if constexpr (Scalar<A>) {
    return *from;
  } else {
    return u32<A>::load_unaligned(from);
  }
}

/// `width<A>` floats or integers, to an address that need not be aligned.
template <class A, class T>
[[gnu::always_inline]] inline void store(T* to, typename detail::batch_type<T, A>::type value) noexcept {
  if constexpr (Scalar<A>) {
    *to = value;
  } else {
    value.store_unaligned(to);
  }
}

/// `value` in all elements.
template <class A>
[[gnu::always_inline]] inline f32<A> splat(float value) noexcept {
  return f32<A>(value);
}
/// The same of an integer.
template <class A>
[[gnu::always_inline]] inline u32<A> splat(std::uint32_t value) noexcept {
  return u32<A>(value);
}

/// {first, first + 1, first + 2, ...}
template <class A>
[[gnu::always_inline]] inline u32<A> iota(std::uint32_t first) noexcept {
  alignas(64) static constexpr std::array<std::uint32_t, 16> steps{0, 1, 2,  3,  4,  5,  6,  7,
                                                                   8, 9, 10, 11, 12, 13, 14, 15};
  return simd::load<A>(steps.data()) + simd::splat<A>(first);
}

namespace detail {
/// The same register as another batch. xsimd's own cast takes the batch in version 8 and its elements' type
/// later.
template <class To, class From>
[[gnu::always_inline]] inline To reinterpret(From value) noexcept {
  typename From::register_type const bits = value;
  return To(__builtin_bit_cast(typename To::register_type, bits));
}
} // namespace detail

/// The bits of a float as an integer and back.
template <class A>
[[gnu::always_inline]] inline u32<A> as_bits(f32<A> value) noexcept {
  if constexpr (Scalar<A>) {
    return std::bit_cast<std::uint32_t>(value);
  } else {
    return detail::reinterpret<u32<A>>(value);
  }
}
/// Back: the float that has these bits.
template <class A>
[[gnu::always_inline]] inline f32<A> as_float(u32<A> bits) noexcept {
  if constexpr (Scalar<A>) {
    return std::bit_cast<float>(bits);
  } else {
    return detail::reinterpret<f32<A>>(bits);
  }
}

/// The value of an integer, taken as a signed one, as a float, rounded to nearest.
template <class A>
[[gnu::always_inline]] inline f32<A> convert(u32<A> value) noexcept {
  if constexpr (Scalar<A>) {
    return static_cast<float>(static_cast<std::int32_t>(value));
  } else {
    return xsimd::to_float(detail::reinterpret<xsimd::batch<std::int32_t, A>>(value));
  }
}

/// The integer part of a number in [0, 2^31).
template <class A>
[[gnu::always_inline]] inline u32<A> truncate(f32<A> value) noexcept {
  if constexpr (Scalar<A>) {
    return static_cast<std::uint32_t>(value);
  } else {
    return detail::reinterpret<u32<A>>(xsimd::to_int(value));
  }
}

/// Element by element, a where the comparison `mask` holds and b elsewhere.
template <class A, class Mask>
[[gnu::always_inline]] inline u32<A> select(Mask mask, u32<A> a, u32<A> b) noexcept {
  if constexpr (Scalar<A>) {
    return mask ? a : b;
  } else {
    return xsimd::select(mask, a, b);
  }
}

/// Element by element, x where a < b as signed integers and y elsewhere: AVX2 compares no others, and takes
/// three instructions for unsigned ones.
template <class A>
[[gnu::always_inline]] inline u32<A> select_below(u32<A> a, u32<A> b, u32<A> x, u32<A> y) noexcept {
  if constexpr (Scalar<A>) {
    return static_cast<std::int32_t>(a) < static_cast<std::int32_t>(b) ? x : y;
  } else {
    using I = xsimd::batch<std::int32_t, A>;
    auto const mask = detail::reinterpret<I>(a) < detail::reinterpret<I>(b);
    return detail::reinterpret<u32<A>>(
        xsimd::select(mask, detail::reinterpret<I>(x), detail::reinterpret<I>(y)));
  }
}

/// Shifts by a number known at compile time.
template <class A, int Bits>
[[gnu::always_inline]] inline u32<A> shift_right(u32<A> value) noexcept {
  return value >> Bits;
}
/// To the left, likewise.
template <class A, int Bits>
[[gnu::always_inline]] inline u32<A> shift_left(u32<A> value) noexcept {
  return value << Bits;
}

} // namespace pocketllm::simd

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
