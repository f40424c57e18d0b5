// SPDX-License-Identifier: Apache-2.0
// Shuffling with a seed that gives the same order on every machine; the results of std::shuffle and of the
// std:: distributions are left to each standard library.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/core/split_mix.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

namespace pocketllm::text {

/// SplitMix64 as a stream: split_mix(seed, 0), split_mix(seed, 1), ...
class SplitMix64 {
public:
  /// Begins with output 0.
  constexpr explicit SplitMix64(std::uint64_t seed) noexcept : seed_(seed) {}

  /// The next 64 bits.
  constexpr std::uint64_t operator()() noexcept { return split_mix(seed_, index_++); }

private:
  std::uint64_t seed_;
  std::uint64_t index_ = 0;
};

/// A number in [0, bound), each exactly as likely: Lemire, Fast random integer generation in an interval
/// (ACM TOMACS 29, 2019), algorithm 5. `bound` is at least 1. It works on the upper 32 bits of each draw, so
/// that the product fits 64 bits on processors without a wider one.
[[nodiscard]] constexpr std::uint32_t draw_below(SplitMix64& random, std::uint32_t bound) noexcept {
  std::uint64_t product = (random() >> 32) * bound;
  auto low = static_cast<std::uint32_t>(product);
  if (low < bound) {
    std::uint32_t const rejected = (0U - bound) % bound; // 2^32 mod bound
    while (low < rejected) {
      product = (random() >> 32) * bound;
      low = static_cast<std::uint32_t>(product);
    }
  }
  return static_cast<std::uint32_t>(product >> 32);
}

/// Brings `items` into one of their orders, each as likely (Fisher-Yates, from the back).
template <class T>
void shuffle(std::span<T> items, SplitMix64& random) {
  require(items.size() <= std::numeric_limits<std::uint32_t>::max(), "cannot shuffle ", items.size(),
          " items: 2^32 - 1 is the most");
  for (std::size_t left = items.size(); left > 1; --left) {
    std::size_t const other = draw_below(random, static_cast<std::uint32_t>(left));
    using std::swap;
    swap(items[left - 1], items[other]);
  }
}

/// The numbers 0 to count - 1, shuffled.
[[nodiscard]] inline std::vector<std::size_t> shuffled_indices(std::size_t count, SplitMix64& random) {
  std::vector<std::size_t> indices(count);
  std::iota(indices.begin(), indices.end(), std::size_t{0});
  shuffle(std::span(indices), random);
  return indices;
}

} // namespace pocketllm::text
