// SPDX-License-Identifier: Apache-2.0
// A view of activations: the same rows at every point (lane) where the loss is evaluated.
#pragma once

#include <concepts>
#include <cstddef>
#include <span>
#include <type_traits>

namespace pocketllm {

/// Activations [lanes, rows, cols], row-major, rows side by side. `rows` counts the tokens of all sequences
/// of a batch; there is no padding. A view with one lane may stand where more are expected: then all lanes
/// read the same activations.
template <class T>
struct Lanes {
  T* data = nullptr;
  std::size_t lanes = 0;
  std::size_t rows = 0;
  std::size_t cols = 0;

  [[nodiscard]] constexpr T* lane(std::size_t l) const noexcept {
    return data + (lanes == 1 ? 0 : l) * rows * cols;
  }
  [[nodiscard]] constexpr T* row(std::size_t l, std::size_t r) const noexcept { return lane(l) + r * cols; }
  [[nodiscard]] constexpr std::size_t size() const noexcept { return lanes * rows * cols; }
  [[nodiscard]] constexpr std::span<T> values() const noexcept { return {data, size()}; }

  /// To a view that cannot write.
  constexpr operator Lanes<T const>() const noexcept requires(!std::is_const_v<T>) {
    return {data, lanes, rows, cols};
  }
};

} // namespace pocketllm
