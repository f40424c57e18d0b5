// SPDX-License-Identifier: Apache-2.0
// Byte-level byte-pair encoding as GPT-2, RoBERTa and OPT have it.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/text/added_tokens.hpp>
#include <pocketllm/text/byte_level.hpp>
#include <pocketllm/text/merges.hpp>
#include <pocketllm/text/tokenizer.hpp>
#include <pocketllm/text/utf8.hpp>
#include <pocketllm/text/vocabulary.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pocketllm::text {

/// What a byte-level BPE tokenizer is made of, as read from its files.
struct BytePairParts {
  std::vector<TokenText> tokens;        ///< by id; added tokens too
  std::vector<Merge> merges;            ///< in order of rank
  std::vector<AddedToken> added_tokens; ///< `<mask>` and the like
  std::optional<std::int32_t> unknown;  ///< for bytes without a token; without it they are left out
  bool add_prefix_space = false;        ///< a text begins with a space whether written or not
  bool ignore_merges = false;           ///< a word that is a token is that token, whatever the merges say
  SpecialTokens special_tokens;         ///< their roles; those to be found in texts are added tokens too
  Framing framing;                      ///< of encode_framed
};

/// Byte-level BPE (Radford et al. 2019). Invalid UTF-8 in a text reads as U+FFFD, as in Python after
/// `bytes.decode(errors="replace")`; for valid text without tokens that strip space, and with a token for
/// every byte (GPT-2, RoBERTa and OPT have them), `decode(encode(x)) == x`. All member functions are const
/// and may be called by several threads at once: there is no cache. Instead it is found out on construction
/// which tokens their own merges lead to; a word that is such a token, as most words are, takes one look-up.
class BytePairTokenizer {
public:
  /// Ids in `parts` must be below the number of its tokens. Throws `Error` if two tokens are the same.
  explicit BytePairTokenizer(BytePairParts parts)
      : vocabulary_(parts.tokens), merges_(parts.merges), added_tokens_(std::move(parts.added_tokens)),
        special_tokens_(parts.special_tokens), framing_(std::move(parts.framing)),
        whole_(parts.tokens.size(), false), is_special_(parts.tokens.size(), false),
        add_prefix_space_(parts.add_prefix_space) {
    for (std::size_t byte = 0; byte < byte_ids_.size(); ++byte) {
      char const text = static_cast<char>(byte);
      std::int32_t const id = vocabulary_.find_bytes({&text, 1});
      byte_ids_[byte] = id >= 0 ? id : parts.unknown.value_or(-1);
    }
    for (AddedToken const& token : added_tokens_.tokens()) {
      is_special_[static_cast<std::size_t>(token.id)] = token.special;
    }
    WordMerger merger;
    for (std::size_t index = 0; index < whole_.size(); ++index) {
      auto const id = static_cast<std::int32_t>(index);
      whole_[index] = !vocabulary_.is_literal(id) && (parts.ignore_merges || merges_to_itself(id, merger));
    }
  }

  /// Ids of `text`, without framing.
  [[nodiscard]] std::vector<std::int32_t> encode(std::string_view text) const {
    std::vector<std::int32_t> ids;
    ids.reserve(text.size() / 4 + 1); // English has about 4 bytes a token
    encode_to(text, [&](std::int32_t id, std::size_t) { ids.push_back(id); });
    return ids;
  }

  /// Ids of `text` with what the model expects around them.
  [[nodiscard]] std::vector<std::int32_t> encode_framed(std::string_view text) const {
    return frame(framing_, encode(text));
  }

  /// Ids of a pair of texts with what the model expects around and between them.
  [[nodiscard]] std::vector<std::int32_t> encode_framed(std::string_view first,
                                                        std::string_view second) const {
    return frame(framing_, encode(first), encode(second)).ids;
  }

  /// For each id of `encode(text)` the offset in bytes where its text ends, in `replace_invalid_utf8(text)`.
  /// An offset may lie inside a code point: tokens are made of bytes.
  [[nodiscard]] std::vector<std::size_t> token_ends(std::string_view text) const {
    std::vector<std::size_t> ends;
    encode_to(text, [&](std::int32_t, std::size_t end) { ends.push_back(end); });
    return ends;
  }

  /// The text of `ids`, special tokens included unless `skip_special`. Bytes that are not UTF-8 when put
  /// together come out as U+FFFD. Throws `Error` on an id out of range.
  [[nodiscard]] std::string decode(std::span<std::int32_t const> ids, bool skip_special = false) const {
    std::string text;
    text.reserve(4 * ids.size());
    for (std::int32_t const id : ids) {
      check_id(id);
      if (!skip_special || !is_special_[static_cast<std::size_t>(id)]) {
        text += vocabulary_.bytes(id);
      }
    }
    return is_valid_utf8(text) ? text : replace_invalid_utf8(text);
  }

