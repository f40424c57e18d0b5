// SPDX-License-Identifier: Apache-2.0
// Random signs.
#pragma once

#include <pocketllm/random/perturbation.hpp>
#include <pocketllm/random/stream.hpp>
#include <pocketllm/simd/batch.hpp>
#include <pocketllm/simd/bits.hpp>

#include <cstddef>
#include <string_view>

namespace pocketllm::random {

/// z in {+1, -1}, each with probability 1/2: one random bit an element, -1 where it is set. Bit i of a lane's
/// word (from the top) is column 16 i + lane of the block, so a shift makes the next sixteen columns.
struct Rademacher {
  /// What a journal and AnyPerturbation call it.
  static constexpr std::string_view name = "rademacher";

  /// See Perturbation.
  template <class A>
  void fill(Stream stream, std::size_t row, std::size_t block, std::size_t count, float* out) const noexcept {
    static_assert(block_cols == 32 * lanes, "one word a lane");
    simd::u32<A> const one = simd::splat<A>(0x3f800000U); // the bits of 1.0
    simd::u32<A> const sign = simd::splat<A>(0x80000000U);
    for (std::size_t lane = 0; lane < lanes; lane += simd::width<A>) {
      simd::u32<A> word = words<A>(stream, row, block, lane)[0];
      for (std::size_t column = lane; column < count + lane; column += lanes) {
        simd::store<A>(out + column, simd::as_float<A>((word & sign) | one));
        word = simd::shift_left<A, 1>(word);
      }
    }
  }
};

static_assert(Perturbation<Rademacher>);

} // namespace pocketllm::random
