// SPDX-License-Identifier: Apache-2.0
// The innermost part of every matrix product: a few rows of one matrix, element by element, times a panel of
// vectors of the other, with the results held in registers.
#pragma once

#include <pocketllm/simd/arithmetic.hpp>
#include <pocketllm/simd/prefetch.hpp>

#include <array>
#include <cstddef>
#include <utility>

namespace pocketllm::simd {

/// The tile that fills an instruction set's registers: `vectors` of a panel side by side, and `accumulators`
/// sums, so accumulators / vectors rows; the vectors of the panel and one of the row must fit beside them. A
/// panel may have fewer vectors; then the tile has more rows.
template <class A>
struct TileShape { // 16 registers of 128 bits (SSE): 12 + 2 + 1; plain numbers are left to the compiler
  static constexpr std::size_t vectors = 2, accumulators = 12;
};
template <Avx A>
struct TileShape<A> { // 16 registers of 256 bits: 12 + 2 + 1
  static constexpr std::size_t vectors = 2, accumulators = 12;
};
template <Avx512 A>
struct TileShape<A> { // 32 registers of 512 bits: 24 + 2 + 1; 28 sums are no faster
  static constexpr std::size_t vectors = 2, accumulators = 24;
};
template <Neon64 A>
struct TileShape<A> { // 32 registers of 128 bits: 24 + 4 + 1
  static constexpr std::size_t vectors = 4, accumulators = 24;
};

/// Columns of a full panel.
template <class A>
inline constexpr std::size_t panel_cols = TileShape<A>::vectors* width<A>;

/// Elements of a row that are multiplied at a time: a panel of 32 columns (64 kB) lives in the second-level
/// cache, the rows of a tile (24 kB) in the first. 512 reaches 0.95 of an AVX-512 core's peak, 256 0.94 and
/// 128 0.93; it is a multiple of every perturbation's block.
inline constexpr std::size_t tile_depth = 512;

/// From one row to the next in a block of rows. A constant, so that all rows of a tile are addressed from one
/// pointer (0.95 of the peak instead of 0.83), and a cache line off a power of two, which would put all rows
/// into the same few sets of the cache.
inline constexpr std::size_t tile_stride = tile_depth + 16;

/// Rows of a block: a multiple of every tile's. 100 kB of them stay in the second-level cache while all
/// panels pass by.
inline constexpr std::size_t block_rows = 96;

/// Elements of depth in a pass of the innermost loop: counting, addresses and prefetches take slots of the
/// same ports as multiply-adds. With AVX2 a pass of 4 has half the multiply-adds of one with AVX-512: 8 reach
/// 0.90 of a Zen 3's peak there, 4 0.86, and 16 are no faster.
template <class A>
inline constexpr std::size_t unrolled = Avx<A> ? 8 : 4;

/// What tiles fetch while they compute, a little in every pass.
struct Ahead {
  static constexpr char nothing = 0; ///< a place that is always in the cache
  Prefetch weights;                  ///< the rows that come behind the block
  char const* panel = &nothing; ///< the panel that is read behind this one: unlike `weights` it is one piece,
  std::size_t panel_step = 0;   ///< of which each tile fetches its share: bytes in a pass

  /// Fetches a pass's share of the weights and of the panel.
  [[gnu::always_inline]] void step() noexcept {
    weights.step();
    __builtin_prefetch(panel);
    panel += panel_step;
  }
};

/// Where a block of rows is multiplied. R [rows, depth], rows tile_stride apart; the panel [depth, cols],
/// dense; sums [rows, cols], rows sums_stride apart.
struct BlockArguments {
  float const* rows;       ///< tile_stride apart
  std::size_t count;       ///< of rows
  float const* panel;      ///< [depth, cols]
  std::size_t depth;       ///< tile_depth at most
  float* sums;             ///< [count, cols]
  std::size_t sums_stride; ///< floats from one row to the next
  float const* initial;    ///< [rows]: what the sums start from, or null for what is in `sums`
  Ahead* ahead;            ///< what to fetch meanwhile
};

namespace detail {

/// Keeps loads behind what stands before them, at no cost. Compilers for AArch64 move them up so far that
/// sums no longer fit into the registers: GCC 12 reaches 0.78 of a Neoverse N1's multiply-adds so and 0.96
/// with this, clang 14 in the tile of one vector 0.85 and 0.94 (benchmarks/mca.py; a test counts what lies on
/// the stack).
template <class A>
[[gnu::always_inline]] inline void keep_order() noexcept {
  if constexpr (Neon64<A>) {
    __asm__ volatile("" ::: "memory");
  }
}

/// Keeps a vector that is used several times in a register. With AVX2, GCC 12 reads some anew from memory, as
/// an operand of each multiply-add: that is 0.82 of a Zen 3's peak, and 0.86 with this.
template <class A>
[[nodiscard]] [[gnu::always_inline]] inline f32<A> in_register(f32<A> v) noexcept {
  if constexpr (Avx<A>) {
    typename f32<A>::register_type r = v;
    __asm__("" : "+x"(r));
    return f32<A>(r);
  } else {
    return v;
  }
}

/// Written as folds over index sequences, not as loops over arrays: compilers then keep every accumulator in
/// a register (GCC 12 does not for arrays indexed in loops on AArch64).
template <class A, std::size_t Rows, std::size_t... C>
struct Tile {
  using V = f32<A>;
  static constexpr std::size_t vectors = sizeof...(C);
  using Sums = std::array<std::array<V, vectors>, Rows>;

