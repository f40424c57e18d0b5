// SPDX-License-Identifier: Apache-2.0
// The innermost part of products of integers: rows of codes times a panel of codes, in groups that have
// scales.
#pragma once

#include <pocketllm/simd/arithmetic.hpp>
#include <pocketllm/simd/batch.hpp>
#include <pocketllm/simd/dot.hpp>
#include <pocketllm/simd/tile.hpp>

#include <array>
#include <concepts>
#include <cstddef>
#include <utility>

namespace pocketllm::simd {

/// Codes that share a scale, of activations and in a row of weights: those of 4-bit weights.
inline constexpr std::size_t code_group = 32;
/// Groups of a row that are multiplied at a time.
inline constexpr std::size_t code_groups = tile_depth / code_group;

/// Elements of 32 bits that a group takes.
template <class A>
inline constexpr std::size_t code_words = code_group / Dot<A>::count;
/// From one row to the next in a block of rows of codes, in elements of 32 bits; a cache line off a power of
/// two, as tile_stride is.
template <class A>
inline constexpr std::size_t code_stride = code_groups* code_words<A> + 16;

/// Where a block of rows of codes is multiplied. Elements are of 32 bits, with `Dot<A>::count` codes in each.
struct CodeArguments {
  float const* rows;         ///< codes, `code_stride<A>` apart
  float const* row_scales;   ///< [count, code_groups]
  std::size_t count;         ///< rows
  float const* panel;        ///< codes [groups, `code_words<A>`, cols]
  float const* panel_scales; ///< [groups, cols]
  std::size_t groups;        ///< of the panel and of each row, code_groups at most
  float* sums;               ///< [count, cols]
  std::size_t sums_stride;   ///< floats from one row to the next
  float const* initial;      ///< [count]: what the sums start from, or null for what is in `sums`
  Ahead* ahead;              ///< what to fetch meanwhile
};

namespace detail {

/// D is A, or `WithDotprod<A>`.
template <class A, class D, std::size_t Rows, std::size_t... C>
struct CodeTile {
  static constexpr std::size_t vectors = sizeof...(C), cols = vectors * width<A>;
  using Codes = std::array<u32<A>, vectors>;
  using Scales = std::array<f32<A>, vectors>;
  using Sums = std::array<Codes, Rows>;

