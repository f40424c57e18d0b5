// SPDX-License-Identifier: Apache-2.0
// What one thread does for attention: one head of one sequence, which may see rows that came before its own.
#pragma once

#include <pocketllm/simd/kernel.hpp>
#include <pocketllm/simd/math.hpp>
#include <pocketllm/simd/tile.hpp>
#include <pocketllm/tensor/packed.hpp>
#include <pocketllm/tensor/part.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>

namespace pocketllm::layers {

/// x = softmax(scale * x) over `count` floats, as exp(scale * (x - max)) / sum.
template <class A>
void softmax(float* x, std::size_t count, float scale) noexcept {
  using V = simd::f32<A>;
  float const top = *std::max_element(x, x + count);
  V const s = simd::splat<A>(scale);
  V const m = simd::splat<A>(top);
  simd::transform<A>(x, count, [&](V v) { return simd::exp<A>((v - m) * s); });
  float const factor = 1.0F / simd::reduce<A>(x, count, [](V v, V part) { return part + v; });
  simd::transform<A>(x, count, [f = simd::splat<A>(factor)](V v) { return v * f; });
}

namespace kernel {

/// Numbers of a row of scores: whole vectors of the widest instruction set.
[[nodiscard]] inline std::size_t attention_stride(std::size_t tokens) noexcept {
  constexpr std::size_t widest = 16;
  return (tokens + widest - 1) / widest * widest;
}

/// Floats that one thread needs: a block of rows of Q, of scores or of keys, the scores of a block of
/// queries, K and V in panels, and the result of a block.
[[nodiscard]] inline std::size_t attention_scratch(std::size_t tokens, std::size_t width) noexcept {
  constexpr std::size_t widest_panel = 64; // columns, of every instruction set
  std::size_t const across = attention_stride(tokens), wide = attention_stride(width);
  return std::max(simd::block_rows * simd::tile_stride, widest_panel * width) +
         simd::block_rows * (across + wide) + across * width + tokens * wide;
}

struct AttentionHead {
  /// Rows of K and V [count, width], `stride` floats apart.
  struct Rows {
    float const* k = nullptr;
    float const* v = nullptr;
    std::size_t count = 0, stride = 0;
  };
  /// Q [queries, width] begins at q, rows `q_stride` apart. The result replaces Q. A query sees all rows of
  /// `before`, in their order, and then its sequence's own: all of them, or where there are `places` those up
  /// to its place among K's rows, of which the sequence's own begin at `first`.
  struct Task {
    float* q;
    std::size_t queries, q_stride;
    Rows own;
    std::size_t width;
    std::array<Rows, 2> before{};
    std::size_t const* places = nullptr; ///< ascending
    std::size_t first = 0;

    [[nodiscard]] std::size_t tokens() const noexcept {
      return before[0].count + before[1].count + own.count;
    }
    /// Rows that a query sees.
    [[nodiscard]] std::size_t seen(std::size_t query) const noexcept {
      return places == nullptr ? tokens() : tokens() - own.count + places[query] - first + 1;
    }
    /// Where row i of all that is seen lies: the rows that hold it, and the place among them.
    [[nodiscard]] Rows const& rows_of(std::size_t& i) const noexcept {
      for (Rows const& rows : before) {
        if (i < rows.count) {
          return rows;
        }
        i -= rows.count;
      }
      return own;
    }
  };
  using Signature = void(Task const&, float*);

