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

/// Keys and values of some tokens, [lanes, rows, width] each.
struct KeyValues {
  Lanes<float const> k, ///< keys
      v;                ///< values, in the rows of their keys
};

namespace detail {

/// The rows `begin` to `end` of the head whose first column is `column`.
[[nodiscard]] inline kernel::AttentionHead::Rows head_rows(KeyValues const& of, std::size_t lane,
                                                           std::size_t begin, std::size_t end,
                                                           std::size_t column) noexcept {
  return {of.k.row(lane, begin) + column, of.v.row(lane, begin) + column, end - begin, of.k.stride};
}

/// Throws Error unless `past` may stand before what Q attends to.
inline void require_past(KeyValues const& past, Lanes<float const> q) {
  auto const& [k, v] = past;
  require(k.rows == v.rows && (k.rows == 0 || (k.cols == q.cols && v.cols == q.cols && k.stride == v.stride &&
                                               k.lanes == v.lanes && (k.lanes == 1 || k.lanes == q.lanes))),
          "attention: what came before has ", k.cols, " and ", v.cols, " columns, ", k.rows, " and ", v.rows,
          " rows and ", k.lanes, " and ", v.lanes, " lanes; Q has ", q.cols, " columns and ", q.lanes,
          " lanes");
}

} // namespace detail

/// Q = softmax(Q K^T / sqrt(width / heads)) V for every lane, sequence and head. Q [lanes, queries, width];
/// K, V [lanes, rows, width]. Sequence i has the queries queries[i] to queries[i + 1] and the rows offsets[i]
/// to offsets[i + 1], before which it sees the rows of `past`, of one lane or of as many as Q has. It has the
/// same bits as if these were its own first rows. Throws Error when shapes do not belong together.
template <class A = simd::native>
void attention(Lanes<float> q, std::span<std::size_t const> queries, Lanes<float const> k,
               Lanes<float const> v, std::span<std::size_t const> offsets, std::size_t heads,
               Runtime& runtime, KeyValues const& past = {}) {
  require(heads != 0 && q.cols == k.cols && q.cols == v.cols && k.stride == v.stride && q.cols % heads == 0,
          "attention of ", heads, " heads: Q, K and V have ", q.cols, ", ", k.cols, " and ", v.cols,
          " columns, and rows of K and V are ", k.stride, " and ", v.stride, " apart");
  require(!offsets.empty() && queries.size() == offsets.size() && queries.back() <= q.rows &&
              offsets.back() <= std::min(k.rows, v.rows) && q.lanes == k.lanes && q.lanes == v.lanes,
          "attention: Q, K and V have ", q.lanes, ", ", k.lanes, " and ", v.lanes, " lanes of ", q.rows, ", ",
          k.rows, " and ", v.rows, " rows, for sequences with ", queries.size(), " and ", offsets.size(),
          " ends that lie beyond");
  detail::require_past(past, q);
  std::size_t const sequences = offsets.size() - 1;
  std::size_t const head_width = q.cols / heads;
  std::size_t longest = 0;
  for (std::size_t i = 0; i < sequences; ++i) {
    longest = std::max(longest, offsets[i + 1] - offsets[i]);
  }
  Workspace::Frame const frame(runtime.workspace());
  std::size_t const size = kernel::attention_scratch(past.k.rows + longest, head_width);
  std::span<float> const scratch = runtime.workspace().take(runtime.pool().size() * size);
  runtime.pool().parallel_for(q.lanes * sequences * heads, [&](std::size_t i, std::size_t worker) {
    std::size_t const head = i % heads, s = i / heads % sequences, lane = i / heads / sequences;
    std::size_t const column = head * head_width;
    kernel::AttentionHead::Task task{q.row(lane, queries[s]) + column, queries[s + 1] - queries[s], q.stride,
                                     detail::head_rows({k, v}, lane, offsets[s], offsets[s + 1], column),
                                     head_width};
    if (past.k.rows != 0) {
      task.before[0] = detail::head_rows(past, lane, 0, past.k.rows, column);
    }
    simd::invoke<A, kernel::AttentionHead>(task, scratch.data() + worker * size);
  });
}

/// The same with a query for every row.
template <class A = simd::native>
void attention(Lanes<float> q, Lanes<float const> k, Lanes<float const> v,
               std::span<std::size_t const> offsets, std::size_t heads, Runtime& runtime) {
  require(q.rows == k.rows, "attention: Q has ", q.rows, " rows and K ", k.rows);
  attention<A>(q, offsets, k, v, offsets, heads, runtime);
}

} // namespace pocketllm::layers
