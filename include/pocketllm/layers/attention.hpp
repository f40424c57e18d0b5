// SPDX-License-Identifier: Apache-2.0
// Scaled dot-product attention with several heads (Vaswani et al., arXiv 1706.03762) over sequences that lie
// one behind the other, without padding.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/core/lanes.hpp>
#include <pocketllm/core/runtime.hpp>
#include <pocketllm/layers/attention_head.hpp>
#include <pocketllm/simd/kernel.hpp>

#include <algorithm>
#include <cstddef>
#include <span>

namespace pocketllm::layers {

/// Q = softmax(Q K^T / sqrt(width / heads)) V for every lane, sequence and head. Q, K, V [lanes, rows,
/// width]; sequence i has the rows offsets[i] to offsets[i + 1].
template <class A = simd::native>
void attention(Lanes<float> q, Lanes<float const> k, Lanes<float const> v,
               std::span<std::size_t const> offsets, std::size_t heads, Runtime& runtime) {
  require(heads != 0 && q.cols == k.cols && q.cols == v.cols && q.stride == k.stride &&
              q.stride == v.stride && q.cols % heads == 0,
          "attention of ", heads, " heads: Q, K and V have ", q.cols, ", ", k.cols, " and ", v.cols,
          " columns, their rows are ", q.stride, ", ", k.stride, " and ", v.stride, " apart");
  std::size_t const sequences = offsets.size() - 1;
  std::size_t const head_width = q.cols / heads;
  std::size_t longest = 0;
  for (std::size_t i = 0; i < sequences; ++i) {
    longest = std::max(longest, offsets[i + 1] - offsets[i]);
  }
  Workspace::Frame const frame(runtime.workspace());
  std::size_t const size = kernel::attention_scratch(longest, head_width);
  std::span<float> const scratch = runtime.workspace().take(runtime.pool().size() * size);
  runtime.pool().parallel_for(q.lanes * sequences * heads, [&](std::size_t i, std::size_t worker) {
    std::size_t const head = i % heads, sequence = i / heads % sequences, lane = i / heads / sequences;
    std::size_t const begin = offsets[sequence], column = head * head_width;
    simd::invoke<A, kernel::AttentionHead>(
        kernel::AttentionHead::Task{q.row(lane, begin) + column, k.row(lane, begin) + column,
                                    v.row(lane, begin) + column, offsets[sequence + 1] - begin, head_width,
                                    q.stride},
        scratch.data() + worker * size);
  });
}

} // namespace pocketllm::layers
