// SPDX-License-Identifier: Apache-2.0
// Puts a byte-level BPE tokenizer together from vocabulary, merges and added tokens as the files write them,
// and checks that they agree.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/text/byte_pair.hpp>
#include <pocketllm/text/json_file.hpp>
#include <pocketllm/text/vocabulary_builder.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace pocketllm::text {

/// Vocabulary, merges and added tokens of one tokenizer, while its files are being read. Each member function
/// throws `Error` with a message that begins with `where`, the file (and line) it is about.
class BytePairBuilder : public VocabularyBuilder {
public:
  bool add_prefix_space = false; ///< as of BytePairParts; of the pre-tokenizer or tokenizer_config.json
  bool ignore_merges = false;    ///< as of BytePairParts; a member of tokenizer.json's model

  /// As for any vocabulary; this one must spell the space in GPT-2's way.
  void read_vocabulary(Json const& vocabulary, std::string_view where) {
    VocabularyBuilder::read_vocabulary(vocabulary, where);
    bool const has_space = find("\xc4\xa0").has_value(); // U+0120, GPT-2's spelling of the space
    require(has_space, where,
            ": no token \"\xc4\xa0\" (the space of byte-level BPE) in the vocabulary; only byte-level BPE ",
            "as in GPT-2, RoBERTa and OPT is supported");
  }

  /// Adds the merge of two tokens; `where` is a function that names the place, called only for an error.
  template <class Where>
  void add_merge(std::string_view left, std::string_view right, Where const& where) {
    auto const id = [&](std::string const& token) {
      auto const found = find(token);
      if (!found) {
        fail(where(), ": merge of ", quote(left), " and ", quote(right), ": ", quote(token),
             " is not in the vocabulary; vocabulary and merges belong to different models or are damaged");
      }
      return *found;
    };
    std::string joined(left);
    joined += right;
    merges_.push_back({id(std::string(left)), id(std::string(right)), id(joined)});
  }

  /// The tokens to be used for bytes that have none.
  void set_unknown(std::string_view token, std::string_view where) {
    unknown_ = find(token);
    require(unknown_.has_value(), where, ": unk_token ", quote(token), " is not in the vocabulary");
  }

  /// Checks that the ids are 0 to n-1, each once, and makes the tokenizer.
  [[nodiscard]] BytePairTokenizer build(std::string_view where) const {
    BytePairParts parts;
    parts.tokens = tokens_by_id(where);
    parts.merges = merges_;
    parts.added_tokens = added_tokens();
    parts.unknown = unknown_;
    parts.add_prefix_space = add_prefix_space;
    parts.ignore_merges = ignore_merges;
    parts.special_tokens = special_tokens;
    parts.framing = framing;
    return BytePairTokenizer(std::move(parts));
  }

private:
  [[nodiscard]] std::vector<TokenText> tokens_by_id(std::string_view where) const {
    std::vector<TokenText> tokens;
    for (std::string const* spelling : spellings_by_id(where)) {
      auto bytes = bytes_of_spelling(*spelling);
      bool const literal = !bytes;
      tokens.push_back({literal ? *spelling : *std::move(bytes), literal});
    }
    for (AddedToken const& token : added_tokens()) {
      TokenText& text = tokens[static_cast<std::size_t>(token.id)];
      if (text.bytes != token.content) { // else both ways of writing it agree, as for `<mask>`
        text = {token.content, true};
      }
    }
    return tokens;
  }

  std::vector<Merge> merges_;
  std::optional<std::int32_t> unknown_;
};

/// Fills in special tokens that no file names: those that are in the vocabulary under RoBERTa's or GPT-2's
/// names.
inline void apply_conventional_names(VocabularyBuilder const& builder, SpecialTokens& tokens) {
  auto const fill = [&](std::optional<std::int32_t>& id, std::string_view name) {
    id = id ? id : builder.find(name);
  };
  fill(tokens.bos, "<s>");
  fill(tokens.eos, "</s>");
  fill(tokens.cls, "<s>");
  fill(tokens.sep, "</s>");
  fill(tokens.pad, "<pad>");
  fill(tokens.unk, "<unk>");
  fill(tokens.mask, "<mask>");
  fill(tokens.bos, "<|endoftext|>");
  fill(tokens.eos, "<|endoftext|>");
  fill(tokens.unk, "<|endoftext|>");
}

} // namespace pocketllm::text
