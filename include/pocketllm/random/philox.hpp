// SPDX-License-Identifier: Apache-2.0
// Philox4x32-10, the counter-based generator of Salmon, Moraes, Dror and Shaw, "Parallel random numbers:
// as easy as 1, 2, 3" (SC'11): random access by construction, so noise needs no state and no order.
#pragma once

#include <pocketllm/core/split_mix.hpp>
#include <pocketllm/simd/batch.hpp>
#include <pocketllm/simd/mul_wide.hpp>

#include <array>
#include <cstddef>
#include <cstdint>

namespace pocketllm::random {

/// Four words of counter or output for each of the `width<A>` generators that run side by side.
template <class A>
using Words = std::array<simd::u32<A>, 4>;

/// Encrypts the counters under one 64-bit key: ten rounds, multipliers and key increments of the paper.
template <class A>
[[gnu::always_inline]] inline Words<A> philox(Words<A> counter, std::uint64_t key) noexcept {
  constexpr std::uint32_t m0 = 0xd2511f53U, m1 = 0xcd9e8d57U; // the paper's multipliers for 4x32
  constexpr std::uint32_t w0 = 0x9e3779b9U, w1 = 0xbb67ae85U; // golden ratio, sqrt(3) - 1
  std::uint32_t k0 = static_cast<std::uint32_t>(key);
  std::uint32_t k1 = static_cast<std::uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    simd::Wide<A> const a = simd::mul_wide<A>(counter[0], m0);
    simd::Wide<A> const b = simd::mul_wide<A>(counter[2], m1);
    counter = {b.high ^ counter[1] ^ simd::splat<A>(k0), b.low, a.high ^ counter[3] ^ simd::splat<A>(k1),
               a.low};
    k0 += w0;
    k1 += w1;
  }
  return counter;
}

/// How a run's seed becomes the seed of a step.
using pocketllm::split_mix;

} // namespace pocketllm::random
