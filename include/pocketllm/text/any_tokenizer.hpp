// SPDX-License-Identifier: Apache-2.0
// A tokenizer of whichever kind a directory holds.
#pragma once

#include <pocketllm/text/byte_pair.hpp>
#include <pocketllm/text/tokenizer.hpp>
#include <pocketllm/text/wordpiece.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace pocketllm::text {

/// One of the library's tokenizers; each member function is that of the one it holds.
class AnyTokenizer {
public:
  /// Holds a tokenizer of the GPT-2 kind: of RoBERTa or OPT.
  AnyTokenizer(BytePairTokenizer tokenizer) : held_(std::move(tokenizer)) {}
  /// Holds a tokenizer of the BERT kind.
  AnyTokenizer(WordPieceTokenizer tokenizer) : held_(std::move(tokenizer)) {}

  /// Calls f with the tokenizer that is held.
  template <class F>
  decltype(auto) visit(F&& f) const {
    return std::visit(std::forward<F>(f), held_);
  }

  /// Ids of `text`, without framing.
  [[nodiscard]] std::vector<std::int32_t> encode(std::string_view text) const {
    return visit([&](auto const& held) { return held.encode(text); });
  }
  /// Ids of `text` with what the model expects around them.
  [[nodiscard]] std::vector<std::int32_t> encode_framed(std::string_view text) const {
    return visit([&](auto const& held) { return held.encode_framed(text); });
  }
  /// Ids of a pair of texts with what the model expects around and between them.
  [[nodiscard]] std::vector<std::int32_t> encode_framed(std::string_view first,
                                                        std::string_view second) const {
    return visit([&](auto const& held) { return held.encode_framed(first, second); });
  }
  /// For each id of `encode(text)` the offset in bytes where its text ends, in `replace_invalid_utf8(text)`.
  [[nodiscard]] std::vector<std::size_t> token_ends(std::string_view text) const {
    return visit([&](auto const& held) { return held.token_ends(text); });
  }
  /// The text of `ids`, special tokens included unless `skip_special`. Throws `Error` on an id out of range.
  [[nodiscard]] std::string decode(std::span<std::int32_t const> ids, bool skip_special = false) const {
    return visit([&](auto const& held) { return held.decode(ids, skip_special); });
  }
  /// The token as the vocabulary file writes it. Throws `Error` on an id out of range.
  [[nodiscard]] std::string token_of(std::int32_t id) const {
    return visit([&](auto const& held) { return held.token_of(id); });
  }
  /// Id of the token that the vocabulary file writes so, or none.
  [[nodiscard]] std::optional<std::int32_t> id_of(std::string_view token) const {
    return visit([&](auto const& held) { return held.id_of(token); });
  }
  /// Number of tokens, added ones among them; ids are below it.
  [[nodiscard]] std::size_t vocabulary_size() const {
    return visit([](auto const& held) { return held.vocabulary_size(); });
  }
  /// A copy; the tokenizers themselves give a reference.
  [[nodiscard]] SpecialTokens special_tokens() const {
    return visit([](auto const& held) -> SpecialTokens { return held.special_tokens(); });
  }
  /// A copy; the tokenizers themselves give a reference.
  [[nodiscard]] Framing framing() const {
    return visit([](auto const& held) -> Framing { return held.framing(); });
  }

private:
  std::variant<BytePairTokenizer, WordPieceTokenizer> held_;
};

static_assert(Tokenizer<AnyTokenizer>);

} // namespace pocketllm::text
