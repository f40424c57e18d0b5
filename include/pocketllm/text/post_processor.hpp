// SPDX-License-Identifier: Apache-2.0
// The framing of texts, from the "post_processor" of tokenizer.json.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/text/json_file.hpp>
#include <pocketllm/text/tokenizer.hpp>
#include <pocketllm/text/vocabulary_builder.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pocketllm::text::detail {

/// A token of RobertaProcessing or BertProcessing: ["</s>", 2].
[[nodiscard]] inline std::int32_t read_framing_token(Json const& processor, std::string_view key,
                                                     std::string_view name,
                                                     VocabularyBuilder const& builder) {
  Json const* pair = find_member(processor, key);
  bool const two = pair != nullptr && pair->is_array() && pair->size() == 2 && (*pair)[0].is_string();
  require(two, name, ": \"", key, "\" of the post_processor is not [token, id]");
  std::string const& token = (*pair)[0].get_ref<std::string const&>();
  std::int32_t const id = to_token_id((*pair)[1], token, name);
  require(builder.find(token) == id, name, ": token ", quote(token), " of the post_processor has id ", id,
          ", which is not what the vocabulary says");
  return id;
}

/// `<s> x </s>` and `<s> a </s></s> b </s>`; BERT has one separator between the two.
inline void read_cls_sep(Json const& processor, std::string_view name, int separators,
                         VocabularyBuilder& builder) {
  std::int32_t const cls = read_framing_token(processor, "cls", name, builder);
  std::int32_t const sep = read_framing_token(processor, "sep", name, builder);
  std::vector<std::int32_t> between(static_cast<std::size_t>(separators), sep);
  builder.framing = {{cls}, {sep}, {cls}, between, {sep}, separators == 1 ? 1 : 0};
  builder.special_tokens.cls = cls;
  builder.special_tokens.sep = sep;
}

/// Ids of a special token of a template, by its name in the template's own list.
inline void append_template_token(Json const& processor, std::string const& token, std::string_view name,
                                  VocabularyBuilder const& builder, std::vector<std::int32_t>& ids) {
  Json const* tokens = find_member(processor, "special_tokens");
  Json const* entry = tokens == nullptr ? nullptr : find_member(*tokens, token);
  Json const* list = entry == nullptr ? nullptr : find_member(*entry, "ids");
  if (list == nullptr || !list->is_array()) {
    fail(name, ": the template of the post_processor uses ", quote(token), ", which its special_tokens lack");
  }
  for (Json const& id : *list) {
    ids.push_back(to_token_id(id, token, name));
    require(builder.has_id(ids.back()), name, ": token ", quote(token), " of the post_processor has id ",
            ids.back(), ", which no token of the vocabulary has");
  }
}

/// Reads "single" or "pair" of a template: the ids before, between and after the texts A (and B), in order.
[[nodiscard]] inline std::vector<std::vector<std::int32_t>> read_template(Json const& processor,
                                                                          std::string_view key,
                                                                          std::string_view name,
                                                                          VocabularyBuilder const& builder) {
  std::vector<std::vector<std::int32_t>> parts(1);
  Json const* pieces = find_member(processor, key);
  require(pieces != nullptr && pieces->is_array(), name,
          ": the template of the post_processor has no array \"", key, "\"");
  std::string const texts = key == "pair" ? "AB" : "A";
  for (Json const& piece : *pieces) {
    Json const* special = find_member(piece, "SpecialToken");
    Json const* sequence = find_member(piece, "Sequence");
    if (special != nullptr) {
      append_template_token(processor, string_member(*special, "id", name), name, builder, parts.back());
      continue;
    }
    std::string const text = sequence == nullptr ? "" : string_member(*sequence, "id", name);
    bool const expected = parts.size() <= texts.size() && text == texts.substr(parts.size() - 1, 1);
    require(expected, name, ": the post_processor's template \"", key, "\" is not supported; only one with ",
            key == "pair" ? "A, then B" : "A", " and special tokens around is");
    parts.emplace_back();
  }
  require(parts.size() == texts.size() + 1, name, ": the post_processor's template \"", key,
          "\" lacks a text");
  return parts;
}

/// The token type of the text B in a template; all else is as BERT has it, or of type 0.
[[nodiscard]] inline std::int32_t read_second_type(Json const& processor, std::string_view name) {
  for (Json const& piece : processor.at("pair")) {
    Json const* sequence = find_member(piece, "Sequence");
    if (sequence != nullptr && string_member(*sequence, "id", name) == "B") {
      Json const* type = find_member(*sequence, "type_id");
      require(type == nullptr || type->is_number_unsigned(), name,
              ": a type_id of the post_processor is no number");
      return type == nullptr ? 0 : type->get<std::int32_t>();
    }
  }
  return 0;
}

/// Sets the framing; "ByteLevel" and no post-processor at all mean none.
inline void read_post_processor(Json const& root, std::string_view name, VocabularyBuilder& builder) {
  std::vector<Json const*> processors;
  if (Json const* only = find_member(root, "post_processor")) {
    Json const* steps = find_member(*only, "processors");
    if (string_member(*only, "type", name) != "Sequence") {
      processors.push_back(only);
    } else if (steps != nullptr && steps->is_array()) {
      for (Json const& step : *steps) {
        processors.push_back(&step);
      }
    }
  }
  for (Json const* processor : processors) {
    std::string const type = string_member(*processor, "type", name, "unnamed");
    if (type == "RobertaProcessing" || type == "BertProcessing") {
      read_cls_sep(*processor, name, type == "RobertaProcessing" ? 2 : 1, builder);
    } else if (type == "TemplateProcessing") {
      auto single = read_template(*processor, "single", name, builder);
      auto pair = read_template(*processor, "pair", name, builder);
      builder.framing = {single[0], single[1], pair[0], pair[1], pair[2], read_second_type(*processor, name)};
    } else {
      require(type == "ByteLevel", name, ": post_processor ", quote(type),
              " is not supported; supported are RobertaProcessing, BertProcessing, TemplateProcessing and "
              "ByteLevel");
    }
  }
}

} // namespace pocketllm::text::detail
