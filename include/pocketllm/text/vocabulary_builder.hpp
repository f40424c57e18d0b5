// SPDX-License-Identifier: Apache-2.0
// Vocabulary and added tokens of a tokenizer while its files are being read, and whether they agree.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/text/added_tokens.hpp>
#include <pocketllm/text/json_file.hpp>
#include <pocketllm/text/quote.hpp>
#include <pocketllm/text/tokenizer.hpp>

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

/// What readers of all kinds of tokenizers collect. Each member function throws `Error` with a message that
/// begins with `where`, the file (and line) it is about.
class VocabularyBuilder {
public:
  SpecialTokens special_tokens; ///< roles known so far
  Framing framing;              ///< of the tokenizer to be

  /// Takes the object {token: id} of vocab.json or of tokenizer.json's model.
  void read_vocabulary(Json const& vocabulary, std::string_view where) {
    if (!vocabulary.is_object() || vocabulary.empty()) {
      fail(where, ": the vocabulary is not a JSON object {token: id} with at least one token");
    }
    ids_.reserve(vocabulary.size());
    for (auto const& [token, id] : vocabulary.items()) {
      ids_.emplace(token, to_token_id(id, token, where));
    }
  }

  /// Takes a token under the next free id: the lines of vocab.txt. False when it is there already.
  bool append_token(std::string_view token) {
    return ids_.emplace(token, static_cast<std::int32_t>(ids_.size())).second;
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

  /// Has a token of the vocabulary found in texts as it stands, if there is one and it is not yet.
  void add_special(std::optional<std::int32_t> id) {
    for (auto const& [content, own] : ids_) {
      if (id == own && !is_added(content)) {
        AddedToken token;
        token.id = own;
        token.content = content;
        added_tokens_.push_back(std::move(token));
      }
    }
  }

  /// Id of a token, added or not, as the files write it; none when there is no such token so far.
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

protected:
  /// The tokens by id. Throws Error unless the ids are 0 to n-1, each once.
  [[nodiscard]] std::vector<std::string const*> spellings_by_id(std::string_view where) const {
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
    for (std::size_t id = 0; id < spellings.size(); ++id) {
      if (spellings[id] == nullptr) {
        fail(where, ": no token has id ", id, "; ids must be 0 to ", spellings.size() - 1, " for ",
             spellings.size(), " tokens");
      }
    }
    return spellings;
  }

  /// Those of `add_token` and `add_special`, each content once, in the order in which they first came.
  [[nodiscard]] std::vector<AddedToken> const& added_tokens() const noexcept { return added_tokens_; }

private:
  std::unordered_map<std::string, std::int32_t> ids_;
  std::vector<AddedToken> added_tokens_;
};

} // namespace pocketllm::text
