// SPDX-License-Identifier: Apache-2.0
// One text or a pair of texts as a model without a prompt reads it: cut, framed, with token types.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/text/tokenizer.hpp>
#include <pocketllm/text/truncation.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace pocketllm::text {

/// The ids of one text or of a pair, at most `max_tokens` with what goes around them: of a pair the longer
/// text is cut first, as transformers does. Throws Error for other numbers of texts, and when not even the
/// framing fits.
template <Tokenizer T>
[[nodiscard]] FramedText encode_sentence(T const& tokenizer, std::span<std::string const> texts,
                                         std::size_t max_tokens) {
  require(texts.size() == 1 || texts.size() == 2, "a sentence encoder reads one text or a pair, not ",
          texts.size(), " texts");
  Framing const framing = tokenizer.framing();
  std::vector<std::vector<std::int32_t>> ids;
  std::vector<std::size_t> lengths;
  for (std::string const& text : texts) {
    ids.push_back(tokenizer.encode(text));
    lengths.push_back(ids.back().size());
  }
  std::size_t const around = texts.size() == 1 ? framing.before.size() + framing.after.size()
                                               : framing.pair_before.size() + framing.pair_between.size() +
                                                     framing.pair_after.size();
  require(around < max_tokens, "what goes around a text takes ", around, " tokens of the ", max_tokens,
          " allowed; allow more tokens");
  lengths = share_tokens(std::move(lengths), max_tokens - around);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    ids[i].resize(lengths[i]);
  }
  if (texts.size() == 2) {
    return frame(framing, ids[0], ids[1]);
  }
  FramedText one{frame(framing, ids[0]), {}};
  one.types.resize(one.ids.size(), 0);
  return one;
}

} // namespace pocketllm::text
