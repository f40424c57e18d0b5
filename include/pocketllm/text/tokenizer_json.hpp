// SPDX-License-Identifier: Apache-2.0
// Reads the single-file format of the Hugging Face tokenizers (tokenizer.json), byte-level BPE only.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/text/added_tokens_json.hpp>
#include <pocketllm/text/byte_pair.hpp>
#include <pocketllm/text/byte_pair_builder.hpp>
#include <pocketllm/text/json_file.hpp>
#include <pocketllm/text/post_processor.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pocketllm::text {

namespace detail {

inline constexpr char const* supported_tokenizers =
    "byte-level BPE (GPT-2, RoBERTa, OPT) and WordPiece (BERT)";

/// "BPE", "WordPiece" or another kind of tokenizer that a tokenizer.json may hold.
[[nodiscard]] inline std::string model_type(Json const& root, std::string_view name) {
  Json const* model = find_member(root, "model");
  require(model != nullptr && model->is_object(), name,
          ": no \"model\" object; this is not a tokenizer.json");
  // Files written before the member existed have BPE's merges instead.
  return string_member(*model, "type", name, model->contains("merges") ? "BPE" : "unnamed");
}

/// Fails unless what the file holds is byte-level BPE as GPT-2 has it.
inline void require_byte_level_bpe(Json const& root, std::string_view name) {
  std::string const type = model_type(root, name);
  Json const* model = find_member(root, "model");
  if (type != "BPE") {
    fail(name, ": tokenizer model ", quote(type), " is not supported; supported are ", supported_tokenizers);
  }
  for (std::string_view const key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    std::string const affix = string_member(*model, key, name);
    require(affix.empty(), name, ": ", key, " ", quote(affix), " is not supported; only byte-level BPE is");
  }
  for (std::string_view const key : {"byte_fallback", "fuse_unk"}) {
    require(!bool_member(*model, key, name).value_or(false), name, ": \"", key,
            "\": true is not supported; only byte-level BPE without it is");
  }
  Json const* dropout = find_member(*model, "dropout");
  require(dropout == nullptr || (dropout->is_number() && dropout->get<double>() == 0.0), name,
          ": BPE dropout is not supported; set \"dropout\" to null");
  Json const* normalizer = find_member(root, "normalizer");
  if (normalizer != nullptr) {
    Json const* steps = find_member(*normalizer, "normalizers");
    bool const nothing = steps != nullptr && steps->is_array() && steps->empty();
    require(nothing, name, ": normalizer ", quote(string_member(*normalizer, "type", name, "unnamed")),
            " is not supported; only tokenizers without a normalizer are");
  }
}

/// Takes add_prefix_space from the pre-tokenizer, which must be GPT-2's, alone or in a sequence of one.
inline void read_pre_tokenizer(Json const& root, std::string_view name, BytePairBuilder& builder) {
  Json const* step = find_member(root, "pre_tokenizer");
  if (step != nullptr && string_member(*step, "type", name) == "Sequence") {
    Json const* steps = find_member(*step, "pretokenizers");
    bool const one = steps != nullptr && steps->is_array() && steps->size() == 1;
    require(one, name, ": a pre_tokenizer of several steps is not supported; only GPT-2's ByteLevel is");
    step = &steps->front();
  }
  std::string const type = step == nullptr ? "none" : string_member(*step, "type", name, "unnamed");
  bool const gpt2 = type == "ByteLevel" && bool_member(*step, "use_regex", name).value_or(true);
  require(gpt2, name, ": pre_tokenizer ", quote(type), type == "ByteLevel" ? " without its expression" : "",
          " is not supported; only GPT-2's ByteLevel is");
  builder.add_prefix_space =
      bool_member(*step, "add_prefix_space", name).value_or(true); // tokenizers' default
}

/// Merges are "a b" in older files and ["a", "b"] in newer ones.
inline void read_json_merges(Json const& model, std::string_view name, BytePairBuilder& builder) {
  Json const* merges = find_member(model, "merges");
  require(merges != nullptr && merges->is_array(), name, ": the model has no array \"merges\"");
  std::size_t number = 0;
  for (Json const& merge : *merges) {
    ++number;
    auto const where = [&] { return concat(name, ": merges, entry ", number); };
    if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
      builder.add_merge(merge[0].get_ref<std::string const&>(), merge[1].get_ref<std::string const&>(),
                        where);
      continue;
    }
    std::string_view const text =
        merge.is_string() ? merge.get_ref<std::string const&>() : std::string_view();
    std::size_t const space = text.find(' ');
    if (space == std::string_view::npos || text.find(' ', space + 1) != std::string_view::npos) {
      fail(where(), " is not two tokens: expected \"a b\" or [\"a\", \"b\"]");
    }
    builder.add_merge(text.substr(0, space), text.substr(space + 1), where);
  }
}

} // namespace detail

/// Reads a parsed tokenizer.json, without the special tokens that only the configuration files name.
/// Throws `Error` beginning with `name` if it is damaged or not byte-level BPE.
[[nodiscard]] inline BytePairBuilder read_tokenizer_json_parts(Json const& root, std::string_view name) {
  detail::require_byte_level_bpe(root, name);
  Json const& model = root.at("model");
  Json const* vocabulary = find_member(model, "vocab");
  BytePairBuilder builder;
  builder.read_vocabulary(vocabulary == nullptr ? Json() : *vocabulary, name);
  detail::read_added_tokens(root, name, builder);
  detail::read_json_merges(model, name, builder);
  detail::read_pre_tokenizer(root, name, builder);
  builder.ignore_merges = bool_member(model, "ignore_merges", name).value_or(false);
  if (std::string const unknown = string_member(model, "unk_token", name); !unknown.empty()) {
    builder.set_unknown(unknown, name);
  }
  detail::read_post_processor(root, name, builder);
  return builder;
}

/// Reads a tokenizer.json from memory. `name` stands for it in errors.
[[nodiscard]] inline BytePairTokenizer read_tokenizer_json(std::string_view bytes,
                                                           std::string_view name = "tokenizer.json") {
  BytePairBuilder builder = read_tokenizer_json_parts(parse_json(bytes, name), name);
  apply_conventional_names(builder, builder.special_tokens);
  return builder.build(name);
}

} // namespace pocketllm::text
