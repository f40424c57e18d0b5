// SPDX-License-Identifier: Apache-2.0
// Which examples to train on and which to test on: pure functions of the data and a seed.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/text/dataset.hpp>
#include <pocketllm/text/quote.hpp>
#include <pocketllm/text/shuffle.hpp>

#include <cstddef>
#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pocketllm::text {

/// The chosen examples, in the order of `indices`, with the classes of `data`.
[[nodiscard]] inline Dataset subset(Dataset const& data, std::span<std::size_t const> indices) {
  Dataset chosen{data.name, data.field_names, data.classes, {}};
  chosen.examples.reserve(indices.size());
  for (std::size_t const index : indices) {
    chosen.examples.push_back(data.examples.at(index));
  }
  return chosen;
}

/// The data without those examples whose texts, all fields byte by byte, occurred before; the first one
/// stays, with its label. Without this a test set may hold what was trained on.
[[nodiscard]] inline Dataset without_duplicates(Dataset const& data) {
  auto const less = [](auto const* a, auto const* b) { return *a < *b; };
  std::set<std::vector<std::string> const*, decltype(less)> seen(less);
  std::vector<std::size_t> kept;
  for (std::size_t i = 0; i < data.size(); ++i) {
    if (seen.insert(&data.examples[i].fields).second) {
      kept.push_back(i);
    }
  }
  return subset(data, kept);
}

/// `per_class` examples of each class: all are shuffled by `seed`, then the first ones of each class are
/// taken. Gives their indices in the shuffled order, so the choice for a smaller `per_class` is part of that
/// for a larger one. Throws Error, saying how many there are, when a class has too few; `purpose` says in
/// it what they were for.
[[nodiscard]] inline std::vector<std::size_t> balanced_choice(Dataset const& data, std::size_t per_class,
                                                              std::uint64_t seed, std::string_view purpose) {
  require(per_class > 0, data.name, ": 0 examples per class ", purpose, "; ask for at least 1");
  std::vector<std::size_t> left(data.classes.size(), per_class);
  std::vector<std::size_t> chosen;
  SplitMix64 random(seed);
  for (std::size_t const index : shuffled_indices(data.size(), random)) {
    std::size_t& wanted = left[data.examples[index].class_index];
    if (wanted > 0) {
      --wanted;
      chosen.push_back(index);
    }
  }
  for (std::size_t c = 0; c < left.size(); ++c) {
    require(left[c] == 0, data.name, ": class ", quote(data.classes[c]), ": ", per_class - left[c],
            " left of the ", per_class, " wanted ", purpose, "; ask for fewer");
  }
  return chosen;
}

/// Data in two parts that share no example.
struct Split {
  Dataset held_out; ///< in shuffled order
  Dataset rest;     ///< in the order of the data
};

/// Takes `per_class` examples of each class out of the data, for testing: balanced_choice. Duplicates are
/// not looked for: call without_duplicates first.
[[nodiscard]] inline Split held_out(Dataset const& data, std::size_t per_class, std::uint64_t seed) {
  std::vector<std::size_t> const chosen = balanced_choice(data, per_class, seed, "for testing");
  std::vector<bool> taken(data.size());
  for (std::size_t const index : chosen) {
    taken[index] = true;
  }
  std::vector<std::size_t> rest;
  for (std::size_t i = 0; i < data.size(); ++i) {
    if (!taken[i]) {
      rest.push_back(i);
    }
  }
  return {subset(data, chosen), subset(data, rest)};
}

/// `k` examples of each class to train on: balanced_choice.
[[nodiscard]] inline Dataset k_shot(Dataset const& data, std::size_t k, std::uint64_t seed) {
  return subset(data, balanced_choice(data, k, seed, "for training"));
}

} // namespace pocketllm::text
