// SPDX-License-Identifier: Apache-2.0
// A tokenizer of characters and a prompt for the small RoBERTa of tests/models/data/tied.
#pragma once

#include "golden.hpp"
#include <pocketllm/io/load.hpp>
#include <pocketllm/models/roberta.hpp>
#include <pocketllm/train/masked_prompt.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace toy {

using namespace pocketllm;
using Model = models::Roberta<float>;

/// Printable ASCII characters, each a token, after the four special tokens <s> <pad> </s> <mask>; the mask is
/// written as \x01.
struct Characters {
  static constexpr std::int32_t first = 4;

  [[nodiscard]] std::vector<std::int32_t> encode(std::string_view text) const {
    std::vector<std::int32_t> ids;
    for (char const c : text) {
      ids.push_back(c == '\x01' ? 3 : first + (c - ' '));
    }
    return ids;
  }
  [[nodiscard]] std::vector<std::int32_t> encode_framed(std::string_view text) const {
    std::vector<std::int32_t> ids = encode(text);
    ids.insert(ids.begin(), 0);
    ids.push_back(2);
    return ids;
  }
  [[nodiscard]] std::vector<std::int32_t> encode_framed(std::string_view a, std::string_view b) const {
    return encode_framed(std::string(a) + std::string(b));
  }
  [[nodiscard]] std::vector<std::size_t> token_ends(std::string_view text) const {
    std::vector<std::size_t> ends;
    for (std::size_t i = 0; i < text.size(); ++i) {
      ends.push_back(i + 1);
    }
    return ends;
  }
  [[nodiscard]] std::string decode(std::span<std::int32_t const> ids) const {
    std::string text;
    for (std::int32_t const id : ids) {
      text += id == 3 ? '\x01' : static_cast<char>(' ' + (id - first));
    }
    return text;
  }
  [[nodiscard]] std::string token_of(std::int32_t id) const { return decode({&id, 1}); }
  [[nodiscard]] std::optional<std::int32_t> id_of(std::string_view token) const { return encode(token)[0]; }
  [[nodiscard]] std::size_t vocabulary_size() const { return first + 95; }
  [[nodiscard]] text::SpecialTokens special_tokens() const {
    text::SpecialTokens special;
    special.mask = 3;
    return special;
  }
  [[nodiscard]] text::Framing framing() const { return {{0}, {2}, {0}, {2}, {2}}; }
};
static_assert(text::Tokenizer<Characters>);

using Prompt = train::MaskedPrompt<Characters>;
using Examples = std::vector<Prompt::Example>;

inline Characters const tokenizer;

inline Model load_model() { return io::load<Model>(golden::path_of("models/data/tied")); }

/// Two classes, a and b; at most the 18 tokens that the model has positions for.
inline Prompt make_prompt() {
  return {tokenizer, "{text} is:{mask}", std::vector<std::string>{"a", "b"}, 18};
}

inline Prompt::Example encode(Prompt const& prompt, std::string_view text, std::size_t label) {
  return prompt.encode(std::vector<text::Field>{{"text", text}}, label);
}

/// Texts of 1 to 7 characters of two kinds.
inline Examples make_examples(Prompt const& prompt) {
  std::vector<std::pair<std::string, std::size_t>> const texts{
      {"oo", 0}, {"xx", 1},      {"ooo", 0},     {"xxxxx", 1}, {"oooo", 0}, {"xxx", 1},
      {"o", 0},  {"xxxxxxx", 1}, {"ooooooo", 0}, {"x", 1},     {"ooxoo", 0}};
  Examples examples;
  for (auto const& [text, label] : texts) {
    examples.push_back(encode(prompt, text, label));
  }
  return examples;
}

/// All weights, one tensor behind the other.
inline std::vector<float> weights_of(Model const& model) {
  std::vector<float> weights;
  model.for_each_tensor(
      [&](auto const& w) { weights.insert(weights.end(), w.values().begin(), w.values().end()); });
  return weights;
}

} // namespace toy
