// SPDX-License-Identifier: Apache-2.0
// What kind of random direction z is: a policy that makes the elements of z, some columns of a row at a time.
#pragma once

#include <pocketllm/random/stream.hpp>
#include <pocketllm/simd/batch.hpp>

#include <concepts>
#include <cstddef>
#include <string_view>

namespace pocketllm::random {

/// A perturbation is a pure function of (seed, tensor, row, column). `fill<A>(stream, row, block, count,
/// out)` writes z for the first `count` <= block_cols columns of block `block` of a row, with the same bits
/// for every architecture A. It may write on to the next multiple of 16, for which `out` has room.
template <class P>
concept Perturbation = std::copyable<P> && requires(P const p, Stream stream, std::size_t n, float* out) {
  { p.name } -> std::convertible_to<std::string_view>;
  p.template fill<simd::scalar>(stream, n, n, n, out);
};

static_assert(!Perturbation<int> && !Perturbation<Words<simd::scalar>>);

} // namespace pocketllm::random
