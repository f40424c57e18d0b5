// SPDX-License-Identifier: Apache-2.0
// Reads WordPiece tokenizers: vocab.txt with the small files beside it, or a tokenizer.json.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/text/added_tokens_json.hpp>
#include <pocketllm/text/json_file.hpp>
#include <pocketllm/text/post_processor.hpp>
#include <pocketllm/text/tokenizer_config.hpp>
#include <pocketllm/text/vocabulary_builder.hpp>
#include <pocketllm/text/wordpiece.hpp>

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

namespace pocketllm::text {

/// Puts a WordPiece tokenizer together.
class WordPieceBuilder : public VocabularyBuilder {
public:
  std::string unknown = "[UNK]"; ///< by name
  WordPieceParts parts;          ///< all but tokens, roles and framing

  /// Checks that the ids are 0 to n-1, each once, and makes the tokenizer.
  [[nodiscard]] WordPieceTokenizer build(std::string_view where) const {
    WordPieceParts all = parts;
    for (std::string const* token : spellings_by_id(where)) {
      all.tokens.push_back({*token, true});
    }
    auto const id = find(unknown);
    require(id.has_value(), where, ": unk_token ", quote(unknown), " is not in the vocabulary");
    all.unknown = *id;
    all.added_tokens = added_tokens();
    for (AddedToken const& token : all.added_tokens) {
      require(!token.normalized, where, ": added token ", quote(token.content),
              " is looked for in the normalised text, which is not supported with WordPiece");
    }
    all.special_tokens = special_tokens;
    all.framing = framing;
    return WordPieceTokenizer(std::move(all));
  }
};

/// Fills in special tokens that no file names: those that are in the vocabulary under BERT's names.
inline void apply_bert_names(WordPieceBuilder& builder) {
  SpecialTokens& tokens = builder.special_tokens;
  auto const fill = [&](std::optional<std::int32_t>& id, std::string_view name) {
    id = id ? id : builder.find(name);
  };
  fill(tokens.cls, "[CLS]");
  fill(tokens.sep, "[SEP]");
  fill(tokens.pad, "[PAD]");
  fill(tokens.unk, builder.unknown);
  fill(tokens.mask, "[MASK]");
}

namespace detail {

/// BertNormalizer, alone or in a sequence of one.
inline void read_bert_normalizer(Json const& root, std::string_view name, BertNormalizer& normalizer) {
  Json const* step = find_member(root, "normalizer");
  std::string const type = step == nullptr ? "none" : string_member(*step, "type", name, "unnamed");
  require(type == "BertNormalizer", name, ": normalizer ", quote(type),
          " is not supported with WordPiece; only BertNormalizer is");
  normalizer.clean_text = bool_member(*step, "clean_text", name).value_or(true);
  normalizer.handle_chinese_chars = bool_member(*step, "handle_chinese_chars", name).value_or(true);
  normalizer.lowercase = bool_member(*step, "lowercase", name).value_or(true);
  normalizer.strip_accents = bool_member(*step, "strip_accents", name).value_or(normalizer.lowercase);
}

inline void require_bert_pre_tokenizer(Json const& root, std::string_view name) {
  Json const* step = find_member(root, "pre_tokenizer");
  std::string const type = step == nullptr ? "none" : string_member(*step, "type", name, "unnamed");
  require(type == "BertPreTokenizer", name, ": pre_tokenizer ", quote(type),
          " is not supported with WordPiece; only BertPreTokenizer is");
}

/// One token a line; white space at its end does not belong to it.
inline void read_vocabulary_text(std::string_view bytes, std::string_view name, VocabularyBuilder& builder) {
  require(is_valid_utf8(bytes), name, ": invalid UTF-8 at byte ", valid_utf8_prefix(bytes),
          "; the file is damaged, fetch it again");
  std::size_t number = 0;
  while (!bytes.empty()) {
    std::size_t const end = std::min(bytes.find('\n'), bytes.size());
    std::string_view token = bytes.substr(0, end);
    bytes.remove_prefix(std::min(end + 1, bytes.size()));
    ++number;
    while (token.ends_with('\r') || token.ends_with(' ') || token.ends_with('\t')) {
      token.remove_suffix(1);
    }
    require(builder.append_token(token), name, ":", number, ": token ", quote(token),
            " is there already; the ids of all tokens behind it would be wrong");
  }
}

} // namespace detail

/// Reads a parsed tokenizer.json that holds a WordPiece tokenizer, without the special tokens that only the
/// configuration files name. Throws `Error` beginning with `name` if it is damaged or not as BERT has it.
[[nodiscard]] inline WordPieceBuilder read_wordpiece_json(Json const& root, std::string_view name) {
  Json const& model = root.at("model");
  Json const* vocabulary = find_member(model, "vocab");
  WordPieceBuilder builder;
  builder.read_vocabulary(vocabulary == nullptr ? Json() : *vocabulary, name);
  detail::read_added_tokens(root, name, builder);
  detail::read_bert_normalizer(root, name, builder.parts.normalizer);
  detail::require_bert_pre_tokenizer(root, name);
  builder.unknown = string_member(model, "unk_token", name, builder.unknown);
  builder.parts.prefix = string_member(model, "continuing_subword_prefix", name, builder.parts.prefix);
  if (Json const* longest = find_member(model, "max_input_chars_per_word")) {
    require(longest->is_number_unsigned(), name, ": \"max_input_chars_per_word\" is not a whole number");
    builder.parts.longest_word = longest->get<std::size_t>();
  }
  if (Json const* decoder = find_member(root, "decoder")) {
    builder.parts.cleanup = bool_member(*decoder, "cleanup", name).value_or(true);
  }
  detail::read_post_processor(root, name, builder);
  return builder;
}

/// Reads vocab.txt and the small files beside it, with BERT's names and framing. Lower case and stripped
/// accents are as tokenizer_config.json says; without it, lower case is BERT's default.
[[nodiscard]] inline WordPieceTokenizer read_wordpiece_files(std::filesystem::path const& directory) {
  std::string const file = (directory / "vocab.txt").string();
  TokenizerConfig const config = read_tokenizer_config(directory);
  WordPieceBuilder builder;
  detail::read_vocabulary_text(read_whole_file(file), file, builder);
  builder.parts.normalizer.lowercase = config.do_lower_case.value_or(true);
  builder.parts.normalizer.strip_accents = config.strip_accents.value_or(builder.parts.normalizer.lowercase);
  builder.parts.normalizer.handle_chinese_chars = config.tokenize_chinese_chars.value_or(true);
  for (auto const& [token, from] : config.tokens_with_ids) {
    builder.add_token(token, from);
  }
  apply_named_tokens(config, builder, false);
  apply_bert_names(builder);
  SpecialTokens const& tokens = builder.special_tokens;
  for (auto const& id : {tokens.cls, tokens.sep, tokens.pad, tokens.unk, tokens.mask}) {
    builder.add_special(id);
  }
  require(tokens.cls && tokens.sep, file,
          ": no [CLS] or no [SEP], which BERT puts around a text; name them in ", "tokenizer_config.json");
  builder.framing = {{*tokens.cls}, {*tokens.sep}, {*tokens.cls}, {*tokens.sep}, {*tokens.sep}, 1};
  return builder.build(file);
}

} // namespace pocketllm::text
