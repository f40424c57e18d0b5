// SPDX-License-Identifier: Apache-2.0
// The innermost part of every matrix product: a few rows of X times one packed panel of the other matrix,
// with the results held in registers.
#pragma once

#include <pocketllm/simd/batch.hpp>

#include <array>
#include <cstddef>
#include <utility>

namespace pocketllm::simd {

/// The shape of the tile that fills an instruction set's registers: `rows` of X by `cols` outputs.
/// rows * cols / width accumulators, cols / width vectors of the panel and one of X must fit.
template <class A>
struct TileShape { // 16 registers of 128 bits (SSE): 12 + 2 + 1; plain numbers are left to the compiler
  static constexpr std::size_t rows = 6, cols = 8;
};
template <Avx A>
struct TileShape<A> { // 16 registers of 256 bits: 12 + 2 + 1
  static constexpr std::size_t rows = 6, cols = 16;
};
template <Avx512 A>
struct TileShape<A> { // 32 registers of 512 bits: 24 + 2, X is broadcast from memory
  static constexpr std::size_t rows = 12, cols = 32;
};
template <Neon64 A>
struct TileShape<A> { // 32 registers of 128 bits: 24 + 4 + 2
  static constexpr std::size_t rows = 6, cols = 16;
};

/// Where a tile reads and writes. X [rows, depth] with rows x_stride apart; the panel [depth, cols], each of
/// its rows panel_stride apart; Y [rows, cols] with rows y_stride apart.
struct TileArguments {
  float const* x;
  std::size_t x_stride;
  float const* panel;
  std::size_t panel_stride;
  std::size_t depth;
  float* y;
  std::size_t y_stride;
  float const* initial; ///< what the sums start from: `cols` numbers for every row, or null for what is in Y
};

namespace detail {

/// Written as folds over index sequences, not as loops over arrays: compilers then keep every
/// accumulator in a register (GCC 12 does not for arrays indexed in loops on AArch64).
template <class A, std::size_t Rows, std::size_t... C>
struct Tile {
  using V = f32<A>;
  static constexpr std::size_t vectors = sizeof...(C);

  template <std::size_t... R>
  [[gnu::always_inline]] static void run(TileArguments const& t, std::index_sequence<R...>) noexcept {
    std::array<std::array<V, vectors>, Rows> sum;
    if (t.initial == nullptr) {
      (load_row<R>(sum[R], t), ...);
    } else {
      ((sum[R] = {simd::load<A>(t.initial + C * width<A>)...}), ...);
    }
    float const* panel = t.panel;
    for (std::size_t k = 0; k < t.depth; ++k, panel += t.panel_stride) {
      std::array<V, vectors> const p{simd::load<A>(panel + C * width<A>)...};
      (multiply_row(sum[R], simd::splat<A>(t.x[R * t.x_stride + k]), p), ...);
    }
    (store_row<R>(sum[R], t), ...);
  }

  [[gnu::always_inline]] static void multiply_row(std::array<V, vectors>& sum, V x,
                                                  std::array<V, vectors> const& p) noexcept {
    ((sum[C] = simd::mul_add<A>(x, p[C], sum[C])), ...);
  }
  template <std::size_t R>
  [[gnu::always_inline]] static void load_row(std::array<V, vectors>& sum, TileArguments const& t) noexcept {
    ((sum[C] = simd::load<A>(t.y + R * t.y_stride + C * width<A>)), ...);
  }
  template <std::size_t R>
  [[gnu::always_inline]] static void store_row(std::array<V, vectors> const& sum,
                                               TileArguments const& t) noexcept {
    (simd::store<A>(t.y + R * t.y_stride + C * width<A>, sum[C]), ...);
  }
};

template <class A, std::size_t Rows, std::size_t... C>
[[gnu::noinline]] inline void run_tile(TileArguments const& t, std::index_sequence<C...>) noexcept {
  Tile<A, Rows, C...>::run(t, std::make_index_sequence<Rows>{});
}

} // namespace detail

/// Y = initial + X * panel (or Y += X * panel) for `rows` <= TileShape<A>::rows rows of X and all
/// TileShape<A>::cols columns of the panel. The products of one output are added in the order of depth, so
/// its bits do not depend on the shape of tiles.
template <class A, std::size_t Rows = TileShape<A>::rows>
inline void tile(TileArguments const& t, std::size_t rows) noexcept {
  if constexpr (Rows > 0) {
    if (rows == Rows) {
      detail::run_tile<A, Rows>(t, std::make_index_sequence<TileShape<A>::cols / width<A>>{});
    } else {
      tile<A, Rows - 1>(t, rows);
    }
  }
}

} // namespace pocketllm::simd
