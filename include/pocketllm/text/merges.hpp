// SPDX-License-Identifier: Apache-2.0
// The merges of byte-pair encoding, and their application to one word.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace pocketllm::text {

/// Tokens `left` and `right`, side by side, become token `result`.
struct Merge {
  std::int32_t left = 0;   ///< id of the token in front
  std::int32_t right = 0;  ///< id of the one behind it
  std::int32_t result = 0; ///< id of the two in one
};

/// Finds the rank and result of a pair of tokens: an open-addressing table, half empty.
class MergeTable {
public:
  /// A pair of tokens that becomes one.
  struct Entry {
    std::int32_t left = -1;  ///< -1: empty slot
    std::int32_t right = -1; ///< of no meaning in an empty slot
    std::uint32_t rank = 0;  ///< the smaller, the earlier it is applied
    std::int32_t result = 0; ///< id of the token that both become
  };

  MergeTable() = default;

  /// `merges` in order of rank. Of a pair that occurs twice the last counts, as in `tokenizers`.
  explicit MergeTable(std::span<Merge const> merges) {
    std::size_t slots = 16;
    while (slots < 2 * merges.size()) {
      slots *= 2;
    }
    slots_.resize(slots);
    for (std::size_t rank = 0; rank < merges.size(); ++rank) {
      Merge const& merge = merges[rank];
      slots_[slot_of(merge.left, merge.right)] = {merge.left, merge.right, static_cast<std::uint32_t>(rank),
                                                  merge.result};
    }
  }

  /// The merge of this pair of tokens, or null.
  [[nodiscard]] Entry const* find(std::int32_t left, std::int32_t right) const noexcept {
    Entry const& entry = slots_[slot_of(left, right)];
    return entry.left < 0 ? nullptr : &entry;
  }

private:
  [[nodiscard]] std::size_t slot_of(std::int32_t left, std::int32_t right) const noexcept {
    std::uint64_t const pair = (static_cast<std::uint64_t>(left) << 32) | static_cast<std::uint32_t>(right);
    // Fibonacci hashing: 2^64 / golden ratio; the upper half of the product is well mixed.
    std::size_t const mask = slots_.size() - 1;
    std::size_t slot = static_cast<std::size_t>((pair * 0x9e3779b97f4a7c15ULL) >> 32) & mask;
    while (slots_[slot].left >= 0 && (slots_[slot].left != left || slots_[slot].right != right)) {
      slot = (slot + 1) & mask;
    }
    return slot;
  }

  std::vector<Entry> slots_ = std::vector<Entry>(1); // one empty slot: finds nothing
};

/// Applies merges to words (Sennrich et al. 2016): the pair of lowest rank first, of equal ones the leftmost.
/// Candidates wait in a heap and symbols in a linked list, so that a word of n bytes takes O(n log n).
/// An object of this class is working memory to be used again for the next word, by one thread at a time.
class WordMerger {
public:
  /// Puts a word's first symbols in: `add` each, with the offset of its end, then `run`.
  void clear() noexcept { symbols_.clear(); }
  /// Appends a symbol. `end` is passed on to `emit` as it is: a merged symbol has that of its last one.
  void add(std::int32_t id, std::size_t end) { symbols_.push_back({id, 0, 0, end}); }

  /// Merges all that can be merged and calls `emit(id, end)` for what is left, in order.
  template <class Emit>
  void run(MergeTable const& merges, Emit&& emit) {
    if (symbols_.empty()) {
      return;
    }
    candidates_.clear();
    for (std::size_t i = 0; i < symbols_.size(); ++i) {
      symbols_[i].previous = i - 1; // of the first: past the end, see push
      symbols_[i].next = i + 1;
      if (i + 1 < symbols_.size()) {
        append_candidate(merges, i);
      }
    }
    std::make_heap(candidates_.begin(), candidates_.end(), Later{});
    while (!candidates_.empty()) {
      std::pop_heap(candidates_.begin(), candidates_.end(), Later{});
      Candidate const best = candidates_.back();
      candidates_.pop_back();
      apply(merges, best);
    }
    for (std::size_t i = 0; i < symbols_.size(); i = symbols_[i].next) {
      emit(symbols_[i].id, symbols_[i].end);
    }
  }

private:
  struct Symbol {
    std::int32_t id; ///< -1: merged into the one before
    std::size_t previous;
    std::size_t next;
    std::size_t end;
  };
  struct Candidate {
    std::size_t at; ///< index of the left symbol
    MergeTable::Entry const* merge;
  };
  struct Later {
    bool operator()(Candidate const& a, Candidate const& b) const noexcept {
      return a.merge->rank != b.merge->rank ? a.merge->rank > b.merge->rank : a.at > b.at;
    }
  };

  /// True if the symbol at `at` and the one after it can merge: then they are a candidate.
  bool append_candidate(MergeTable const& merges, std::size_t at) {
    auto const* merge = merges.find(symbols_[at].id, symbols_[symbols_[at].next].id);
    if (merge != nullptr) {
      candidates_.push_back({at, merge});
    }
    return merge != nullptr;
  }

  void push(MergeTable const& merges, std::size_t at) {
    if (at < symbols_.size() && symbols_[at].next < symbols_.size() && append_candidate(merges, at)) {
      std::push_heap(candidates_.begin(), candidates_.end(), Later{});
    }
  }

  void apply(MergeTable const& merges, Candidate const& candidate) {
    Symbol& left = symbols_[candidate.at];
    if (left.id != candidate.merge->left || left.next >= symbols_.size()) {
      return; // an earlier merge took one of the two: the candidate is out of date
    }
    Symbol& right = symbols_[left.next];
    if (right.id != candidate.merge->right) {
      return;
    }
    left.id = candidate.merge->result;
    left.end = right.end;
    left.next = right.next;
    right.id = -1;
    if (left.next < symbols_.size()) {
      symbols_[left.next].previous = candidate.at;
    }
    push(merges, left.previous);
    push(merges, candidate.at);
  }

  std::vector<Symbol> symbols_;
  std::vector<Candidate> candidates_;
};

} // namespace pocketllm::text
