// SPDX-License-Identifier: Apache-2.0
// Cutting the fields of a prompt at token boundaries so that the whole fits.
#pragma once

#include <pocketllm/text/tokenizer.hpp>
#include <pocketllm/text/utf8.hpp>

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pocketllm::text {

/// Where `value` (valid UTF-8) may be cut: entry k is how many of its bytes its first k tokens take, moved
/// back to the beginning of a code point. Tokens are those that the value has after a space if
/// `follows_space`.
template <Tokenizer T>
[[nodiscard]] std::vector<std::size_t> token_cuts(T const& tokenizer, std::string_view value,
                                                  bool follows_space) {
  std::string text(follows_space ? " " : "");
  std::size_t const skipped = text.size();
  text += value;
  std::vector<std::size_t> cuts{0};
  for (std::size_t const end : tokenizer.token_ends(text)) {
    std::size_t cut = std::max(end, skipped) - skipped;
    while (!is_code_point_boundary(value, cut)) {
      --cut;
    }
    cuts.push_back(cut);
  }
  return cuts;
}

/// Shares out `budget` tokens among fields of `lengths` tokens: takes from the longest, of equal ones from
/// the last.
[[nodiscard]] inline std::vector<std::size_t> share_tokens(std::vector<std::size_t> lengths,
                                                           std::size_t budget) {
  std::size_t total = std::accumulate(lengths.begin(), lengths.end(), std::size_t{0});
  for (; total > budget; --total) {
    // max_element finds the first of equal ones; on the reversed range that is the last
    --*std::max_element(lengths.rbegin(), lengths.rend());
  }
  return lengths;
}

/// The longest beginnings of `values`, cut at `cuts` (see token_cuts) and the longest first, of which `fits`
/// is true; nothing if not even empty values fit. `fits` is asked a logarithmic number of times, and never
/// with more than `max_tokens` tokens: more could not fit.
template <class Fits>
[[nodiscard]] std::optional<std::vector<std::string>>
shorten_longest(std::vector<std::string> const& values, std::vector<std::vector<std::size_t>> const& cuts,
                std::size_t max_tokens, Fits const& fits) {
  std::vector<std::size_t> lengths;
  for (auto const& cut : cuts) {
    lengths.push_back(cut.size() - 1);
  }
  auto const shortened = [&](std::size_t budget) {
    std::vector<std::size_t> const kept = share_tokens(lengths, budget);
    std::vector<std::string> result;
    for (std::size_t i = 0; i < values.size(); ++i) {
      result.push_back(values[i].substr(0, cuts[i][kept[i]]));
    }
    return result;
  };
  std::size_t const total = std::accumulate(lengths.begin(), lengths.end(), std::size_t{0});
  std::size_t low = 0;
  std::size_t high = std::min(total, max_tokens) + 1; // low fits, high does not
  auto best = shortened(low);
  if (!fits(best)) {
    return std::nullopt;
  }
  while (high - low > 1) {
    std::size_t const middle = low + (high - low) / 2;
    auto candidate = shortened(middle);
    if (fits(candidate)) {
      low = middle;
      best = std::move(candidate);
    } else {
      high = middle;
    }
  }
  return best;
}

} // namespace pocketllm::text
