// SPDX-License-Identifier: Apache-2.0
// A view of activations: the same rows at every point (lane) where the loss is evaluated.
#pragma once

#include <pocketllm/core/workspace.hpp>

#include <cstddef>
#include <type_traits>

namespace pocketllm {

/// Activations [lanes, rows, cols], row-major, rows `stride` apart. `rows` counts the tokens of all sequences
/// of a batch; there is no padding. A view with one lane may stand where more are expected: then all lanes
/// read the same activations.
template <class T>
struct Lanes {
  T* data = nullptr;         ///< row 0 of lane 0; null where a view may be left out
  std::size_t lanes = 0;     ///< points; 1 may stand for all of them
  std::size_t rows = 0;      ///< tokens in a lane
  std::size_t cols = 0;      ///< features of a token
  std::size_t stride = cols; ///< floats from one row to the next, `cols` at least

  /// From the rows of one lane to those of the next.
  [[nodiscard]] constexpr std::size_t lane_stride() const noexcept { return rows * stride; }
  /// Row 0 of lane l; a view with one lane gives that one for every l.
  [[nodiscard]] constexpr T* lane(std::size_t l) const noexcept {
    return data + (lanes == 1 ? 0 : l) * lane_stride();
  }
  /// Row r of lane l: `cols` elements.
  [[nodiscard]] constexpr T* row(std::size_t l, std::size_t r) const noexcept { return lane(l) + r * stride; }

  /// To a view that cannot write.
  constexpr operator Lanes<T const>() const noexcept requires(!std::is_const_v<T>) {
    return {data, lanes, rows, cols, stride};
  }
};

/// Activations without values, in the workspace. Rows whose size is a multiple of 4 kB are set a cache line
/// apart: else the same column of all rows falls into one set of the first-level cache, and the rows of a
/// tile evict each other.
[[nodiscard]] inline Lanes<float> take_lanes(Workspace& workspace, std::size_t lanes, std::size_t rows,
                                             std::size_t cols) {
  constexpr std::size_t page = 1024, line = 16; // floats in 4 kB and in 64 bytes
  std::size_t const stride = cols % page == 0 ? cols + line : cols;
  return {workspace.take(lanes * rows * stride).data(), lanes, rows, cols, stride};
}

} // namespace pocketllm
