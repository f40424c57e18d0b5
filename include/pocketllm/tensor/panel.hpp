// SPDX-License-Identifier: Apache-2.0
// Panels: a few rows of a row-major matrix, transposed and converted to float, for the tile kernel.
#pragma once

#include <pocketllm/simd/batch.hpp>
#include <pocketllm/simd/convert.hpp>
#include <pocketllm/simd/round.hpp>
#include <pocketllm/simd/tile.hpp>
#include <pocketllm/simd/transpose.hpp>

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>

namespace pocketllm::tensor {

/// Outputs in a panel.
template <class A>
inline constexpr std::size_t panel_cols = simd::TileShape<A>::cols;

namespace detail {

/// `count` <= width<A> elements as floats, zeros behind them.
template <class A, class T>
[[gnu::always_inline]] inline simd::f32<A> load_part(T const* from, std::size_t count) noexcept {
  std::array<T, simd::width<A>> part{};
  std::copy(from, from + count, part.begin());
  return simd::load_as_float<A>(part.data());
}

} // namespace detail

/// panel[k][n] = w[n * stride + k] for k < depth and n < panel_cols<A>; rows of w at and behind `rows` count
/// as zero. The panel's rows are panel_cols<A> floats apart, and there must be room for depth rounded up to a
/// multiple of width<A> of them.
template <class A, class T>
void pack_panel(T const* w, std::size_t stride, std::size_t rows, std::size_t depth, float* panel) noexcept {
  constexpr std::size_t v = simd::width<A>;
  constexpr std::size_t cols = panel_cols<A>;
  for (std::size_t n = 0; n < cols; n += v) {
    for (std::size_t k = 0; k < depth; k += v) {
      simd::Square<A> block;
      if (n + v <= rows && k + v <= depth) {
        for (std::size_t i = 0; i < v; ++i) {
          block[i] = simd::load_as_float<A>(w + (n + i) * stride + k);
        }
      } else {
        for (std::size_t i = 0; i < v; ++i) {
          block[i] = n + i < rows ? detail::load_part<A>(w + (n + i) * stride + k, std::min(v, depth - k))
                                  : simd::splat<A>(0.0F);
        }
      }
      simd::transpose<A>(block);
      for (std::size_t i = 0; i < v; ++i) {
        simd::store<A>(panel + (k + i) * cols + n, block[i]);
      }
    }
  }
}

/// The way back: w[n * stride + k] = panel[k][n] for n < rows and k < depth, rounded at random where T has 16
/// bits, by the bits of `random`, laid out as the panel is.
template <class A, class T>
void unpack_panel(float const* panel, float const* random, std::size_t stride, std::size_t rows,
                  std::size_t depth, T* w) noexcept {
  constexpr std::size_t v = simd::width<A>;
  constexpr std::size_t cols = panel_cols<A>;
  for (std::size_t n = 0; n < std::min(rows, cols); n += v) {
    for (std::size_t k = 0; k < depth; k += v) {
      simd::Square<A> values, bits;
      for (std::size_t i = 0; i < v; ++i) {
        values[i] = simd::load<A>(panel + (k + i) * cols + n);
        bits[i] = simd::load<A>(random + (k + i) * cols + n);
      }
      simd::transpose<A>(values);
      if constexpr (!std::same_as<T, float>) {
        simd::transpose<A>(bits);
      }
      for (std::size_t i = 0; i < v && n + i < rows; ++i) {
        T* const to = w + (n + i) * stride + k;
        if (k + v <= depth) {
          simd::store_rounded<A>(to, values[i], simd::as_bits<A>(bits[i]));
        } else {
          std::array<T, v> part{};
          simd::store_rounded<A>(part.data(), values[i], simd::as_bits<A>(bits[i]));
          std::copy_n(part.begin(), depth - k, to);
        }
      }
    }
  }
}

/// out = base + coefficient * z over `count` floats, a multiple of width<A>.
template <class A>
void perturb_panel(float const* base, float const* z, float coefficient, std::size_t count,
                   float* out) noexcept {
  simd::f32<A> const c = simd::splat<A>(coefficient);
  for (std::size_t i = 0; i < count; i += simd::width<A>) {
    simd::store<A>(out + i, simd::fma<A>(c, simd::load<A>(z + i), simd::load<A>(base + i)));
  }
}

} // namespace pocketllm::tensor
