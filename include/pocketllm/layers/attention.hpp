// SPDX-License-Identifier: Apache-2.0
// Scaled dot-product attention with several heads (Vaswani et al., arXiv 1706.03762) over sequences that lie
// one behind the other, without padding.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/core/lanes.hpp>
#include <pocketllm/core/runtime.hpp>
#include <pocketllm/simd/math.hpp>
#include <pocketllm/simd/tile.hpp>
#include <pocketllm/tensor/panel.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>

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

namespace detail {

/// One head of one sequence: the matrices [tokens, head_width] begin at q, k and v, rows `stride` apart. The
/// result replaces q.
template <class A>
struct AttentionHead {
  static constexpr std::size_t cols = tensor::panel_cols<A>;
  static constexpr std::size_t rows = simd::TileShape<A>::rows;

  float* q;
  float const* k;
  float const* v;
  std::size_t tokens, width, stride;

  [[nodiscard]] static std::size_t padded(std::size_t n) noexcept { return (n + cols - 1) / cols * cols; }
  /// Floats of scratch: scores, one panel, and the columns of a panel of V that is not full.
  [[nodiscard]] static std::size_t scratch_size(std::size_t tokens, std::size_t width) noexcept {
    return tokens * padded(tokens) + (padded(width) + 2 * tokens) * cols;
  }

  void operator()(float* scratch) const noexcept {
    std::size_t const across = padded(tokens);
    float* const scores = scratch;
    float* const panel = scores + tokens * across;
    for (std::size_t j = 0; j < tokens; j += cols) { // scores = Q K^T
      tensor::pack_panel<A>(k + j * stride, stride, tokens - j, width, panel);
      multiply(q, stride, panel, cols, width, scores + j, across);
    }
    for (std::size_t i = 0; i < tokens; ++i) {
      softmax<A>(scores + i * across, tokens, 1.0F / std::sqrt(static_cast<float>(width)));
    }
    std::size_t c = 0;
    for (; c + cols <= width; c += cols) { // Q = scores V
      multiply(scores, across, v + c, stride, tokens, q + c, stride);
    }
    if (c < width) {
      last_columns(scores, across, c, panel);
    }
  }

private:
  /// Y [tokens, cols] = X [tokens, depth] times a panel [depth, cols].
  void multiply(float const* x, std::size_t x_stride, float const* panel, std::size_t panel_stride,
                std::size_t depth, float* y, std::size_t y_stride) const noexcept {
    static constexpr float zeros[cols] = {};
    for (std::size_t r = 0; r < tokens; r += rows) {
      simd::tile<A>(
          {x + r * x_stride, x_stride, panel, panel_stride, depth, y + r * y_stride, y_stride, zeros},
          std::min(rows, tokens - r));
    }
  }

  /// The columns behind the last full panel of V, by way of a padded copy.
  void last_columns(float const* scores, std::size_t across, std::size_t c, float* panel) const noexcept {
    std::size_t const rest = width - c;
    for (std::size_t t = 0; t < tokens; ++t) {
      float* const row = panel + t * cols;
      std::fill(std::copy(v + t * stride + c, v + t * stride + width, row), row + cols, 0.0F);
    }
    float* const result = panel + tokens * cols;
    multiply(scores, across, panel, cols, tokens, result, cols);
    for (std::size_t t = 0; t < tokens; ++t) {
      std::copy(result + t * cols, result + t * cols + rest, q + t * stride + c);
    }
  }
};

} // namespace detail

/// Q = softmax(Q K^T / sqrt(width / heads)) V for every lane, sequence and head. Q, K, V [lanes, rows,
/// width]; sequence i has the rows offsets[i] to offsets[i + 1].
template <class A = simd::native>
void attention(Lanes<float> q, Lanes<float const> k, Lanes<float const> v,
               std::span<std::size_t const> offsets, std::size_t heads, Runtime& runtime) {
  require(heads != 0 && q.cols == k.cols && q.cols == v.cols && q.stride == k.stride &&
              q.stride == v.stride && q.cols % heads == 0,
          "attention of ", heads, " heads: Q, K and V have ", q.cols, ", ", k.cols, " and ", v.cols,
          " columns, their rows are ", q.stride, ", ", k.stride, " and ", v.stride, " apart");
  using Head = detail::AttentionHead<A>;
  std::size_t const sequences = offsets.size() - 1;
  std::size_t const head_width = q.cols / heads;
  std::size_t longest = 0;
  for (std::size_t i = 0; i < sequences; ++i) {
    longest = std::max(longest, offsets[i + 1] - offsets[i]);
  }
  Workspace::Frame const frame(runtime.workspace());
  std::size_t const size = Head::scratch_size(longest, head_width);
  std::span<float> const scratch = runtime.workspace().take(runtime.pool().size() * size);
  runtime.pool().parallel_for(q.lanes * sequences * heads, [&](std::size_t i, std::size_t worker) {
    std::size_t const head = i % heads, sequence = i / heads % sequences, lane = i / heads / sequences;
    std::size_t const begin = offsets[sequence], column = head * head_width;
    Head{q.row(lane, begin) + column,
         k.row(lane, begin) + column,
         v.row(lane, begin) + column,
         offsets[sequence + 1] - begin,
         head_width,
         q.stride}(scratch.data() + worker * size);
  });
}

} // namespace pocketllm::layers
