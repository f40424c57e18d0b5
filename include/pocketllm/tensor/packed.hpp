// SPDX-License-Identifier: Apache-2.0
// Activations as the matrix kernel reads them: panels of some tokens side by side, feature after feature.
#pragma once

#include <pocketllm/core/lanes.hpp>
#include <pocketllm/core/runtime.hpp>
#include <pocketllm/core/workspace.hpp>
#include <pocketllm/simd/batch.hpp>
#include <pocketllm/simd/kernel.hpp>
#include <pocketllm/simd/tile.hpp>
#include <pocketllm/simd/transpose.hpp>
#include <pocketllm/tensor/part.hpp>

#include <algorithm>
#include <cstddef>

namespace pocketllm::tensor {

/// Activations [lanes, rows, cols] in panels of up to `panel` rows (tokens). Panel p of a lane is a dense
/// matrix [cols, width(p)]: the numbers of all its tokens for the first feature, then for the second. The
/// last panel is padded to whole vectors; what stands in the padding has no meaning.
struct Packed {
  /// Panels of lane 0 one behind the other, then those of lane 1; null for no result here.
  float* data = nullptr;
  std::size_t lanes = 0;  ///< points; 1 may stand for all of them
  std::size_t rows = 0;   ///< tokens in a lane, without padding
  std::size_t cols = 0;   ///< features of a token
  std::size_t vector = 1; ///< `width<A>` of the kernels that use it
  std::size_t panel = 1;  ///< `panel_cols<A>`

  /// Rows of a lane, filled up to whole vectors.
  [[nodiscard]] std::size_t padded_rows() const noexcept { return (rows + vector - 1) / vector * vector; }
  /// Panels of a lane, the last of which may be narrower.
  [[nodiscard]] std::size_t panels() const noexcept { return (rows + panel - 1) / panel; }
  /// Rows of panel p, padding included.
  [[nodiscard]] std::size_t width(std::size_t p) const noexcept {
    return std::min(panel, padded_rows() - p * panel);
  }
  /// Panel p of a lane; with one lane that one's, whichever is asked for.
  [[nodiscard]] float* at(std::size_t lane, std::size_t p) const noexcept {
    return data + ((lanes == 1 ? 0 : lane) * padded_rows() + p * panel) * cols;
  }
};

namespace kernel {

/// The vector and the panel of an instruction set.
struct PackedShape {
  using Signature = void(std::size_t&, std::size_t&);
  template <class A>
  static void run(std::size_t& vector, std::size_t& panel) noexcept {
    vector = simd::width<A>;
    panel = simd::panel_cols<A>;
  }
};

/// out[k * width + t] = x[t * stride + k] for t < rows, zero for the padding up to `width`.
struct PackPanel {
  using Signature = void(float const*, std::size_t, std::size_t, std::size_t, float*, std::size_t);
  template <class A>
  static void run(float const* x, std::size_t stride, std::size_t rows, std::size_t cols, float* out,
                  std::size_t width) noexcept {
    constexpr std::size_t v = simd::width<A>;
    for (std::size_t k = 0; k < cols; k += v) {
      std::size_t const columns = std::min(v, cols - k);
      for (std::size_t t = 0; t < width; t += v) {
        simd::Square<A> block;
        for (std::size_t i = 0; i < v; ++i) {
          float const* const from = x + (t + i) * stride + k;
          block[i] = t + i >= rows  ? simd::splat<A>(0.0F)
                     : columns == v ? simd::load<A>(from)
                                    : load_part<A>(from, columns);
        }
        simd::transpose<A>(block);
        for (std::size_t i = 0; i < columns; ++i) {
          simd::store<A>(out + (k + i) * width + t, block[i]);
        }
      }
    }
  }
};

} // namespace kernel
} // namespace pocketllm::tensor

template <>
inline constexpr bool pocketllm::simd::is_dispatched<pocketllm::tensor::kernel::PackedShape> = true;
template <>
inline constexpr bool pocketllm::simd::is_dispatched<pocketllm::tensor::kernel::PackPanel> = true;

namespace pocketllm::tensor {

/// Packed activations without values, in the workspace, for a kernel K called for architecture A: by default
/// one of those that pocketllm_link_dispatch compiles, which may be for another instruction set than A.
template <class A = simd::native, simd::Kernel K = kernel::PackedShape>
[[nodiscard]] Packed take_packed(Workspace& workspace, std::size_t lanes, std::size_t rows,
                                 std::size_t cols) {
  Packed packed{nullptr, lanes, rows, cols};
  if constexpr (simd::is_dispatched<K>) {
    simd::invoke<A, kernel::PackedShape>(packed.vector, packed.panel);
  } else {
    kernel::PackedShape::run<A>(packed.vector, packed.panel);
  }
  packed.data = workspace.take(lanes * packed.padded_rows() * cols).data();
  return packed;
}

/// X [lanes, rows, cols], packed for the products that read it, in the workspace.
template <class A = simd::native>
[[nodiscard]] Packed pack(Lanes<float const> x, Runtime& runtime) {
  Packed const packed = take_packed<A>(runtime.workspace(), x.lanes, x.rows, x.cols);
  std::size_t const panels = packed.panels();
  runtime.pool().parallel_for(x.lanes * panels, [&](std::size_t i, std::size_t) {
    std::size_t const lane = i / panels, p = i % panels, first = p * packed.panel;
    simd::invoke<A, kernel::PackPanel>(x.row(lane, first), x.stride, std::min(packed.panel, x.rows - first),
                                       x.cols, packed.at(lane, p), packed.width(p));
  });
  return packed;
}

/// Copies the values of `from` to `to`, which has the same lanes, rows and columns in panels of another
/// shape.
inline void repack(Packed const& from, Packed const& to, Runtime& runtime) {
  runtime.pool().parallel_for(to.lanes * to.cols, [&](std::size_t i, std::size_t) {
    std::size_t const lane = i / to.cols, k = i % to.cols;
    for (std::size_t row = 0; row < to.rows; ++row) {
      std::size_t const p = row / to.panel, q = row / from.panel;
      to.at(lane, p)[k * to.width(p) + row % to.panel] =
          from.at(lane, q)[k * from.width(q) + row % from.panel];
    }
  });
}

} // namespace pocketllm::tensor
