// SPDX-License-Identifier: Apache-2.0
// What the small files beside a vocabulary say: tokenizer_config.json, special_tokens_map.json,
// added_tokens.json and config.json.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/text/added_tokens_json.hpp>
#include <pocketllm/text/json_file.hpp>
#include <pocketllm/text/vocabulary_builder.hpp>

#include <array>
#include <charconv>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pocketllm::text {

/// A special token that a file names, e.g. "mask_token": its content, and how it is matched where the file
/// says so.
struct NamedToken {
  std::optional<std::int32_t> SpecialTokens::*role = nullptr; ///< null for additional special tokens
  AddedToken token;                                           ///< without its id, which the vocabulary knows
  bool has_flags = false; ///< the file gives an object with lstrip and so on, not just the content
  std::string where;      ///< the file and the member
};

/// The four files, each of which may be missing.
struct TokenizerConfig {
  std::string tokenizer_class;          ///< without a final "Fast"; empty if not given
  std::string model_type;               ///< of config.json; empty if not given
  std::optional<bool> add_prefix_space; ///< of tokenizer_config.json, as all flags here
  std::optional<bool> add_bos_token;    ///< tells OPT from GPT-2 where a GPT2Tokenizer is named
  std::optional<bool> do_lower_case,    ///< of BERT, as the next two; see BertNormalizer
      strip_accents,                    ///< as do_lower_case if not given
      tokenize_chinese_chars;           ///< BertNormalizer::handle_chinese_chars
  std::vector<NamedToken> named_tokens; ///< each role once, and additional special tokens
  std::vector<std::pair<AddedToken, std::string>> tokens_with_ids; ///< and the file that lists them
};

namespace detail {

struct RoleName {
  std::string_view key;
  std::optional<std::int32_t> SpecialTokens::*role;
};

inline constexpr std::array<RoleName, 7> role_names{{{"bos_token", &SpecialTokens::bos},
                                                     {"eos_token", &SpecialTokens::eos},
                                                     {"pad_token", &SpecialTokens::pad},
                                                     {"mask_token", &SpecialTokens::mask},
                                                     {"unk_token", &SpecialTokens::unk},
                                                     {"cls_token", &SpecialTokens::cls},
                                                     {"sep_token", &SpecialTokens::sep}}};

/// The object in `path`, or JSON's null if there is no such file.
[[nodiscard]] inline Json read_optional_object(std::filesystem::path const& path) {
  if (!std::filesystem::exists(path)) {
    return Json();
  }
  Json json = parse_json(read_whole_file(path), path.string());
  require(json.is_object(), path.string(), ": expected a JSON object");
  return json;
}

/// A special token given as a string or as an object with "content".
[[nodiscard]] inline NamedToken read_named_token(Json const& json, std::string const& where) {
  NamedToken named;
  named.where = where;
  if (json.is_string()) {
    named.token.content = json.get_ref<std::string const&>();
  } else {
    named.token = read_added_token(json, where);
    named.has_flags = true;
    named.token.special = true;
    named.token.normalized = bool_member(json, "normalized", where).value_or(false);
  }
  require(!named.token.content.empty(), where,
          ": expected a token, as a string or as an object with \"content\"");
  return named;
}

/// The special tokens that tokenizer_config.json or special_tokens_map.json name. A role that has a token
/// already keeps it, unless the same token comes again with flags.
inline void read_named_tokens(Json const& json, std::string const& file, std::vector<NamedToken>& tokens) {
  for (auto const& [key, role] : role_names) {
    Json const* member = find_member(json, key);
    if (member == nullptr) {
      continue;
    }
    NamedToken named = read_named_token(*member, concat(file, ": ", key));
    named.role = role;
    bool known = false;
    for (NamedToken& earlier : tokens) {
      if (earlier.role == named.role) {
        known = true;
        if (!earlier.has_flags && named.has_flags && earlier.token.content == named.token.content) {
          earlier = named;
        }
      }
    }
    if (!known) {
      tokens.push_back(std::move(named));
    }
  }
  for (std::string_view const key : {"additional_special_tokens", "extra_special_tokens"}) {
    Json const* list = find_member(json, key);
    if (list != nullptr && list->is_array()) {
      for (Json const& token : *list) {
        tokens.push_back(read_named_token(token, concat(file, ": ", key)));
      }
    }
  }
}

/// added_tokens.json is {token: id}; "added_tokens_decoder" of tokenizer_config.json is {"id": object}.
inline void read_tokens_with_ids(Json const& added, std::string const& added_file, Json const& config,
                                 std::string const& config_file, TokenizerConfig& result) {
  if (added.is_object()) {
    for (auto const& [content, id] : added.items()) {
      AddedToken token;
      token.id = to_token_id(id, content, added_file);
      token.content = content;
      token.special = false;
      token.normalized = true; // Hugging Face's default for added tokens that are not special
      result.tokens_with_ids.emplace_back(std::move(token), added_file);
    }
  }
  Json const* decoder = find_member(config, "added_tokens_decoder");
  if (decoder != nullptr && decoder->is_object()) {
    for (auto const& [key, json] : decoder->items()) {
      AddedToken token = read_added_token(json, config_file);
      auto const [end, error] = std::from_chars(key.data(), key.data() + key.size(), token.id);
      bool const number = error == std::errc() && end == key.data() + key.size() && token.id >= 0;
      require(number, config_file, ": added_tokens_decoder: ", quote(key), " is not a token id");
      result.tokens_with_ids.emplace_back(std::move(token), config_file);
    }
  }
}

} // namespace detail

