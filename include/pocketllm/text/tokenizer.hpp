// SPDX-License-Identifier: Apache-2.0
// What a tokenizer is: the concept that prompts, objectives and data sets are written against.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pocketllm::text {

/// Ids of the tokens with a part to play, each where the tokenizer's files name it.
struct SpecialTokens {
  std::optional<std::int32_t> bos;  ///< begins a text
  std::optional<std::int32_t> eos;  ///< ends a text
  std::optional<std::int32_t> pad;  ///< fills a batch up to equal length
  std::optional<std::int32_t> mask; ///< to be filled in by the model
  std::optional<std::int32_t> unk;  ///< stands for what the vocabulary cannot spell
  std::optional<std::int32_t> cls;  ///< begins the text of a classifier
  std::optional<std::int32_t> sep;  ///< separates two texts
};

/// The ids that go around a text, or around and between a pair of texts, before a model sees them:
/// RoBERTa's `<s> x </s>` and `<s> a </s></s> b </s>`, OPT's `</s> x`.
struct Framing {
  std::vector<std::int32_t> before,      ///< begins a single text
      after;                             ///< ends it
  std::vector<std::int32_t> pair_before, ///< begins a pair
      pair_between,                      ///< parts its two texts; of token type 0
      pair_after;                        ///< ends it; of second_type
  std::int32_t second_type = 0; ///< token type of a pair's second text and of what comes after it; 1 for BERT
};

/// Ids with the type of each.
struct FramedText {
  std::vector<std::int32_t> ids, ///< of the text and of what goes around it
      types;                     ///< token types, as many: 0, or Framing::second_type
};

/// The ids of a text with what goes around them.
[[nodiscard]] inline std::vector<std::int32_t> frame(Framing const& framing,
                                                     std::span<std::int32_t const> text) {
  std::vector<std::int32_t> ids = framing.before;
  ids.insert(ids.end(), text.begin(), text.end());
  ids.insert(ids.end(), framing.after.begin(), framing.after.end());
  return ids;
}

/// The ids of a pair of texts with what goes around and between them.
[[nodiscard]] inline FramedText frame(Framing const& framing, std::span<std::int32_t const> first,
                                      std::span<std::int32_t const> second) {
  FramedText pair{framing.pair_before, {}};
  pair.ids.insert(pair.ids.end(), first.begin(), first.end());
  pair.ids.insert(pair.ids.end(), framing.pair_between.begin(), framing.pair_between.end());
  pair.types.assign(pair.ids.size(), 0);
  pair.ids.insert(pair.ids.end(), second.begin(), second.end());
  pair.ids.insert(pair.ids.end(), framing.pair_after.begin(), framing.pair_after.end());
  pair.types.resize(pair.ids.size(), framing.second_type);
  return pair;
}

/// A type that turns text into ids and back. Texts are UTF-8, ids are 0 to vocabulary_size()-1.
///  - `encode(text)`: ids without framing;
///  - `encode_framed(text)`, `encode_framed(first, second)`: with what the model expects around them;
///  - `token_ends(text)`: for each id of `encode(text)`, the offset in bytes at which its text ends;
///  - `decode(ids)`: text; for a lossless tokenizer the inverse of `encode`;
///  - `token_of(id)`, `id_of(token)`: as the vocabulary file writes it.
template <class T>
concept Tokenizer = requires(T const& tokenizer, std::string_view text, std::span<std::int32_t const> ids,
                             std::int32_t id) {
  { tokenizer.encode(text) } -> std::same_as<std::vector<std::int32_t>>;
  { tokenizer.encode_framed(text) } -> std::same_as<std::vector<std::int32_t>>;
  { tokenizer.encode_framed(text, text) } -> std::same_as<std::vector<std::int32_t>>;
  { tokenizer.token_ends(text) } -> std::same_as<std::vector<std::size_t>>;
  { tokenizer.decode(ids) } -> std::convertible_to<std::string>;
  { tokenizer.token_of(id) } -> std::convertible_to<std::string>;
  { tokenizer.id_of(text) } -> std::same_as<std::optional<std::int32_t>>;
  { tokenizer.vocabulary_size() } -> std::convertible_to<std::size_t>;
  { tokenizer.special_tokens() } -> std::convertible_to<SpecialTokens>;
  { tokenizer.framing() } -> std::convertible_to<Framing>;
};

static_assert(!Tokenizer<std::string>);

} // namespace pocketllm::text
