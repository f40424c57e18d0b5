// SPDX-License-Identifier: Apache-2.0
// z(seed, tensor, row, column) as a pure function: the same bits whichever part is asked for, and however
// wide the vectors are that compute it.
#pragma once

#include <pocketllm/random/perturbation.hpp>
#include <pocketllm/random/philox.hpp>
#include <pocketllm/simd/batch.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace pocketllm::random {

/// Names the noise of one tensor: the key of Philox is `seed`, its counter (block, row, tensor), where a
/// block covers P::block consecutive columns of a row.
struct Stream {
  std::uint64_t seed = 0;
  std::uint64_t tensor = 0; ///< Tensor::key()
};

namespace detail {
template <class A>
[[gnu::always_inline]] inline Words<A> words(Stream stream, simd::u32<A> row, simd::u32<A> block) noexcept {
  return philox<A>({block, row, simd::splat<A>(static_cast<std::uint32_t>(stream.tensor)),
                    simd::splat<A>(static_cast<std::uint32_t>(stream.tensor >> 32))},
                   stream.seed);
}
} // namespace detail

/// `count` columns from `first` (a multiple of P::block) of `Rows` rows from `row`, transposed:
/// out[column - first][row], `Rows` floats apart; Rows is a multiple of width<A>. Writes whole blocks, so
/// `out` must hold `count` rounded up to P::block, times Rows.
template <class A, std::size_t Rows, Perturbation P>
void fill_panel(P const& perturbation, Stream stream, std::size_t row, std::size_t first, std::size_t count,
                float* out) noexcept {
  static_assert(Rows % simd::width<A> == 0);
  for (std::size_t done = 0; done < count; done += P::block) {
    auto const block = simd::splat<A>(static_cast<std::uint32_t>((first + done) / P::block));
    for (std::size_t r = 0; r < Rows; r += simd::width<A>) {
      auto const rows = simd::iota<A>(static_cast<std::uint32_t>(row + r));
      perturbation.template expand<A>(detail::words<A>(stream, rows, block), out + done * Rows + r, Rows);
    }
  }
}

/// `count` consecutive columns of one row from `first`, any number: out[column - first].
template <class A, Perturbation P>
void fill_row(P const& perturbation, Stream stream, std::size_t row, std::size_t first, std::size_t count,
              float* out) noexcept {
  constexpr std::size_t blocks = simd::width<A>; // this many at once, one a lane
  std::array<float, blocks * P::block> lanes;
  std::size_t const end = first + count;
  std::size_t const start = first / P::block;
  auto const row_number = simd::splat<A>(static_cast<std::uint32_t>(row));
  for (std::size_t b = start; b * P::block < end; b += blocks) {
    perturbation.template expand<A>(
        detail::words<A>(stream, row_number, simd::iota<A>(static_cast<std::uint32_t>(b))), lanes.data(),
        blocks);
    std::size_t const from = std::max(first, b * P::block);
    std::size_t const to = std::min(end, (b + blocks) * P::block);
    for (std::size_t column = from; column < to; ++column) {
      std::size_t const local = column - b * P::block;
      out[column - first] = lanes[local % P::block * blocks + local / P::block];
    }
  }
}

} // namespace pocketllm::random
