// SPDX-License-Identifier: Apache-2.0
// Rows of weights of any storage as vectors of floats, and the vectors at their ends, which need not be full.
#pragma once

#include <pocketllm/core/float16.hpp>
#include <pocketllm/simd/batch.hpp>
#include <pocketllm/simd/convert.hpp>
#include <pocketllm/tensor/storage.hpp>

#include <algorithm>
#include <array>
#include <cstddef>

namespace pocketllm::tensor {

/// `count` <= `width<A>` elements as floats, zeros behind them.
template <class A, class T>
[[gnu::always_inline]] inline simd::f32<A> load_part(T const* from, std::size_t count) noexcept {
  std::array<T, simd::width<A>> part{};
  std::copy(from, from + count, part.begin());
  return simd::load_as_float<A>(part.data());
}

/// Elements column to column + `width<A>` of a row. A column of i4 is a multiple of `width<A>`.
template <class A, FloatStorage T>
[[gnu::always_inline]] inline simd::f32<A> load_weights(T const* row, std::size_t column) noexcept {
  return simd::load_as_float<A>(row + column);
}
/// The codes times the row's scale.
template <class A>
[[gnu::always_inline]] inline simd::f32<A> load_weights(QuantizedRow<i8> row, std::size_t column) noexcept {
  return simd::load_as_float<A>(row.codes + column) * simd::splat<A>(*row.scales);
}
/// The codes times their group's scale.
template <class A>
[[gnu::always_inline]] inline simd::f32<A> load_weights(QuantizedRow<i4> row, std::size_t column) noexcept {
  constexpr std::size_t group = QuantizedLayout<i4>::group, half = group / 2;
  i4 const* const codes = row.codes + column / group * half + column % half;
  return simd::load_as_float<A>(codes, column / half % 2) *
         simd::splat<A>(to_float(row.scales[column / group]));
}

/// The same with zeros behind the first `count` <= `width<A>` elements.
template <class A, FloatStorage T>
[[gnu::always_inline]] inline simd::f32<A> load_weights(T const* row, std::size_t column,
                                                        std::size_t count) noexcept {
  return load_part<A>(row + column, count);
}
/// Element by element, so that any column will do.
template <class A, QuantizedStorage T>
[[gnu::always_inline]] inline simd::f32<A> load_weights(QuantizedRow<T> row, std::size_t column,
                                                        std::size_t count) noexcept {
  std::array<float, simd::width<A>> part{};
  for (std::size_t i = 0; i < count; ++i) {
    part[i] = load_weights<simd::scalar>(row, column + i);
  }
  return simd::load<A>(part.data());
}

/// Where the elements from `column` on begin, which for codes is a multiple of 32, and the bytes of so many.
template <FloatStorage T>
[[nodiscard]] void const* address_of(T const* row, std::size_t column) noexcept {
  return row + column;
}
/// The codes of such a row; its scales lie elsewhere.
template <QuantizedStorage T>
[[nodiscard]] void const* address_of(QuantizedRow<T> row, std::size_t column) noexcept {
  return row.codes + QuantizedLayout<T>::row_units(column);
}
/// Bytes of the first `columns` elements of a row, without scales.
template <WeightStorage T>
[[nodiscard]] constexpr std::size_t row_bytes(std::size_t columns) noexcept {
  if constexpr (QuantizedStorage<T>) {
    return QuantizedLayout<T>::row_units(columns) * sizeof(T);
  } else {
    return columns * sizeof(T);
  }
}

/// The first `count` <= `width<A>` elements of a vector.
template <class A>
[[gnu::always_inline]] inline void store_part(float* to, simd::f32<A> value, std::size_t count) noexcept {
  std::array<float, simd::width<A>> part;
  simd::store<A>(part.data(), value);
  std::copy_n(part.begin(), count, to);
}

} // namespace pocketllm::tensor
