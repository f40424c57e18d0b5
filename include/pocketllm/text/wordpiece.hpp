// SPDX-License-Identifier: Apache-2.0
// WordPiece as BERT has it: words by BERT's basic tokenizer, each cut into the longest pieces there are.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/text/added_tokens.hpp>
#include <pocketllm/text/bert_normalizer.hpp>
#include <pocketllm/text/tokenizer.hpp>
#include <pocketllm/text/utf8.hpp>
#include <pocketllm/text/vocabulary.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pocketllm::text {

/// What a WordPiece tokenizer is made of, as read from its files.
struct WordPieceParts {
  std::vector<TokenText> tokens;        ///< by id, all literal; added tokens too
  std::vector<AddedToken> added_tokens; ///< `[MASK]` and the like
  std::int32_t unknown = 0;             ///< for words that the pieces do not spell
  std::string prefix = "##";            ///< of a piece that continues a word
  std::size_t longest_word = 100;       ///< in characters; a longer one is unknown
  bool cleanup = true;                  ///< decode takes the space before punctuation away
  BertNormalizer normalizer;            ///< steps before a text is cut into words
  SpecialTokens special_tokens;         ///< their roles; those to be found in texts are added tokens too
  Framing framing;                      ///< of encode_framed
};

/// WordPiece (Wu et al., arXiv 1609.08144) with the greedy choice of BERT. Invalid UTF-8 in a text reads as
/// U+FFFD. `decode(encode(x))` is x only up to what normalising loses. All member functions are const and may
/// be called by several threads at once.
class WordPieceTokenizer {
public:
  /// Ids in `parts` must be below the number of its tokens. Throws `Error` if two tokens are the same.
  explicit WordPieceTokenizer(WordPieceParts parts)
      : parts_(std::move(parts)), vocabulary_(parts_.tokens), added_tokens_(std::move(parts_.added_tokens)),
        is_special_(parts_.tokens.size(), false) {
    for (TokenText const& token : parts_.tokens) {
      longest_piece_ = std::max(longest_piece_, token.bytes.size());
    }
    parts_.tokens.clear();
    parts_.tokens.shrink_to_fit(); // the vocabulary has them
    for (AddedToken const& token : added_tokens_.tokens()) {
      is_special_[static_cast<std::size_t>(token.id)] = token.special;
    }
  }

  /// Ids of `text`, without framing.
  [[nodiscard]] std::vector<std::int32_t> encode(std::string_view text) const {
    std::vector<std::int32_t> ids;
    encode_to(text, [&](std::int32_t id, std::size_t) { ids.push_back(id); });
    return ids;
  }

  /// Ids of `text` with what the model expects around them.
  [[nodiscard]] std::vector<std::int32_t> encode_framed(std::string_view text) const {
    return frame(framing(), encode(text));
  }

  /// Ids of a pair of texts with what the model expects around and between them.
  [[nodiscard]] std::vector<std::int32_t> encode_framed(std::string_view first,
                                                        std::string_view second) const {
    return frame(framing(), encode(first), encode(second)).ids;
  }

  /// For each id of `encode(text)` the offset in bytes where its text ends, in `replace_invalid_utf8(text)`.
  [[nodiscard]] std::vector<std::size_t> token_ends(std::string_view text) const {
    std::vector<std::size_t> ends;
    encode_to(text, [&](std::int32_t, std::size_t end) { ends.push_back(end); });
    return ends;
  }

  /// The words of `ids` with spaces between them, special tokens included unless `skip_special`. Throws
  /// `Error` on an id out of range.
  [[nodiscard]] std::string decode(std::span<std::int32_t const> ids, bool skip_special = false) const {
    std::string text;
    bool first = true;
    for (std::int32_t const id : ids) {
      std::string token = token_of(id);
      if (skip_special && is_special_[static_cast<std::size_t>(id)]) {
        continue;
      }
      if (!first && token.starts_with(parts_.prefix)) {
        token.erase(0, parts_.prefix.size());
      } else if (!first) {
        token.insert(0, 1, ' ');
      }
      text += parts_.cleanup ? without_spaces(std::move(token)) : token;
      first = false;
    }
    return text;
  }

