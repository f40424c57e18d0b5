// SPDX-License-Identifier: Apache-2.0
// Finds out which tokenizer a model's directory holds, and reads it.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/text/any_tokenizer.hpp>
#include <pocketllm/text/byte_pair_builder.hpp>
#include <pocketllm/text/json_file.hpp>
#include <pocketllm/text/tokenizer_config.hpp>
#include <pocketllm/text/tokenizer_json.hpp>
#include <pocketllm/text/vocabulary_files.hpp>
#include <pocketllm/text/wordpiece_files.hpp>

#include <filesystem>
#include <string>

namespace pocketllm::text {

/// The layouts in which tokenizers come. Each has its reader; those that are not supported are known by name.
enum class TokenizerFiles {
  tokenizer_json,        ///< tokenizer.json; what kind of tokenizer is written inside
  vocabulary_and_merges, ///< vocab.json and merges.txt: byte-level BPE
  vocabulary_text        ///< vocab.txt: WordPiece
};

/// Looks at the names of the files in `directory`. tokenizer.json is preferred: it leaves nothing to
/// convention. Throws `Error` that says what is there and what is missing.
[[nodiscard]] inline TokenizerFiles find_tokenizer_files(std::filesystem::path const& directory) {
  constexpr char const* supported =
      "a directory with tokenizer.json, with vocab.json and merges.txt, or with vocab.txt, is needed";
  std::string const name = directory.string();
  require(std::filesystem::is_directory(directory), name, ": no such directory; ", supported);
  auto const has = [&](char const* file) { return std::filesystem::exists(directory / file); };
  if (has("tokenizer.json")) {
    return TokenizerFiles::tokenizer_json;
  }
  if (has("vocab.json") && has("merges.txt")) {
    return TokenizerFiles::vocabulary_and_merges;
  }
  require(!has("vocab.json"), name, ": vocab.json is there but merges.txt is missing; copy merges.txt (or ",
          "tokenizer.json) of the same model into the directory");
  require(!has("merges.txt"), name, ": merges.txt is there but vocab.json is missing; copy vocab.json (or ",
          "tokenizer.json) of the same model into the directory");
  if (has("vocab.txt")) {
    return TokenizerFiles::vocabulary_text;
  }
  for (char const* file : {"sentencepiece.bpe.model", "spiece.model", "tokenizer.model"}) {
    require(!has(file), name, ": ", file, " is SentencePiece, which is not supported; supported are ",
            detail::supported_tokenizers);
  }
  fail(name, ": no tokenizer files; ", supported);
}

/// Reads tokenizer.json of a directory, with the special tokens' roles from the configuration files.
[[nodiscard]] inline AnyTokenizer read_tokenizer_json_file(std::filesystem::path const& directory) {
  std::string const file = (directory / "tokenizer.json").string();
  Json const root = parse_json(read_whole_file(file), file);
  TokenizerConfig const config = read_tokenizer_config(directory);
  // The file itself says how each token is matched: no family's conventions here.
  if (detail::model_type(root, file) == "WordPiece") {
    WordPieceBuilder builder = read_wordpiece_json(root, file);
    apply_named_tokens(config, builder, false);
    apply_bert_names(builder);
    return builder.build(file);
  }
  BytePairBuilder builder = read_tokenizer_json_parts(root, file);
  apply_named_tokens(config, builder, false);
  apply_conventional_names(builder, builder.special_tokens);
  return builder.build(file);
}

/// The tokenizer of a model's directory as published on the Hugging Face hub. Byte-level BPE (GPT-2, RoBERTa,
/// OPT) and WordPiece (BERT) are supported. Throws `Error` naming the file (and line) that is missing,
/// damaged or not supported.
[[nodiscard]] inline AnyTokenizer load_tokenizer(std::filesystem::path const& directory) {
  switch (find_tokenizer_files(directory)) {
  case TokenizerFiles::tokenizer_json:
    return read_tokenizer_json_file(directory);
  case TokenizerFiles::vocabulary_and_merges:
    return read_vocabulary_files(directory);
  case TokenizerFiles::vocabulary_text:
    return read_wordpiece_files(directory);
  }
  fail(directory.string(), ": unknown kind of tokenizer files");
}

} // namespace pocketllm::text
