// SPDX-License-Identifier: Apache-2.0
// Prompts for models that read from left to right: what may follow a prompt, as tokens.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/text/prompt_template.hpp>
#include <pocketllm/text/quote.hpp>
#include <pocketllm/text/tokenizer.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pocketllm::text {

/// Throws Error when the template has a {mask}, which such a model has no use for.
inline void require_no_mask(PromptTemplate const& prompt, std::string_view source) {
  require(
      prompt.mask_count() == 0, "template ", quote(source),
      ": {mask} is for masked language models such as RoBERTa; this model continues the prompt, so write ",
      "none");
}

/// `text` without the space at its end, which belongs to the word behind it.
[[nodiscard]] inline std::string without_last_space(std::string text) {
  if (text.ends_with(' ')) {
    text.pop_back();
  }
  return text;
}

/// A prompt with its framing, and what each of several candidates adds: prompt and candidate together are the
/// ids of both texts written one behind the other.
struct JoinedPrompt {
  std::vector<std::int32_t> prompt;                  ///< ids that all candidates continue, with framing
  std::vector<std::vector<std::int32_t>> candidates; ///< what each adds, in the order given; one id at least
};

/// The ids of `text` followed by each of `candidates`. What all of them, and the text alone, have in common
/// is the prompt; where a token reaches across the border (a space at the end of the text), it is a
/// candidate's. Throws Error when a candidate adds no token.
template <Tokenizer T>
[[nodiscard]] JoinedPrompt join_candidates(T const& tokenizer, std::string const& text,
                                           std::span<std::string const> candidates) {
  JoinedPrompt joined{tokenizer.encode_framed(text), {}};
  std::size_t common = joined.prompt.size();
  for (std::string const& candidate : candidates) {
    joined.candidates.push_back(tokenizer.encode_framed(text + candidate));
    auto const& whole = joined.candidates.back();
    auto const end = joined.prompt.begin() + static_cast<std::ptrdiff_t>(std::min(common, whole.size()));
    common = static_cast<std::size_t>(std::mismatch(joined.prompt.begin(), end, whole.begin()).first -
                                      joined.prompt.begin());
  }
  joined.prompt.resize(common);
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    auto& ids = joined.candidates[i];
    require(ids.size() > common, "candidate ", quote(candidates[i]), " adds no token to the prompt");
    ids.erase(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(common));
  }
  return joined;
}

/// The same for a template, whose fields are cut so that the prompt and its longest candidate are no longer
/// than `max_tokens`. Throws Error when the longest candidate leaves no room.
template <Tokenizer T>
[[nodiscard]] JoinedPrompt join_candidates(T const& tokenizer, PromptTemplate const& prompt,
                                           std::span<Field const> fields,
                                           std::span<std::string const> candidates, std::size_t max_tokens) {
  std::size_t longest = 0;
  for (std::string const& candidate : candidates) {
    longest = std::max(longest, tokenizer.encode(candidate).size());
  }
  for (;; ++longest) { // two texts together may have a token more than each by itself
    require(longest < max_tokens, "a candidate of ", longest, " tokens leaves no room for the prompt among ",
            max_tokens, "; allow more tokens");
    JoinedPrompt joined =
        join_candidates(tokenizer, prompt.fill(tokenizer, fields, max_tokens - longest), candidates);
    bool const fits = std::all_of(joined.candidates.begin(), joined.candidates.end(), [&](auto const& ids) {
      return joined.prompt.size() + ids.size() <= max_tokens;
    });
    if (fits) {
      require(!joined.prompt.empty(), "the prompt has no token before the candidates; begin it with a word");
      return joined;
    }
  }
}

} // namespace pocketllm::text
