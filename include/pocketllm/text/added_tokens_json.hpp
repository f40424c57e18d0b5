// SPDX-License-Identifier: Apache-2.0
// Added tokens as tokenizer.json and tokenizer_config.json write them.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/text/added_tokens.hpp>
#include <pocketllm/text/json_file.hpp>
#include <pocketllm/text/vocabulary_builder.hpp>

#include <string_view>
#include <utility>

namespace pocketllm::text::detail {

/// The members of an added token, `json` being one of tokenizer.json or of tokenizer_config.json.
[[nodiscard]] inline AddedToken read_added_token(Json const& json, std::string_view name) {
  AddedToken token;
  token.content = string_member(json, "content", name);
  token.single_word = bool_member(json, "single_word", name).value_or(false);
  token.lstrip = bool_member(json, "lstrip", name).value_or(false);
  token.rstrip = bool_member(json, "rstrip", name).value_or(false);
  token.special = bool_member(json, "special", name).value_or(false);
  token.normalized = bool_member(json, "normalized", name).value_or(!token.special);
  return token;
}

inline void read_added_tokens(Json const& root, std::string_view name, VocabularyBuilder& builder) {
  Json const* tokens = find_member(root, "added_tokens");
  require(tokens == nullptr || tokens->is_array(), name, ": \"added_tokens\" is not an array");
  if (tokens == nullptr) {
    return;
  }
  for (Json const& json : *tokens) {
    AddedToken token = read_added_token(json, name);
    Json const* id = find_member(json, "id");
    token.id = to_token_id(id == nullptr ? Json() : *id, token.content, name);
    builder.add_token(std::move(token), name);
  }
}

} // namespace pocketllm::text::detail