  /// The token as the vocabulary file writes it, e.g. "##ing". Throws `Error` on an id out of range.
  [[nodiscard]] std::string token_of(std::int32_t id) const {
    require(id >= 0 && static_cast<std::size_t>(id) < vocabulary_.size(), "token id ", id,
            " is out of range; the vocabulary has ", vocabulary_.size(), " tokens");
    return vocabulary_.spelling(id);
  }

  /// Id of the token that the vocabulary file writes so.
  [[nodiscard]] std::optional<std::int32_t> id_of(std::string_view token) const {
    std::int32_t const id = vocabulary_.find_bytes(token, true);
    return id < 0 ? std::nullopt : std::optional(id);
  }

  /// Number of tokens, added ones among them; ids are below it.
  [[nodiscard]] std::size_t vocabulary_size() const noexcept { return vocabulary_.size(); }
  /// Those that the files name, or that are there under the usual names.
  [[nodiscard]] SpecialTokens const& special_tokens() const noexcept { return parts_.special_tokens; }
  /// What encode_framed puts around texts.
  [[nodiscard]] Framing const& framing() const noexcept { return parts_.framing; }
  /// The steps that a text takes before it is cut into words.
  [[nodiscard]] BertNormalizer const& normalizer() const noexcept { return parts_.normalizer; }

private:
  /// What `tokenizers` does to each token of a text: English punctuation and contractions move to the word
  /// before.
  [[nodiscard]] static std::string without_spaces(std::string token) {
    constexpr std::pair<std::string_view, std::string_view> replacements[] = {
        {" .", "."},   {" ?", "?"},           {" !", "!"},   {" ,", ","},     {" ' ", "'"},   {" n't", "n't"},
        {" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
    for (auto const& [from, to] : replacements) {
      for (std::size_t at = token.find(from); at != std::string::npos;
           at = token.find(from, at + to.size())) {
        token.replace(at, from.size(), to);
      }
    }
    return token;
  }

  /// Calls emit(id, end) for each token of `text`.
  template <class Emit>
  void encode_to(std::string_view text, Emit const& emit) const {
    if (!is_valid_utf8(text)) {
      encode_to(replace_invalid_utf8(text), emit);
      return;
    }
    auto const on_text = [&](std::size_t begin, std::size_t end) {
      auto const characters = normalize(parts_.normalizer, text.substr(begin, end - begin), begin);
      split_words(characters, [&](std::size_t first, std::size_t last) {
        encode_word(std::span(characters).subspan(first, last - first), emit);
      });
    };
    added_tokens_.split(text, on_text, emit);
  }

  /// The longest piece that begins the word, then the longest that continues it, and so on; the unknown token
  /// for the whole word where there is none.
  template <class Emit>
  void encode_word(std::span<NormalCharacter const> word, Emit const& emit) const {
    std::vector<std::pair<std::int32_t, std::size_t>> pieces;
    std::string spelling;
    std::vector<std::size_t> ends; // of each character in `spelling`
    bool known = word.size() <= parts_.longest_word;
    for (std::size_t done = 0; known && done < word.size();) {
      spelling = done == 0 ? "" : parts_.prefix;
      ends.clear();
      for (std::size_t i = done; i < word.size() && spelling.size() < longest_piece_; ++i) {
        append_code_point(spelling, word[i].value);
        ends.push_back(spelling.size());
      }
      std::int32_t id = -1;
      for (std::size_t count = ends.size(); id < 0 && count > 0; --count) {
        id = vocabulary_.find_bytes(std::string_view(spelling).substr(0, ends[count - 1]), true);
        if (id >= 0) {
          done += count;
          pieces.emplace_back(id, word[done - 1].end);
        }
      }
      known = id >= 0;
    }
    if (!known) {
      emit(parts_.unknown, word.back().end);
      return;
    }
    for (auto const& [id, end] : pieces) {
      emit(id, end);
    }
  }

  WordPieceParts parts_; ///< without tokens and added tokens
  Vocabulary vocabulary_;
  AddedTokenSplitter added_tokens_;
  std::vector<bool> is_special_;  ///< left out by decode on request
  std::size_t longest_piece_ = 0; ///< in bytes
};

static_assert(Tokenizer<WordPieceTokenizer>);

} // namespace pocketllm::text
