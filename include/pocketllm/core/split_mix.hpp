// SPDX-License-Identifier: Apache-2.0
// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA 2014), by index:
// seeds of steps and the shuffling of examples are made of it.
#pragma once

#include <cstdint>

namespace pocketllm {

/// Output number `index` (from 0) of the generator seeded with `seed`.
[[nodiscard]] constexpr std::uint64_t split_mix(std::uint64_t seed, std::uint64_t index) noexcept {
  // 2^64 / golden ratio, odd; the other constants are the paper's mix13
  std::uint64_t z = seed + (index + 1) * 0x9e3779b97f4a7c15ULL;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

} // namespace pocketllm