  template <std::size_t... R>
  [[gnu::always_inline]] static void run(BlockArguments const& t, std::size_t row,
                                         std::index_sequence<R...>) noexcept {
    Sums sum;
    float* const to = t.sums + row * t.sums_stride;
    std::size_t const stride = t.sums_stride;
    if (t.initial == nullptr) {
      (load_row(sum[R], to + R * stride), ...);
    } else {
      (fill_row(sum[R], simd::splat<A>(t.initial[row + R])), ...);
    }
    float const* panel = t.panel;
    float const* x = t.rows + row * tile_stride;
    float const* const end = x + t.depth;
    Ahead ahead = *t.ahead;
    for (; x + unrolled<A> <= end; x += unrolled<A>, panel += unrolled<A> * vectors * width<A>) {
      ahead.step();
      multiply_elements<R...>(sum, x, panel, std::make_index_sequence<unrolled<A>>{});
    }
    for (; x != end; ++x, panel += vectors * width<A>) {
      multiply_elements<R...>(sum, x, panel, std::index_sequence<0>{});
    }
    *t.ahead = ahead;
    (store_row(sum[R], to + R * stride), ...);
  }

private:
  [[gnu::always_inline]] static void fill_row(std::array<V, vectors>& sum, V value) noexcept {
    ((sum[C] = value), ...);
  }
  [[gnu::always_inline]] static void load_row(std::array<V, vectors>& sum, float const* from) noexcept {
    ((sum[C] = simd::load<A>(from + C * width<A>)), ...);
  }
  template <std::size_t... R, std::size_t... K>
  [[gnu::always_inline]] static void multiply_elements(Sums& sum, float const* x, float const* panel,
                                                       std::index_sequence<K...>) noexcept {
    (multiply_element<K, R...>(sum, x, panel), ...);
  }
  template <std::size_t K, std::size_t... R>
  [[gnu::always_inline]] static void multiply_element(Sums& sum, float const* x,
                                                      float const* panel) noexcept {
    std::array<V, vectors> const p{in_register<A>(simd::load<A>(panel + (K * vectors + C) * width<A>))...};
    (multiply_row(sum[R], simd::splat<A>(x[R * tile_stride + K]), p), ...);
  }
  [[gnu::always_inline]] static void multiply_row(std::array<V, vectors>& sum, V x,
                                                  std::array<V, vectors> const& p) noexcept {
    ((sum[C] = simd::mul_add<A>(x, p[C], sum[C])), ...);
    keep_order<A>();
  }
  [[gnu::always_inline]] static void store_row(std::array<V, vectors> const& sum, float* to) noexcept {
    (simd::store<A>(to + C * width<A>, sum[C]), ...);
  }
};

template <class A, std::size_t Rows, std::size_t... C>
[[gnu::noinline]] inline void run_tile(BlockArguments const& t, std::size_t row,
                                       std::index_sequence<C...>) noexcept {
  Tile<A, Rows, C...>::run(t, row, std::make_index_sequence<Rows>{});
}

template <class A, std::size_t Vectors>
void multiply_block(BlockArguments const& t) noexcept {
  constexpr std::size_t most = TileShape<A>::accumulators / Vectors;
  constexpr std::size_t few = Vectors == 1 ? 8 : 4; // of 1024 rows, 16 are left in the last block
  constexpr std::make_index_sequence<Vectors> columns;
  std::size_t row = 0;
  for (; row + most <= t.count; row += most) {
    run_tile<A, most>(t, row, columns);
  }
  for (; row + few <= t.count; row += few) {
    run_tile<A, few>(t, row, columns);
  }
  for (; row < t.count; ++row) {
    run_tile<A, 1>(t, row, columns);
  }
}

} // namespace detail

/// sums = initial + R * panel (or sums += R * panel), for a panel of `vectors` <= `TileShape<A>::vectors`
/// vectors. The products of one sum are added in the order of depth, so its bits do not depend on the shape
/// of tiles.
template <class A, std::size_t Vectors = TileShape<A>::vectors>
void multiply_block(BlockArguments const& t, std::size_t vectors) noexcept {
  if constexpr (Vectors > 0) {
    if (vectors == Vectors) {
      detail::multiply_block<A, Vectors>(t);
    } else {
      simd::multiply_block<A, Vectors - 1>(t, vectors);
    }
  }
}

} // namespace pocketllm::simd