  template <std::size_t... R>
  [[gnu::always_inline]] static void run(CodeArguments const& t, std::size_t row,
                                         std::index_sequence<R...>) noexcept {
    float* const to = t.sums + row * t.sums_stride;
    if (t.initial != nullptr) {
      (fill_row(to + R * t.sums_stride, t.initial[row + R]), ...);
    }
    float const* panel = t.panel;
    float const* const scales = t.row_scales + row * code_groups;
    Ahead ahead = *t.ahead;
    static_assert(code_words<A> % unrolled<A> == 0);
    for (std::size_t g = 0; g < t.groups; ++g, panel += code_words<A> * cols) {
      Sums sum;
      (zero_row(sum[R]), ...);
      float const* const x = t.rows + row * code_stride<A> + g * code_words<A>;
      for (std::size_t k = 0; k < code_words<A>; k += unrolled<A>) {
        ahead.step();
        multiply_words<R...>(sum, x + k, panel + k * cols, std::make_index_sequence<unrolled<A>>{});
      }
      Scales const across{simd::load<A>(t.panel_scales + g * cols + C * width<A>)...};
      (add_row(to + R * t.sums_stride, sum[R], across, simd::splat<A>(scales[R * code_groups + g])), ...);
    }
    *t.ahead = ahead;
  }

private:
  [[gnu::always_inline]] static void fill_row(float* to, float value) noexcept {
    (simd::store<A>(to + C * width<A>, simd::splat<A>(value)), ...);
  }
  [[gnu::always_inline]] static void zero_row(Codes& sum) noexcept { ((sum[C] = simd::splat<A>(0U)), ...); }
  template <std::size_t... R, std::size_t... K>
  [[gnu::always_inline]] static void multiply_words(Sums& sum, float const* x, float const* panel,
                                                    std::index_sequence<K...>) noexcept {
    (multiply_word<R...>(sum, x + K, panel + K * cols), ...);
  }
  template <std::size_t... R>
  [[gnu::always_inline]] static void multiply_word(Sums& sum, float const* x, float const* panel) noexcept {
    Codes const p{simd::as_bits<A>(simd::load<A>(panel + C * width<A>))...};
    (multiply_row(sum[R], spread(x[R * code_stride<A>]), p), ...);
  }
  /// An element of a row as D multiplies it.
  [[gnu::always_inline]] static auto spread(float x) noexcept {
    if constexpr (std::same_as<D, A>) {
      return simd::as_bits<A>(simd::splat<A>(x));
    } else {
      return x;
    }
  }
  template <class Element>
  [[gnu::always_inline]] static void multiply_row(Codes& sum, Element x, Codes const& p) noexcept {
    ((sum[C] = DotAdd<D>::run(sum[C], p[C], x)), ...);
    keep_order<A>();
  }
  [[gnu::always_inline]] static void add_row(float* to, Codes const& sum, Scales const& across,
                                             f32<A> scale) noexcept {
    (simd::store<A>(to + C * width<A>, simd::mul_add<A>(simd::convert<A>(sum[C]), across[C] * scale,
                                                        simd::load<A>(to + C * width<A>))),
     ...);
  }
};

template <class A, class D, std::size_t Rows, std::size_t... C>
[[gnu::noinline]] inline void run_code_tile(CodeArguments const& t, std::size_t row,
                                            std::index_sequence<C...>) noexcept {
  CodeTile<A, D, Rows, C...>::run(t, row, std::make_index_sequence<Rows>{});
}
#if XSIMD_WITH_NEON64
#if defined(__ARM_FEATURE_DOTPROD)
#define POCKETLLM_DOTPROD
#elif defined(__clang__)
#define POCKETLLM_DOTPROD __attribute__((target("dotprod")))
#else
#define POCKETLLM_DOTPROD __attribute__((target("arch=armv8.2-a+dotprod")))
#endif
template <class A, std::size_t Rows, std::size_t... C>
[[gnu::noinline]] POCKETLLM_DOTPROD inline void run_dotprod_tile(CodeArguments const& t, std::size_t row,
                                                                 std::index_sequence<C...>) noexcept {
  CodeTile<A, WithDotprod<A>, Rows, C...>::run(t, row, std::make_index_sequence<Rows>{});
}
#undef POCKETLLM_DOTPROD
#endif

template <class A, std::size_t Rows, std::size_t... C>
void multiply_code_rows(CodeArguments const& t, std::size_t row, std::index_sequence<C...> columns) noexcept {
#if XSIMD_WITH_NEON64
  if constexpr (Neon64<A>) {
    static bool const dotprod = machine_has_dotprod();
    if (dotprod) {
      return run_dotprod_tile<A, Rows>(t, row, columns);
    }
  }
#endif
  run_code_tile<A, A, Rows>(t, row, columns);
}

template <class A, std::size_t Vectors>
void multiply_codes(CodeArguments const& t) noexcept {
  constexpr std::size_t most = TileShape<A>::accumulators / Vectors;
  constexpr std::make_index_sequence<Vectors> columns;
  std::size_t row = 0;
  for (; row + most <= t.count; row += most) {
    multiply_code_rows<A, most>(t, row, columns);
  }
  for (; row + 4 <= t.count; row += 4) {
    multiply_code_rows<A, 4>(t, row, columns);
  }
  for (; row < t.count; ++row) {
    multiply_code_rows<A, 1>(t, row, columns);
  }
}

} // namespace detail

/// sums += (rows .* row_scales) (panel .* panel_scales), for a panel of `vectors` <= `TileShape<A>::vectors`
/// vectors. The sum of a group is an exact integer; groups are added in their order, so the bits are the same
/// for every shape of tiles and for all instruction sets with fused multiply-adds.
template <class A, std::size_t Vectors = TileShape<A>::vectors>
void multiply_codes(CodeArguments const& t, std::size_t vectors) noexcept {
  if constexpr (Vectors > 0) {
    if (vectors == Vectors) {
      detail::multiply_codes<A, Vectors>(t);
    } else {
      simd::multiply_codes<A, Vectors - 1>(t, vectors);
    }
  }
}

} // namespace pocketllm::simd
