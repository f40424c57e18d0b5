// SPDX-License-Identifier: Apache-2.0
// Attention of models that read from left to right: a token sees those before it, which may be of its own
// sequence, of a prompt that several sequences continue, or rows that came before all of them.
#pragma once

#include <pocketllm/layers/attention.hpp>

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

namespace pocketllm::layers {

/// What the tokens of a batch see. Sequence i has the rows offsets[i] to offsets[i + 1] of K and V.
struct CausalRows {
  std::span<std::size_t const> offsets; ///< one more than sequences, ascending, from 0 to the rows of K
  /// For each query, ascending: which of the rows of K and V is its own. It sees no row behind that.
  std::span<std::size_t const> places;
  /// For each sequence the one that it continues, all of whose rows it sees before its own; itself where it
  /// continues none. Empty when none does.
  std::span<std::size_t const> prompts = {};
  /// What all sequences see before everything else; rows of one lane or of as many as Q has.
  KeyValues past = {};
};

namespace detail {

inline void require_causal(Lanes<float> q, KeyValues const& own, CausalRows const& rows, std::size_t heads) {
  require(heads != 0 && q.cols == own.k.cols && q.cols == own.v.cols && own.k.stride == own.v.stride &&
              q.cols % heads == 0 && rows.places.size() == q.rows && !rows.offsets.empty() &&
              rows.offsets.back() == own.k.rows && own.k.rows == own.v.rows && q.lanes == own.k.lanes &&
              q.lanes == own.v.lanes &&
              (rows.prompts.empty() || rows.prompts.size() + 1 == rows.offsets.size()),
          "causal attention of ", heads, " heads: Q, K and V have ", q.cols, ", ", own.k.cols, " and ",
          own.v.cols, " columns, ", q.lanes, ", ", own.k.lanes, " and ", own.v.lanes, " lanes and ", q.rows,
          ", ", own.k.rows, " and ", own.v.rows, " rows, for ", rows.places.size(), " queries of ",
          rows.offsets.size(), " - 1 sequences");
  require_past(rows.past, q);
}

/// Rows that sequence s sees before its own.
[[nodiscard]] inline std::size_t rows_before(CausalRows const& rows, std::size_t s) noexcept {
  std::size_t const prompt = rows.prompts.empty() ? s : rows.prompts[s];
  return rows.past.k.rows + (prompt == s ? 0 : rows.offsets[prompt + 1] - rows.offsets[prompt]);
}

} // namespace detail

/// Q = softmax(Q K^T / sqrt(width / heads)) V for every lane and head, of the rows of K and V that each query
/// sees. Q [lanes, queries, width]; K, V [lanes, rows, width]. A query has the same bits whether what it sees
/// lies in one piece or in several. Throws Error when shapes do not belong together.
template <class A = simd::native>
void causal_attention(Lanes<float> q, KeyValues const& own, CausalRows const& rows, std::size_t heads,
                      Runtime& runtime) {
  detail::require_causal(q, own, rows, heads);
  std::size_t const sequences = rows.offsets.size() - 1, head_width = q.cols / heads;
  std::vector<std::size_t> queries; // how many lie before each sequence
  std::size_t longest = 0;
  for (std::size_t s = 0; s <= sequences; ++s) {
    auto const found = std::lower_bound(rows.places.begin(), rows.places.end(), rows.offsets[s]);
    queries.push_back(static_cast<std::size_t>(found - rows.places.begin()));
    if (s < sequences) {
      longest = std::max(longest, detail::rows_before(rows, s) + rows.offsets[s + 1] - rows.offsets[s]);
    }
  }
  Workspace::Frame const frame(runtime.workspace());
  std::size_t const size = kernel::attention_scratch(longest, head_width);
  std::span<float> const scratch = runtime.workspace().take(runtime.pool().size() * size);
  runtime.pool().parallel_for(q.lanes * sequences * heads, [&](std::size_t i, std::size_t worker) {
    std::size_t const head = i % heads, s = i / heads % sequences, lane = i / heads / sequences;
    if (queries[s] == queries[s + 1]) {
      return;
    }
    std::size_t const column = head * head_width, begin = rows.offsets[s];
    // nothing behind the last query of the sequence is seen
    std::size_t const end = rows.places[queries[s + 1] - 1] + 1;
    kernel::AttentionHead::Task task{q.row(lane, queries[s]) + column, queries[s + 1] - queries[s], q.stride,
                                     detail::head_rows(own, lane, begin, end, column), head_width};
    task.places = rows.places.data() + queries[s];
    task.first = begin;
    if (rows.past.k.rows != 0) {
      task.before[0] = detail::head_rows(rows.past, lane, 0, rows.past.k.rows, column);
    }
    if (std::size_t const prompt = rows.prompts.empty() ? s : rows.prompts[s]; prompt != s) {
      task.before[1] = detail::head_rows(own, lane, rows.offsets[prompt], rows.offsets[prompt + 1], column);
    }
    simd::invoke<A, kernel::AttentionHead>(task, scratch.data() + worker * size);
  });
}

} // namespace pocketllm::layers
