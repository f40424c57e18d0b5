// SPDX-License-Identifier: Apache-2.0
#include "random/noise_table.hpp"
#include <pocketllm/random/any_perturbation.hpp>
#include <pocketllm/random/noise.hpp>

namespace {

using namespace pocketllm;
using A = simd::native;

template <class P>
void row(random::Stream stream, std::size_t r, std::size_t first, std::size_t count, float* out) {
  random::fill_row<A>(P{}, stream, r, first, count, out);
}
/// Lane `i` of the vector counts i higher in its first word; all lanes but the first are checked by the rows.
std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter, std::uint64_t key) {
  random::Words<A> const words = random::philox<A>({simd::iota<A>(counter[0]), simd::splat<A>(counter[1]),
                                                    simd::splat<A>(counter[2]), simd::splat<A>(counter[3])},
                                                   key);
  std::array<std::uint32_t, 4> first{};
  for (std::size_t i = 0; i < 4; ++i) {
    std::array<std::uint32_t, simd::width<A>> lanes{};
    simd::store<A>(lanes.data(), words[i]);
    first[i] = lanes[0];
  }
  return first;
}

} // namespace

extern NoiseTable const POCKETLLM_ARCH_SYMBOL(noise);
NoiseTable const POCKETLLM_ARCH_SYMBOL(noise){simd::width<A>, philox, row<random::Gaussian>,
                                              row<random::Rademacher>, row<random::LowRank>};
