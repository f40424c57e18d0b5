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

/// How the seeds of a run's directions follow from one seed.
struct SeedRule {
  std::uint64_t run = 0;    ///< the seed of the run
  std::uint64_t shared = 1; ///< steps that have the upper half of their seeds in common

  /// The seed of direction k of `directions` in a step: output number step * directions + k of SplitMix64
  /// seeded with `run`. Where steps share, the upper half is that of output number step / shared of another
  /// one: directions of low rank (random/low_rank.hpp) have one factor in common then.
  [[nodiscard]] constexpr std::uint64_t seed(std::uint64_t step, std::uint64_t directions,
                                             std::uint64_t k) const noexcept {
    std::uint64_t const own = split_mix(run, step * directions + k);
    constexpr std::uint64_t lower = 0xffffffffULL;
    return shared <= 1 ? own : (split_mix(~run, step / shared) & ~lower) | (own & lower);
  }
  friend constexpr bool operator==(SeedRule const&, SeedRule const&) = default;
};

} // namespace pocketllm
