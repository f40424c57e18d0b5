// SPDX-License-Identifier: Apache-2.0
// A batch for models that read from left to right, in which several sequences may continue the same prompt.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/models/batch.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace pocketllm::models {

/// Token sequences one behind the other, as in Batch. A sequence may continue an earlier one, its prompt: it
/// then sees all of the prompt's tokens before its own, and the prompt is computed once for all that continue
/// it.
class CausalBatch {
public:
  CausalBatch() = default;
  /// Sequences that continue nothing.
  CausalBatch(Batch batch) : batch_(std::move(batch)) { // implicit: every batch is one
    for (std::size_t s = 0; s < batch_.size(); ++s) {
      prompts_.push_back(s);
    }
  }

  /// Appends a sequence. Throws Error when it is empty.
  void add(std::span<std::int32_t const> ids) {
    batch_.add(ids);
    prompts_.push_back(batch_.size() - 1);
  }

  /// Appends a sequence that continues the sequence `prompt`. Throws Error when it is empty, or when `prompt`
  /// is not a sequence of the batch that continues none itself.
  void add_behind(std::size_t prompt, std::span<std::int32_t const> ids) {
    require(prompt < batch_.size() && prompts_[prompt] == prompt, "batch: sequence ", batch_.size(),
            " cannot continue sequence ", prompt, ", which is not there or continues another one");
    batch_.add(ids);
    prompts_.push_back(prompt);
  }

  /// Number of sequences: prompts and those that continue them.
  [[nodiscard]] std::size_t size() const noexcept { return batch_.size(); }
  /// Number of tokens of all sequences, a prompt's counted once.
  [[nodiscard]] std::size_t tokens() const noexcept { return batch_.tokens(); }
  /// The tokens of all sequences in the order in which they were added.
  [[nodiscard]] std::span<std::int32_t const> ids() const noexcept { return batch_.ids(); }
  /// A sequence's own tokens, without those of its prompt.
  [[nodiscard]] std::span<std::int32_t const> ids(std::size_t sequence) const noexcept {
    return batch_.ids(sequence);
  }
  /// Where each sequence begins in ids(), and behind them tokens(): size() + 1 numbers.
  [[nodiscard]] std::span<std::size_t const> offsets() const noexcept { return batch_.offsets(); }
  /// For each sequence the one that it continues; itself where it continues none.
  [[nodiscard]] std::span<std::size_t const> prompts() const noexcept { return prompts_; }
  /// Tokens that sequence `sequence` sees before its own.
  [[nodiscard]] std::size_t tokens_before(std::size_t sequence) const noexcept {
    std::size_t const prompt = prompts_[sequence];
    return prompt == sequence ? 0 : batch_.ids(prompt).size();
  }

private:
  Batch batch_;
  std::vector<std::size_t> prompts_;
};

/// A prediction: `id` behind the token `row` of a batch.
struct Target {
  std::size_t row = 0; ///< index into the batch's ids()
  std::int32_t id = 0; ///< of the word that is to follow
};

/// The rows of the targets, ascending, each once.
[[nodiscard]] inline std::vector<std::size_t> rows_of(std::span<Target const> targets) {
  std::vector<std::size_t> rows;
  for (Target const& target : targets) {
    rows.push_back(target.row);
  }
  std::sort(rows.begin(), rows.end());
  rows.erase(std::unique(rows.begin(), rows.end()), rows.end());
  return rows;
}

} // namespace pocketllm::models
