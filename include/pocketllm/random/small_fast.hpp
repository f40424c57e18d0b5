// SPDX-License-Identifier: Apache-2.0
// Bob Jenkins's small fast generator, for the many words of a short stretch of noise.
#pragma once

#include <pocketllm/random/stream.hpp>
#include <pocketllm/simd/batch.hpp>
#include <pocketllm/simd/bits.hpp>

#include <cstddef>
#include <cstdint>

namespace pocketllm::random {

/// JSF32 (Jenkins, "A small noncryptographic PRNG", 2007; rotations 27 and 17) in every lane. Jenkins warms
/// it up from a seed of 32 bits; here all 128 bits of its state are words of Philox, and only the next 32
/// words are used.
template <class A>
class SmallFast {
public:
  /// `state` is a, b, c and d of every lane. They are not mixed before the first word, so they must be
  /// random.
  [[gnu::always_inline]] explicit SmallFast(Words<A> const& state) noexcept
      : a_(state[0]), b_(state[1]), c_(state[2]), d_(state[3]) {}

  /// The next word of every lane.
  [[gnu::always_inline]] simd::u32<A> operator()() noexcept {
    simd::u32<A> const e = a_ - simd::rotate_left<A, 27>(b_);
    a_ = b_ ^ simd::rotate_left<A, 17>(c_);
    b_ = c_ + d_;
    c_ = d_ + e;
    d_ = e + a_;
    return d_;
  }

  /// Another word, independent of the last one: a step maps states one to one, so as all states are equally
  /// likely at first they are at any time. It comes back in later words and is for what hardly shows.
  [[nodiscard]] [[gnu::always_inline]] simd::u32<A> second() const noexcept { return b_; }

private:
  simd::u32<A> a_, b_, c_, d_;
};

/// The first `count` columns of a block of a row, and on to the next multiple of 16, each from random words
/// of its own: out = make(word, second) for vectors of `width<A>` columns. A perturbation's fill() can be
/// made of this.
template <class A, class F>
[[gnu::always_inline]] inline void fill_independent(Stream stream, std::size_t row, std::size_t block,
                                                    std::size_t count, float* out, F make) noexcept {
  for (std::size_t lane = 0; lane < lanes; lane += simd::width<A>) {
    SmallFast<A> generator(words<A>(stream, row, block, lane));
    for (std::size_t column = lane; column < count + lane; column += lanes) {
      simd::u32<A> const word = generator();
      simd::store<A>(out + column, make(word, generator.second()));
    }
  }
}

/// What fill_independent makes of column `column` < lanes of the `width<A>` rows from `row`: a vector down
/// the rows.
template <class A, class F>
[[gnu::always_inline]] inline simd::f32<A> independent_down(Stream stream, std::size_t row,
                                                            std::size_t column, F make) noexcept {
  SmallFast<A> generator(philox<A>({simd::splat<A>(static_cast<std::uint32_t>(column)),
                                    simd::iota<A>(static_cast<std::uint32_t>(row)),
                                    simd::splat<A>(static_cast<std::uint32_t>(stream.tensor)),
                                    simd::splat<A>(static_cast<std::uint32_t>(stream.tensor >> 32))},
                                   stream.seed));
  simd::u32<A> const word = generator();
  return make(word, generator.second());
}

} // namespace pocketllm::random
