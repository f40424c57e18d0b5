// SPDX-License-Identifier: Apache-2.0
// Loops over the rows of activations, shared by threads.
#pragma once

#include <pocketllm/core/lanes.hpp>
#include <pocketllm/core/runtime.hpp>

#include <algorithm>
#include <cstddef>

namespace pocketllm::layers {

/// Calls f(lane, row) for every row of `x`.
template <class T, class F>
void for_each_row(Lanes<T> x, Runtime& runtime, F f) {
  constexpr std::size_t piece = 16; // rows a thread takes at a time: enough to be worth the counter
  std::size_t const rows = x.lanes * x.rows;
  runtime.pool().parallel_for((rows + piece - 1) / piece, [&](std::size_t i, std::size_t) {
    for (std::size_t r = i * piece; r < std::min(rows, (i + 1) * piece); ++r) {
      f(r / x.rows, r % x.rows);
    }
  });
}

} // namespace pocketllm::layers
