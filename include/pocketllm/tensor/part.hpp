// SPDX-License-Identifier: Apache-2.0
// Vectors at the ends of rows, which need not be full.
#pragma once

#include <pocketllm/simd/batch.hpp>
#include <pocketllm/simd/convert.hpp>

#include <algorithm>
#include <array>
#include <cstddef>

namespace pocketllm::tensor {

/// `count` <= width<A> elements as floats, zeros behind them.
template <class A, class T>
[[gnu::always_inline]] inline simd::f32<A> load_part(T const* from, std::size_t count) noexcept {
  std::array<T, simd::width<A>> part{};
  std::copy(from, from + count, part.begin());
  return simd::load_as_float<A>(part.data());
}

/// The first `count` <= width<A> elements of a vector.
template <class A>
[[gnu::always_inline]] inline void store_part(float* to, simd::f32<A> value, std::size_t count) noexcept {
  std::array<float, simd::width<A>> part;
  simd::store<A>(part.data(), value);
  std::copy_n(part.begin(), count, to);
}

} // namespace pocketllm::tensor
