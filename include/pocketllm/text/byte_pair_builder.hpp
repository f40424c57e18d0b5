// SPDX-License-Identifier: Apache-2.0
// Puts a byte-level BPE tokenizer together from vocabulary, merges and added tokens as the files write them,
// and checks that they agree.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/text/byte_pair.hpp>
#include <pocketllm/text/json_file.hpp>

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
class BytePairBuilder {
public:
  bool add_prefix_space = false;
  bool ignore_merges = false;
  SpecialTokens special_tokens;
  Framing framing;

  /// Takes the object {token: id} of vocab.json or of tokenizer.json's model.
  void read_vocabulary(Json const& vocabulary, std::string_view where) {
    if (!vocabulary.is_object() || vocabulary.empty()) {
      fail(where, ": the vocabulary is not a JSON object {token: id} with at least one token");
    }
    ids_.reserve(vocabulary.size());
    for (auto const& [token, id] : vocabulary.items()) {
      ids_.emplace(token, to_token_id(id, token, where));
    }
    bool const has_space = ids_.contains("\xc4\xa0"); // U+0120, GPT-2's spelling of the space
    require(has_space, where,
            ": no token \"\xc4\xa0\" (the space of byte-level BPE) in the vocabulary; only byte-level BPE ",
            "as in GPT-2, RoBERTa and OPT is supported");
  }

  /// Adds a token that is found in texts as it stands. It may be in the vocabulary already, with the same id.
  void add_token(AddedToken token, std::string_view where) {
    require(!token.content.empty(), where, ": an added token (id ", token.id, ") is empty");
    auto const [found, is_new] = ids_.emplace(token.content, token.id);
    if (!is_new && found->second != token.id) {
      fail(where, ": added token ", quote(token.content), " has id ", token.id, ", but the vocabulary says ",
           found->second);
    }
    for (AddedToken& known : added_tokens_) {
      if (known.content == token.content) {
        known = std::move(token);
        return;
      }
    }
    added_tokens_.push_back(std::move(token));
  }

  /// Adds the merge of two tokens; `where` is a function that names the place, called only for an error.
  template <class Where>
  void add_merge(std::string_view left, std::string_view right, Where const& where) {
    auto const id = [&](std::string const& token) {
      auto const found = ids_.find(token);
      if (found == ids_.end()) {
        fail(where(), ": merge of ", quote(left), " and ", quote(right), ": ", quote(token),
             " is not in the vocabulary; vocabulary and merges belong to different models or are damaged");
      }
      return found->second;
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

  [[nodiscard]] std::optional<std::int32_t> find(std::string_view token) const {
    auto const found = ids_.find(std::string(token));
    return found == ids_.end() ? std::nullopt : std::optional(found->second);
  }

  /// True for an id that build() finds a token for; ids are 0 to n-1.
  [[nodiscard]] bool has_id(std::int32_t id) const noexcept {
    return id >= 0 && static_cast<std::size_t>(id) < ids_.size();
  }

  /// True for tokens that are found in texts as they stand.
  [[nodiscard]] bool is_added(std::string_view content) const noexcept {
    return std::any_of(added_tokens_.begin(), added_tokens_.end(),
                       [&](AddedToken const& token) { return token.content == content; });
  }

  /// Checks that the ids are 0 to n-1, each once, and makes the tokenizer.
  [[nodiscard]] BytePairTokenizer build(std::string_view where) const {
    BytePairParts parts;
    parts.tokens = tokens_by_id(where);
    parts.merges = merges_;
    parts.added_tokens = added_tokens_;
    parts.unknown = unknown_;
    parts.add_prefix_space = add_prefix_space;
    parts.ignore_merges = ignore_merges;
    parts.special_tokens = special_tokens;
    parts.framing = framing;
    return BytePairTokenizer(std::move(parts));
  }

private:
  [[nodiscard]] std::vector<TokenText> tokens_by_id(std::string_view where) const {
    std::vector<std::string const*> spellings(ids_.size(), nullptr);
    for (auto const& [token, id] : ids_) {
      auto const index = static_cast<std::size_t>(id);
      if (index >= spellings.size()) {
        continue; // then another id has no token: reported below
      }
      if (spellings[index] != nullptr) {
        fail(where, ": tokens ", quote(*spellings[index]), " and ", quote(token), " have the same id ", id);
      }
      spellings[index] = &token;
    }
    std::vector<TokenText> tokens(spellings.size());
    for (std::size_t id = 0; id < spellings.size(); ++id) {
      if (spellings[id] == nullptr) {
        fail(where, ": no token has id ", id, "; ids must be 0 to ", spellings.size() - 1, " for ",
             spellings.size(), " tokens");
      }
      auto bytes = bytes_of_spelling(*spellings[id]);
      bool const literal = !bytes;
      tokens[id] = {literal ? *spellings[id] : *std::move(bytes), literal};
    }
    for (AddedToken const& token : added_tokens_) {
      TokenText& text = tokens[static_cast<std::size_t>(token.id)];
      if (text.bytes != token.content) { // else both ways of writing it agree, as for `<mask>`
        text = {token.content, true};
      }
    }
    return tokens;
  }

  std::unordered_map<std::string, std::int32_t> ids_;
  std::vector<Merge> merges_;
  std::vector<AddedToken> added_tokens_;
  std::optional<std::int32_t> unknown_;
};

/// Fills in special tokens that no file names: those that are in the vocabulary under RoBERTa's or GPT-2's
/// names.
inline void apply_conventional_names(BytePairBuilder const& builder, SpecialTokens& tokens) {
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
