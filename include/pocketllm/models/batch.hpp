// SPDX-License-Identifier: Apache-2.0
// A batch of token sequences, one behind the other: no padding is stored and none is computed.
#pragma once

#include <pocketllm/core/error.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace pocketllm::models {

/// Token ids of all sequences in one row, and where each begins. Sequence i has the tokens offsets()[i] to
/// offsets()[i + 1] of ids(). Each token has a type as well, which tells the two texts of a pair apart.
class Batch {
public:
  /// Appends one sequence whose tokens have the types `types`, or all type 0. Throws Error when it is empty,
  /// or when there are more or fewer types than tokens.
  void add(std::span<std::int32_t const> ids, std::span<std::int32_t const> types = {}) {
    require(!ids.empty(), "batch: sequence ", size(), " has no tokens");
    require(types.empty() || types.size() == ids.size(), "batch: sequence ", size(), " has ", ids.size(),
            " tokens and ", types.size(), " token types");
    ids_.insert(ids_.end(), ids.begin(), ids.end());
    types_.insert(types_.end(), types.begin(), types.end());
    types_.resize(ids_.size(), 0);
    offsets_.push_back(ids_.size());
  }

  /// From padded arrays as other libraries use them: ids, mask and, where there are any, token types
  /// [sequences, tokens]; tokens whose mask is zero are left out, on whichever side they are. Throws Error
  /// when they are of different sizes.
  [[nodiscard]] static Batch from_padded(std::span<std::int32_t const> ids,
                                         std::span<std::uint8_t const> mask, std::size_t tokens,
                                         std::span<std::int32_t const> types = {}) {
    require(types.empty() || types.size() == ids.size(), "batch: ", ids.size(), " ids and ", types.size(),
            " token types");
    require(ids.size() == mask.size() && tokens != 0 && ids.size() % tokens == 0, "batch: ", ids.size(),
            " ids and ", mask.size(), " mask entries do not make rows of ", tokens, " tokens");
    Batch batch;
    std::vector<std::int32_t> kept, kept_types;
    for (std::size_t row = 0; row < ids.size(); row += tokens) {
      kept.clear();
      kept_types.clear();
      for (std::size_t i = row; i < row + tokens; ++i) {
        if (mask[i] != 0) {
          kept.push_back(ids[i]);
          kept_types.push_back(types.empty() ? 0 : types[i]);
        }
      }
      batch.add(kept, kept_types);
    }
    return batch;
  }

  /// Removes all sequences and keeps their memory for the next ones.
  void clear() noexcept {
    ids_.clear();
    types_.clear();
    offsets_.resize(1);
  }

  /// Number of sequences.
  [[nodiscard]] std::size_t size() const noexcept { return offsets_.size() - 1; }
  /// Number of tokens of all sequences.
  [[nodiscard]] std::size_t tokens() const noexcept { return ids_.size(); }
  /// The tokens of all sequences, one behind the other.
  [[nodiscard]] std::span<std::int32_t const> ids() const noexcept { return ids_; }
  /// The tokens of one sequence; `sequence` < size().
  [[nodiscard]] std::span<std::int32_t const> ids(std::size_t sequence) const noexcept {
    return ids().subspan(offsets_[sequence], offsets_[sequence + 1] - offsets_[sequence]);
  }
  /// The type of each token.
  [[nodiscard]] std::span<std::int32_t const> types() const noexcept { return types_; }
  /// Where each sequence begins in ids(), and behind them tokens(): size() + 1 numbers.
  [[nodiscard]] std::span<std::size_t const> offsets() const noexcept { return offsets_; }

private:
  std::vector<std::int32_t> ids_, types_;
  std::vector<std::size_t> offsets_{0};
};

} // namespace pocketllm::models