  template <class A>
  static void run(Task const& t, float* scratch) noexcept {
    std::size_t const tokens = t.tokens(), across = attention_stride(tokens),
                      wide = attention_stride(t.width);
    float* const rows = scratch;
    float* const keys = rows + std::max(simd::block_rows * simd::tile_stride, simd::panel_cols<A> * t.width);
    float* const values = keys + across * t.width;
    float* const scores = values + tokens * wide;
    float* const result = scores + simd::block_rows * across;
    pack_keys<A>(t, rows, keys);
    pack_values<A>(t, values);
    float const scale = 1.0F / std::sqrt(static_cast<float>(t.width));
    for (std::size_t first = 0; first < t.queries; first += simd::block_rows) {
      std::size_t const count = std::min(simd::block_rows, t.queries - first);
      std::size_t const seen = t.seen(first + count - 1); // by any query of the block
      float* const q = t.q + first * t.q_stride;
      multiply<A>({q, t.q_stride, count, t.width}, {keys, t.width, tokens}, seen, rows, scores, across);
      for (std::size_t i = 0; i < count; ++i) {
        std::size_t const own = t.seen(first + i);
        softmax<A>(scores + i * across, own, scale);
        std::fill(scores + i * across + own, scores + i * across + seen, 0.0F);
      }
      multiply<A>({scores, across, count, seen}, {values, tokens, t.width}, t.width, rows, result, wide);
      for (std::size_t i = 0; i < count; ++i) {
        std::copy_n(result + i * wide, t.width, q + i * t.q_stride);
      }
    }
  }

private:
  /// X [count, depth], rows `stride` apart.
  struct Matrix {
    float const* data;
    std::size_t stride, count, depth;
  };
  /// A matrix [depth, cols] in panels of columns.
  struct Panels {
    float const* data;
    std::size_t depth, cols;
  };

  template <class A>
  [[nodiscard]] static std::size_t panel_width(std::size_t cols, std::size_t first) noexcept {
    std::size_t const padded = (cols + simd::width<A> - 1) / simd::width<A> * simd::width<A>;
    return std::min(simd::panel_cols<A>, padded - first);
  }

  /// K^T in panels [width, tokens]. Rows that do not lie in one piece are gathered in `gathered` first.
  template <class A>
  static void pack_keys(Task const& t, float* gathered, float* keys) noexcept {
    std::size_t const tokens = t.tokens();
    for (std::size_t first = 0; first < tokens; first += simd::panel_cols<A>) {
      std::size_t const count = std::min(simd::panel_cols<A>, tokens - first);
      float const* from = t.own.k + first * t.own.stride;
      std::size_t stride = t.own.stride;
      if (tokens != t.own.count) {
        for (std::size_t i = 0; i < count; ++i) {
          std::size_t row = first + i;
          Rows const& rows = t.rows_of(row);
          std::copy_n(rows.k + row * rows.stride, t.width, gathered + i * t.width);
        }
        from = gathered;
        stride = t.width;
      }
      tensor::kernel::PackPanel::run<A>(from, stride, count, t.width, keys + first * t.width,
                                        panel_width<A>(tokens, first));
    }
  }

  /// V in panels [tokens, columns].
  template <class A>
  static void pack_values(Task const& t, float* values) noexcept {
    std::size_t const tokens = t.tokens();
    for (std::size_t first = 0; first < t.width; first += simd::panel_cols<A>) {
      std::size_t const across = panel_width<A>(t.width, first), count = std::min(across, t.width - first);
      float* to = values + first * tokens;
      for (std::size_t i = 0; i < tokens; ++i, to += across) {
        std::size_t row = i;
        Rows const& rows = t.rows_of(row);
        std::fill(std::copy_n(rows.v + row * rows.stride + first, count, to), to + across, 0.0F);
      }
    }
  }

  /// Y [count, cols] = X times the first `cols` columns, and as many rows as X is deep, of a matrix in
  /// panels; `rows` is a block for X.
  template <class A>
  static void multiply(Matrix const& x, Panels const& panels, std::size_t cols, float* rows, float* y,
                       std::size_t y_stride) noexcept {
    static constexpr float zeros[simd::block_rows] = {};
    simd::Ahead nothing; // all of it is in the cache
    for (std::size_t k = 0; k < x.depth; k += simd::tile_depth) {
      std::size_t const part = std::min(simd::tile_depth, x.depth - k);
      for (std::size_t i = 0; i < x.count; ++i) {
        std::copy_n(x.data + i * x.stride + k, part, rows + i * simd::tile_stride);
      }
      for (std::size_t first = 0; first < cols; first += simd::panel_cols<A>) {
        std::size_t const across = panel_width<A>(panels.cols, first);
        simd::multiply_block<A>({rows, x.count, panels.data + first * panels.depth + k * across, part,
                                 y + first, y_stride, k == 0 ? zeros : nullptr, &nothing},
                                across / simd::width<A>);
      }
    }
  }
};

} // namespace kernel

} // namespace pocketllm::layers

template <>
inline constexpr bool pocketllm::simd::is_dispatched<pocketllm::layers::kernel::AttentionHead> = true;
