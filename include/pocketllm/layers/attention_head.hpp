// SPDX-License-Identifier: Apache-2.0
// What one thread does for attention: one head of one sequence.
#pragma once

#include <pocketllm/simd/kernel.hpp>
#include <pocketllm/simd/math.hpp>
#include <pocketllm/simd/tile.hpp>
#include <pocketllm/tensor/packed.hpp>
#include <pocketllm/tensor/part.hpp>

#include <algorithm>
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

/// Floats that one thread needs: a block of rows of Q or of scores, the scores of a block of queries, K and V
/// in panels, and the result of a block.
[[nodiscard]] inline std::size_t attention_scratch(std::size_t tokens, std::size_t width) noexcept {
  std::size_t const across = attention_stride(tokens), wide = attention_stride(width);
  return simd::block_rows * (simd::tile_stride + across + wide) + across * width + tokens * wide;
}

struct AttentionHead {
  /// Q [queries, width] begins at q, rows `q_stride` apart; K and V [tokens, width] at k and v, rows `stride`
  /// apart. The result replaces Q.
  struct Task {
    float* q;
    std::size_t queries, q_stride;
    float const* k;
    float const* v;
    std::size_t tokens, stride, width;
  };
  using Signature = void(Task const&, float*);

  template <class A>
  static void run(Task const& t, float* scratch) noexcept {
    std::size_t const across = attention_stride(t.tokens), wide = attention_stride(t.width);
    float* const rows = scratch;
    float* const scores = rows + simd::block_rows * simd::tile_stride;
    float* const result = scores + simd::block_rows * across;
    float* const keys = result + simd::block_rows * wide;
    float* const values = keys + across * t.width;
    pack_keys<A>(t, keys);
    pack_values<A>(t, values);
    float const scale = 1.0F / std::sqrt(static_cast<float>(t.width));
    for (std::size_t first = 0; first < t.queries; first += simd::block_rows) {
      std::size_t const count = std::min(simd::block_rows, t.queries - first);
      float* const q = t.q + first * t.q_stride;
      multiply<A>(q, t.q_stride, count, t.width, keys, t.tokens, rows, scores, across); // Q K^T
      for (std::size_t i = 0; i < count; ++i) {
        softmax<A>(scores + i * across, t.tokens, scale);
      }
      multiply<A>(scores, across, count, t.tokens, values, t.width, rows, result, wide); // scores V
      for (std::size_t i = 0; i < count; ++i) {
        std::copy_n(result + i * wide, t.width, q + i * t.q_stride);
      }
    }
  }

private:
  template <class A>
  [[nodiscard]] static std::size_t panel_width(std::size_t cols, std::size_t first) noexcept {
    std::size_t const padded = (cols + simd::width<A> - 1) / simd::width<A> * simd::width<A>;
    return std::min(simd::panel_cols<A>, padded - first);
  }

  /// K^T in panels [width, tokens].
  template <class A>
  static void pack_keys(Task const& t, float* keys) noexcept {
    for (std::size_t first = 0; first < t.tokens; first += simd::panel_cols<A>) {
      tensor::kernel::PackPanel::run<A>(t.k + first * t.stride, t.stride,
                                        std::min(simd::panel_cols<A>, t.tokens - first), t.width,
                                        keys + first * t.width, panel_width<A>(t.tokens, first));
    }
  }

  /// V in panels [tokens, columns].
  template <class A>
  static void pack_values(Task const& t, float* values) noexcept {
    for (std::size_t first = 0; first < t.width; first += simd::panel_cols<A>) {
      std::size_t const across = panel_width<A>(t.width, first), count = std::min(across, t.width - first);
      float* to = values + first * t.tokens;
      for (std::size_t i = 0; i < t.tokens; ++i, to += across) {
        std::fill(std::copy_n(t.v + i * t.stride + first, count, to), to + across, 0.0F);
      }
    }
  }

  /// Y [count, cols] = X [count, depth] times the panels of a matrix [depth, cols]; `rows` is a block for X.
  template <class A>
  static void multiply(float const* x, std::size_t x_stride, std::size_t count, std::size_t depth,
                       float const* panels, std::size_t cols, float* rows, float* y,
                       std::size_t y_stride) noexcept {
    static constexpr float zeros[simd::block_rows] = {};
    simd::Ahead nothing; // all of it is in the cache
    for (std::size_t k = 0; k < depth; k += simd::tile_depth) {
      std::size_t const part = std::min(simd::tile_depth, depth - k);
      for (std::size_t i = 0; i < count; ++i) {
        std::copy_n(x + i * x_stride + k, part, rows + i * simd::tile_stride);
      }
      for (std::size_t first = 0; first < cols; first += simd::panel_cols<A>) {
        std::size_t const across = panel_width<A>(cols, first);
        simd::multiply_block<A>({rows, count, panels + first * depth + k * across, part, y + first, y_stride,
                                 k == 0 ? zeros : nullptr, &nothing},
                                across / simd::width<A>);
      }
    }
  }
};

} // namespace kernel

} // namespace pocketllm::layers

template <>
inline constexpr bool pocketllm::simd::is_dispatched<pocketllm::layers::kernel::AttentionHead> = true;
