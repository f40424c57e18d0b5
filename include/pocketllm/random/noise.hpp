// SPDX-License-Identifier: Apache-2.0
// z(seed, tensor, row, column) for any stretch of a row.
#pragma once

#include <pocketllm/random/perturbation.hpp>
#include <pocketllm/random/stream.hpp>

#include <algorithm>
#include <array>
#include <cstddef>

namespace pocketllm::random {

/// `count` consecutive columns of one row from `first`, any number: out[column - first].
template <class A, Perturbation P>
void fill_row(P const& perturbation, Stream stream, std::size_t row, std::size_t first, std::size_t count,
              float* out) noexcept {
  std::array<float, block_cols> z;
  std::size_t const end = first + count;
  for (std::size_t begin = first; begin < end;) {
    std::size_t const block = begin / block_cols, base = block * block_cols;
    std::size_t const stop = std::min(end, base + block_cols);
    perturbation.template fill<A>(stream, row, block, stop - base, z.data());
    std::copy(z.data() + (begin - base), z.data() + (stop - base), out + (begin - first));
    begin = stop;
  }
}

} // namespace pocketllm::random
