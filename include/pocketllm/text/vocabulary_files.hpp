// SPDX-License-Identifier: Apache-2.0
// Reads the two-file format of byte-level BPE: vocab.json and merges.txt, with the small files beside them.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/text/byte_pair_builder.hpp>
#include <pocketllm/text/json_file.hpp>
#include <pocketllm/text/tokenizer_config.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

namespace pocketllm::text {

/// Who made the two files decides what goes around a text; they do not say it themselves.
enum class BytePairFamily {
  roberta, ///< `<s> x </s>`, and `<mask>` takes the space on its left
  opt,     ///< `</s> x`: the beginning-of-text token only
  gpt2     ///< nothing
};

namespace detail {

/// Adds the merges of merges.txt, one "a b" a line after an optional "#version" line.
inline void read_merges_text(std::string_view bytes, std::string_view name, BytePairBuilder& builder) {
  require(is_valid_utf8(bytes), name, ": invalid UTF-8 at byte ", valid_utf8_prefix(bytes),
          "; the file is damaged, fetch it again");
  std::size_t number = 0;
  while (!bytes.empty()) {
    std::size_t const end = std::min(bytes.find('\n'), bytes.size());
    std::string_view line = bytes.substr(0, end);
    bytes.remove_prefix(std::min(end + 1, bytes.size()));
    ++number;
    if (line.ends_with('\r')) {
      line.remove_suffix(1);
    }
    if (line.empty() || line.starts_with("#version")) {
      continue;
    }
    std::size_t const space = line.find(' ');
    if (space == std::string_view::npos || line.find(' ', space + 1) != std::string_view::npos) {
      fail(name, ":", number, ": ", quote(line),
           " is not a merge: expected two tokens with a space between them");
    }
    builder.add_merge(line.substr(0, space), line.substr(space + 1),
                      [&] { return concat(name, ":", number); });
  }
}

template <std::size_t N>
[[nodiscard]] bool is_one_of(std::string_view word, std::array<std::string_view, N> const& words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

/// The family that tokenizer_class, else model_type, else the vocabulary points to.
[[nodiscard]] inline BytePairFamily find_family(TokenizerConfig const& config, BytePairBuilder const& builder,
                                                std::string_view directory) {
  constexpr std::array<std::string_view, 4> roberta_classes{"RobertaTokenizer", "BartTokenizer",
                                                            "LongformerTokenizer", "LEDTokenizer"};
  constexpr std::array<std::string_view, 4> roberta_models{"roberta", "bart", "longformer", "led"};
  constexpr std::array<std::string_view, 5> gpt2_models{"gpt2", "gpt_neo", "gptj", "gpt_neox", "gpt_bigcode"};
  // Classes that stand for "whatever tokenizer.json says": they tell nothing about the two files.
  constexpr std::array<std::string_view, 3> general_classes{"", "PreTrainedTokenizer", "TokenizersBackend"};
  std::string const& name = config.tokenizer_class;
  if (is_one_of(name, roberta_classes)) {
    return BytePairFamily::roberta;
  }
  if (name == "GPT2Tokenizer") {
    bool const bos = config.add_bos_token.value_or(config.model_type == "opt");
    return bos ? BytePairFamily::opt : BytePairFamily::gpt2;
  }
  if (!is_one_of(name, general_classes)) {
    fail((std::filesystem::path(directory) / "tokenizer_config.json").string(), ": tokenizer_class ",
         quote(name),
         " is not supported with vocab.json and merges.txt; supported are RobertaTokenizer, BartTokenizer, "
         "LongformerTokenizer, LEDTokenizer and GPT2Tokenizer");
  }
  if (config.model_type.empty()) {
    return builder.find("<s>") && builder.find("</s>") ? BytePairFamily::roberta : BytePairFamily::gpt2;
  }
  if (is_one_of(config.model_type, roberta_models)) {
    return BytePairFamily::roberta;
  }
  bool const known = config.model_type == "opt" || is_one_of(config.model_type, gpt2_models);
  require(
      known, (std::filesystem::path(directory) / "config.json").string(), ": model_type ",
      quote(config.model_type),
      " with vocab.json and merges.txt is not supported; name a tokenizer_class in tokenizer_config.json");
  return config.model_type == "opt" ? BytePairFamily::opt : BytePairFamily::gpt2;
}

/// A special token by RoBERTa's or OPT's name for it, where no file names one and the vocabulary has it.
inline void add_conventional_tokens(BytePairFamily family, BytePairBuilder& builder, std::string_view where) {
  auto const add = [&](std::optional<std::int32_t> SpecialTokens::*role, std::string_view name) {
    auto const id = builder.find(name);
    if (builder.special_tokens.*role || !id) {
      return;
    }
    builder.special_tokens.*role = id;
    if (!builder.is_added(name)) {
      AddedToken token;
      token.id = *id;
      token.content = name;
      token.lstrip = role == &SpecialTokens::mask; // RoBERTa's `<mask>` stands for a word and its space
      builder.add_token(std::move(token), where);
    }
  };
  if (family == BytePairFamily::roberta) {
    add(&SpecialTokens::bos, "<s>");
    add(&SpecialTokens::cls, "<s>");
    add(&SpecialTokens::sep, "</s>");
    add(&SpecialTokens::unk, "<unk>");
    add(&SpecialTokens::mask, "<mask>");
  }
  if (family == BytePairFamily::opt) {
    add(&SpecialTokens::bos, "</s>");
  }
  if (family != BytePairFamily::gpt2) {
    add(&SpecialTokens::eos, "</s>");
    add(&SpecialTokens::pad, "<pad>");
    return;
  }
  add(&SpecialTokens::bos, "<|endoftext|>");
  add(&SpecialTokens::eos, "<|endoftext|>");
  add(&SpecialTokens::unk, "<|endoftext|>");
}

/// Sets the framing of a family from its special tokens.
inline void set_framing(BytePairFamily family, BytePairBuilder& builder, std::string_view where) {
  SpecialTokens const& tokens = builder.special_tokens;
  if (family == BytePairFamily::roberta) {
    require(tokens.cls && tokens.sep, where,
            ": no cls_token or no sep_token, which RoBERTa puts around a text; ",
            "name them in tokenizer_config.json");
    builder.framing = {
        {*tokens.cls}, {*tokens.sep}, {*tokens.cls}, {*tokens.sep, *tokens.sep}, {*tokens.sep}};
  } else if (family == BytePairFamily::opt) {
    require(tokens.bos.has_value(), where,
            ": no bos_token, which goes before a text; name it in tokenizer_config.json");
    builder.framing = {{*tokens.bos}, {}, {*tokens.bos}, {*tokens.bos}, {}};
  }
}

} // namespace detail

/// Reads vocab.json, merges.txt and the small files beside them.
[[nodiscard]] inline BytePairTokenizer read_vocabulary_files(std::filesystem::path const& directory) {
  std::string const vocabulary_file = (directory / "vocab.json").string();
  std::string const merges_file = (directory / "merges.txt").string();
  TokenizerConfig const config = read_tokenizer_config(directory);
  BytePairBuilder builder;
  builder.read_vocabulary(parse_json(read_whole_file(vocabulary_file), vocabulary_file), vocabulary_file);
  detail::read_merges_text(read_whole_file(merges_file), merges_file, builder);
  BytePairFamily const family = detail::find_family(config, builder, directory.string());
  for (auto const& [token, file] : config.tokens_with_ids) {
    builder.add_token(token, file);
  }
  apply_named_tokens(config, builder, family == BytePairFamily::roberta);
  detail::add_conventional_tokens(family, builder, vocabulary_file);
  detail::set_framing(family, builder, directory.string());
  builder.add_prefix_space = config.add_prefix_space.value_or(false);
  return builder.build(vocabulary_file);
}

} // namespace pocketllm::text
