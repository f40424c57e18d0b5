// SPDX-License-Identifier: Apache-2.0
// What an update of weights is a list of, and how its sums are added to weights of any storage.
#pragma once

#include <pocketllm/random/perturbation.hpp>
#include <pocketllm/random/perturbed.hpp>
#include <pocketllm/random/small_fast.hpp>
#include <pocketllm/random/stream.hpp>
#include <pocketllm/simd/arithmetic.hpp>
#include <pocketllm/simd/bits.hpp>
#include <pocketllm/simd/round.hpp>
#include <pocketllm/tensor/part.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace pocketllm::tensor {

/// Some of the terms of an update, which together are a gradient g, with its weights in the sums of g and of
/// g^2.
struct TermGroup {
  std::size_t terms = 0; ///< how many, behind the terms of the groups before
  float first = 0.0F,    ///< weight of g; the learning rate and the minus are in it
      second = 0.0F;     ///< weight of g^2
};

/// One update among several that follow one another: W <- decay W + sum_i c_i z(s_i), or, with groups,
/// W <- decay W + sum_j first_j g_j / (sqrt(sum_j second_j g_j^2) + floor).
struct UpdateTerms {
  /// (s_i, c_i), of the caller's. An update without terms leaves W as it is, whatever `decay` is.
  std::span<random::Point const> terms;
  float decay = 1.0F;                     ///< what W is multiplied with; 1 for as it is
  std::span<TermGroup const> groups = {}; ///< none, or of all terms in their order
  float floor = 0.0F;                     ///< added to the root; without groups it is not used
  bool folded = false; ///< terms may be summed by their factors first (random::Factored): other roundings
};

namespace detail {

/// The bits for stochastic rounding: sixteen an element, as the bits of a float.
struct RoundingBits {
  static constexpr std::string_view name = "rounding";

  template <class A>
  void fill(random::Stream stream, std::size_t row, std::size_t block, std::size_t count,
            float* out) const noexcept {
    for (std::size_t lane = 0; lane < random::lanes; lane += simd::width<A>) {
      random::SmallFast<A> generator(random::words<A>(stream, row, block, lane));
      for (std::size_t column = lane; column < count + lane; column += 2 * random::lanes) {
        simd::u32<A> const word = generator();
        simd::store<A>(out + column, simd::as_float<A>(word & simd::splat<A>(0xffffU)));
        simd::store<A>(out + column + random::lanes, simd::as_float<A>(simd::shift_right<A, 16>(word)));
      }
    }
  }
};
static_assert(random::Perturbation<RoundingBits>);

/// The seed of the rounding bits of an update: another output of the generator that made its first seed.
[[nodiscard]] constexpr std::uint64_t rounding_seed(std::span<random::Point const> terms) noexcept {
  return terms.empty() ? 0 : random::split_mix(terms.front().seed, 0);
}

/// w = decay * w + sum, rounded by the bits of `random` (which float does not read).
template <class A, class T>
void add_rounded(T* w, float const* sum, float const* random, float decay, std::size_t count) noexcept {
  simd::f32<A> const keep = simd::splat<A>(decay);
  std::size_t i = 0;
  for (; i + simd::width<A> <= count; i += simd::width<A>) {
    simd::f32<A> const value = simd::fma<A>(keep, simd::load_as_float<A>(w + i), simd::load<A>(sum + i));
    simd::store_rounded<A>(w + i, value, simd::as_bits<A>(simd::load<A>(random + i)));
  }
  if (i < count) {
    simd::f32<A> const value = simd::fma<A>(keep, load_part<A>(w + i, count - i), simd::load<A>(sum + i));
    std::array<T, simd::width<A>> part;
    simd::store_rounded<A>(part.data(), value, simd::as_bits<A>(simd::load<A>(random + i)));
    std::copy_n(part.begin(), count - i, w + i);
  }
}

} // namespace detail
} // namespace pocketllm::tensor
