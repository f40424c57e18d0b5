// SPDX-License-Identifier: Apache-2.0
// The tokens of a byte-level vocabulary: id to bytes and back, in two flat arrays.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/core/hash.hpp>
#include <pocketllm/text/byte_level.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pocketllm::text {

/// One token: its bytes, and whether the file writes them as they are (added tokens such as `<mask>`) or in
/// GPT-2's byte spelling.
struct TokenText {
  std::string bytes;    ///< that it stands for in a text
  bool literal = false; ///< written as they are
};

/// Tokens by id, 0 to size()-1, and the id of a token. Bytes lie one after another in a single string, and
/// the index is an open-addressing table of ids: about 20 bytes a token, where a map of strings takes 100.
class Vocabulary {
public:
  Vocabulary() = default;

  /// `tokens[id]`. Throws `Error` if two tokens are the same.
  explicit Vocabulary(std::vector<TokenText> const& tokens) {
    std::size_t slots = 16;
    while (slots < 2 * tokens.size()) {
      slots *= 2;
    }
    slots_.assign(slots, -1);
    ends_.reserve(tokens.size());
    literal_.reserve(tokens.size());
    for (auto const& token : tokens) {
      std::size_t const slot = slot_of(token.bytes, token.literal);
      if (slots_[slot] >= 0) {
        fail("vocabulary: ids ", slots_[slot], " and ", ends_.size(), " are the same token");
      }
      slots_[slot] = static_cast<std::int32_t>(ends_.size());
      bytes_ += token.bytes;
      ends_.push_back(bytes_.size());
      literal_.push_back(token.literal);
    }
  }

  /// Number of tokens, added ones among them.
  [[nodiscard]] std::size_t size() const noexcept { return ends_.size(); }

  /// The bytes that token `id` (in range) stands for.
  [[nodiscard]] std::string_view bytes(std::int32_t id) const noexcept {
    auto const index = static_cast<std::size_t>(id);
    std::size_t const begin = index == 0 ? 0 : ends_[index - 1];
    return std::string_view(bytes_).substr(begin, ends_[index] - begin);
  }

  /// True for tokens that the file writes as they are.
  [[nodiscard]] bool is_literal(std::int32_t id) const noexcept {
    return literal_[static_cast<std::size_t>(id)];
  }

  /// Token `id` (in range) as the vocabulary file writes it.
  [[nodiscard]] std::string spelling(std::int32_t id) const {
    return is_literal(id) ? std::string(bytes(id)) : spell_bytes(bytes(id));
  }

  /// Id of the token with these bytes, -1 if there is none.
  [[nodiscard]] std::int32_t find_bytes(std::string_view bytes, bool literal = false) const noexcept {
    return slots_.empty() ? -1 : slots_[slot_of(bytes, literal)];
  }

  /// Id of the token that the vocabulary file writes so.
  [[nodiscard]] std::optional<std::int32_t> find_spelling(std::string_view spelling) const {
    std::int32_t id = find_bytes(spelling, true);
    if (id < 0 && is_valid_utf8(spelling)) {
      auto const bytes = bytes_of_spelling(spelling);
      id = bytes ? find_bytes(*bytes) : -1;
    }
    return id < 0 ? std::nullopt : std::optional(id);
  }

private:
  /// The slot that holds this token, or the empty one where it would go. At least half of all slots are
  /// empty.
  [[nodiscard]] std::size_t slot_of(std::string_view wanted, bool literal) const noexcept {
    std::size_t const mask = slots_.size() - 1;
    std::uint64_t const hash = fnv1a(wanted);
    std::size_t slot = static_cast<std::size_t>(hash ^ (hash >> 32)) & mask;
    while (slots_[slot] >= 0 && (bytes(slots_[slot]) != wanted || is_literal(slots_[slot]) != literal)) {
      slot = (slot + 1) & mask;
    }
    return slot;
  }

  std::string bytes_;
  std::vector<std::size_t> ends_;
  std::vector<bool> literal_;
  std::vector<std::int32_t> slots_;
};

} // namespace pocketllm::text