  /// The token as the vocabulary file writes it, e.g. "Ġthe". Throws `Error` on an id out of range.
  [[nodiscard]] std::string token_of(std::int32_t id) const {
    check_id(id);
    return vocabulary_.spelling(id);
  }

  /// Id of the token that the vocabulary file writes so.
  [[nodiscard]] std::optional<std::int32_t> id_of(std::string_view token) const {
    return vocabulary_.find_spelling(token);
  }

  /// Number of tokens, added ones among them; ids are below it.
  [[nodiscard]] std::size_t vocabulary_size() const noexcept { return vocabulary_.size(); }
  /// Those that the files name, or that are there under the usual names.
  [[nodiscard]] SpecialTokens const& special_tokens() const noexcept { return special_tokens_; }
  /// What encode_framed puts around texts.
  [[nodiscard]] Framing const& framing() const noexcept { return framing_; }
  /// The tokens that are found in texts as they stand, the longest first.
  [[nodiscard]] std::vector<AddedToken> const& added_tokens() const noexcept {
    return added_tokens_.tokens();
  }

private:
  void check_id(std::int32_t id) const {
    if (id < 0 || static_cast<std::size_t>(id) >= vocabulary_.size()) {
      fail("token id ", id, " is out of range: the vocabulary has ids 0 to ", vocabulary_.size() - 1);
    }
  }

  [[nodiscard]] bool merges_to_itself(std::int32_t id, WordMerger& merger) const {
    bool same = false;
    std::size_t count = 0;
    merge_word(vocabulary_.bytes(id), 0, merger, [&](std::int32_t merged, std::size_t) {
      same = merged == id;
      ++count;
    });
    return same && count == 1;
  }

  /// Calls `emit(id, end)` for the tokens that the merges make of a word at `offset`.
  template <class Emit>
  void merge_word(std::string_view word, std::size_t offset, WordMerger& merger, Emit&& emit) const {
    merger.clear();
    for (std::size_t i = 0; i < word.size(); ++i) {
      if (std::int32_t const id = byte_ids_[static_cast<unsigned char>(word[i])]; id >= 0) {
        merger.add(id, offset + i + 1);
      }
    }
    merger.run(merges_, emit);
  }

  /// Calls `emit(id, end)` for the tokens of `text`, which holds no added token; `offset` is where it begins.
  template <class Emit>
  void encode_words(std::string_view text, std::size_t offset, WordMerger& merger, Emit const& emit) const {
    for (std::size_t at = 0; at < text.size();) {
      std::size_t const end = end_of_word(text, at);
      std::string_view const word = text.substr(at, end - at);
      std::int32_t const id = vocabulary_.find_bytes(word);
      if (id >= 0 && whole_[static_cast<std::size_t>(id)]) {
        emit(id, offset + end);
      } else {
        merge_word(word, offset + at, merger, emit);
      }
      at = end;
    }
  }

  /// Calls `emit(id, end)` for each token of `text`.
  template <class Emit>
  void encode_to(std::string_view text, Emit const& emit) const {
    if (!is_valid_utf8(text)) {
      encode_to(replace_invalid_utf8(text), emit);
      return;
    }
    WordMerger merger;
    auto const on_text = [&](std::size_t begin, std::size_t end) {
      std::string_view const part = text.substr(begin, end - begin);
      if (!add_prefix_space_ || part.starts_with(' ')) {
        encode_words(part, begin, merger, emit);
        return;
      }
      std::string const prefixed = concat(' ', part);
      encode_words(prefixed, begin, merger, [&](std::int32_t id, std::size_t end_with_space) {
        emit(id, std::max(begin, end_with_space - 1)); // the space is not in the text
      });
    };
    added_tokens_.split(text, on_text, emit);
  }

  Vocabulary vocabulary_;
  MergeTable merges_;
  AddedTokenSplitter added_tokens_;
  SpecialTokens special_tokens_;
  Framing framing_;
  std::array<std::int32_t, 256> byte_ids_{};
  std::vector<bool> whole_;      ///< the merges lead from the token's bytes to the token
  std::vector<bool> is_special_; ///< left out by decode on request
  bool add_prefix_space_;
};

static_assert(Tokenizer<BytePairTokenizer>);

} // namespace pocketllm::text
