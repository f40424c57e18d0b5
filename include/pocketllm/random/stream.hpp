// SPDX-License-Identifier: Apache-2.0
// Where noise comes from: random words for 512 columns of a row, in an order that suits vectors of
// any width.
#pragma once

#include <pocketllm/random/philox.hpp>
#include <pocketllm/simd/batch.hpp>

#include <cstddef>
#include <cstdint>

namespace pocketllm::random {

/// Names the noise of one tensor: the key of Philox is `seed`, its counter (block and lane, row, tensor).
struct Stream {
  std::uint64_t seed = 0;   ///< of the direction
  std::uint64_t tensor = 0; ///< Tensor::key()
  bool vector = false;      ///< whether the tensor has one dimension: a bias, a LayerNorm
};

/// Sixteen generators ("lanes") run side by side; lane c makes the columns c, c + 16, c + 32, ... of a block.
/// So a vector of lanes makes neighbouring columns, at widths 1, 4, 8 and 16 alike.
inline constexpr std::size_t lanes = 16;

/// Columns of a row that are made together.
inline constexpr std::size_t block_cols = 512;

/// Philox's four words for the `width<A>` lanes from `lane` of a block of a row.
template <class A>
[[gnu::always_inline]] inline Words<A> words(Stream stream, std::size_t row, std::size_t block,
                                             std::size_t lane) noexcept {
  return philox<A>({simd::iota<A>(static_cast<std::uint32_t>(block * lanes + lane)),
                    simd::splat<A>(static_cast<std::uint32_t>(row)),
                    simd::splat<A>(static_cast<std::uint32_t>(stream.tensor)),
                    simd::splat<A>(static_cast<std::uint32_t>(stream.tensor >> 32))},
                   stream.seed);
}

} // namespace pocketllm::random
