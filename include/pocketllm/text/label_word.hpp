// SPDX-License-Identifier: Apache-2.0
// Label words: the words whose scores in the place of the mask stand for the classes.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/text/quote.hpp>
#include <pocketllm/text/tokenizer.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pocketllm::text {

/// The token that is `word`, after a space if `preceded_by_space` (see PromptTemplate::mask_follows_space); a
/// word that begins with a space is taken as it is. Throws `Error` that lists the tokens if it is not exactly
/// one.
template <Tokenizer T>
[[nodiscard]] std::int32_t label_word_id(T const& tokenizer, std::string_view word, bool preceded_by_space) {
  require(!word.empty() && word != " ", "label word ", quote(word), " is empty; give a word for each label");
  std::string text(preceded_by_space && !word.starts_with(' ') ? " " : "");
  text += word;
  std::vector<std::int32_t> const ids = tokenizer.encode(text);
  if (ids.size() != 1) {
    constexpr std::size_t most_shown = 12; // keeps the message on one line of readable length
    std::string pieces;
    for (std::size_t i = 0; i < ids.size() && i < most_shown; ++i) {
      pieces += i == 0 ? "" : " ";
      pieces += quote(std::string(tokenizer.decode(std::array{ids[i]})));
    }
    pieces += ids.size() > most_shown ? " ..." : "";
    fail("label word ", quote(word), " is ", ids.size(), " tokens (", pieces,
         "); choose a word that is one token");
  }
  SpecialTokens const special = tokenizer.special_tokens();
  require(ids[0] != special.unk, "label word ", quote(word), " is not in the vocabulary; choose another");
  return ids[0];
}

} // namespace pocketllm::text
