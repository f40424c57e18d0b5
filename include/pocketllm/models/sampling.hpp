// SPDX-License-Identifier: Apache-2.0
// Which token comes next: the likeliest, or one drawn from the likelier ones.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/core/split_mix.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

namespace pocketllm::models {

/// How the next token is chosen; in this order, as in transformers.
struct Sampling {
  float temperature = 0.0F; ///< scores are divided by it; 0 takes the likeliest token (greedy)
  std::size_t top_k = 0;    ///< only the so many likeliest tokens; 0 for all
  float top_p = 1.0F;       ///< only the likeliest tokens that together have this probability
  std::uint64_t seed = 0;   ///< token t draws with output t of SplitMix64
};

/// The id chosen as token number `number` of a text from the scores of all words. Of equal scores the first
/// counts as higher. Throws Error for a temperature below 0 or a probability that is not in (0, 1].
[[nodiscard]] inline std::int32_t choose_token(std::span<float const> scores, Sampling const& how,
                                               std::uint64_t number) {
  require(!scores.empty() && how.temperature >= 0.0F && how.top_p > 0.0F && how.top_p <= 1.0F,
          "sampling from ", scores.size(), " scores at temperature ", how.temperature, ", top-p ", how.top_p,
          "; the temperature is 0 or more, top-p above 0 and at most 1");
  if (how.temperature == 0.0F) {
    return static_cast<std::int32_t>(std::max_element(scores.begin(), scores.end()) - scores.begin());
  }
  std::vector<std::int32_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  auto const score = [&](std::int32_t id) { return scores[static_cast<std::size_t>(id)]; };
  std::size_t const kept = how.top_k == 0 ? order.size() : std::min(how.top_k, order.size());
  std::partial_sort(
      order.begin(), order.begin() + static_cast<std::ptrdiff_t>(kept), order.end(),
      [&](std::int32_t a, std::int32_t b) { return score(a) != score(b) ? score(a) > score(b) : a < b; });
  order.resize(kept);
  std::vector<double> weights;
  for (std::int32_t const id : order) {
    double const below_top = static_cast<double>(score(id)) - static_cast<double>(score(order.front()));
    weights.push_back(std::exp(below_top / static_cast<double>(how.temperature)));
  }
  double const all = std::accumulate(weights.begin(), weights.end(), 0.0);
  double total = 0.0; // of those that make up top_p
  std::size_t likely = 0;
  while (likely < kept && (likely == 0 || total < static_cast<double>(how.top_p) * all)) {
    total += weights[likely++];
  }
  double left = static_cast<double>(split_mix(how.seed, number) >> 11) * 0x1p-53 * total; // of [0, total)
  std::size_t chosen = 0;
  while (chosen + 1 < likely && left >= weights[chosen]) {
    left -= weights[chosen++];
  }
  return order[chosen];
}

} // namespace pocketllm::models