/// Reads what is there of the four files in `directory`. Throws `Error` naming the file that is damaged.
[[nodiscard]] inline TokenizerConfig read_tokenizer_config(std::filesystem::path const& directory) {
  auto const path = [&](char const* file) { return (directory / file).string(); };
  Json const config = detail::read_optional_object(path("tokenizer_config.json"));
  Json const special = detail::read_optional_object(path("special_tokens_map.json"));
  Json const added = detail::read_optional_object(path("added_tokens.json"));
  Json const model = detail::read_optional_object(path("config.json"));

  TokenizerConfig result;
  std::string const file = path("tokenizer_config.json");
  result.tokenizer_class = string_member(config, "tokenizer_class", file);
  if (result.tokenizer_class.ends_with("Fast")) {
    result.tokenizer_class.resize(result.tokenizer_class.size() - 4);
  }
  result.model_type = string_member(model, "model_type", path("config.json"));
  result.add_prefix_space = bool_member(config, "add_prefix_space", file);
  result.add_bos_token = bool_member(config, "add_bos_token", file);
  result.do_lower_case = bool_member(config, "do_lower_case", file);
  result.strip_accents = bool_member(config, "strip_accents", file);
  result.tokenize_chinese_chars = bool_member(config, "tokenize_chinese_chars", file);
  detail::read_named_tokens(config, file, result.named_tokens);
  detail::read_named_tokens(special, path("special_tokens_map.json"), result.named_tokens);
  detail::read_tokens_with_ids(added, path("added_tokens.json"), config, file, result);
  return result;
}

/// Gives the special tokens that the configuration names their roles, and adds those that the tokenizer does
/// not have among its added tokens yet. Throws `Error` if one is not in the vocabulary.
inline void apply_named_tokens(TokenizerConfig const& config, VocabularyBuilder& builder,
                               bool mask_takes_space) {
  for (NamedToken const& named : config.named_tokens) {
    auto const id = builder.find(named.token.content);
    require(
        id.has_value(), named.where, ": ", quote(named.token.content),
        " is not in the vocabulary; the files belong to different models, or added_tokens.json is missing");
    if (named.role != nullptr) {
      builder.special_tokens.*named.role = id;
    }
    if (!builder.is_added(named.token.content)) {
      AddedToken token = named.token;
      token.id = *id;
      bool const bare_mask = !named.has_flags && named.role == &SpecialTokens::mask;
      token.lstrip = token.lstrip || (bare_mask && mask_takes_space);
      builder.add_token(std::move(token), named.where);
    }
  }
}

} // namespace pocketllm::text
