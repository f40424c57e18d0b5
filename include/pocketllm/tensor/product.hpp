// SPDX-License-Identifier: Apache-2.0
// The perturbed product Y_l = X_l (W + c_l z(s_l))^T + b: all points in one read of the weights, and no
// perturbed weight is ever written to memory, only to a panel of a few kilobytes that stays in cache.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/core/lanes.hpp>
#include <pocketllm/core/runtime.hpp>
#include <pocketllm/random/noise.hpp>
#include <pocketllm/random/perturbed.hpp>
#include <pocketllm/simd/tile.hpp>
#include <pocketllm/tensor/panel.hpp>
#include <pocketllm/tensor/perturbed_row.hpp>
#include <pocketllm/tensor/tensor.hpp>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <span>

namespace pocketllm::tensor {

namespace detail {

/// Columns of W that are packed at a time: a panel of them (16 kB at 16 outputs) fits the first-level cache
/// of every phone core beside the rows of X, and it is a multiple of every perturbation's block.
inline constexpr std::size_t product_depth = 256;

/// One thread's panels: as stored, the noise, and as perturbed.
struct Panels {
  float* base;
  float* noise;
  float* perturbed;
};

template <class A, WeightStorage T, random::Perturbation P>
struct Product {
  static constexpr std::size_t cols = panel_cols<A>;
  static_assert(product_depth % P::block == 0, "the block of a perturbation divides 256");

  Lanes<float const> x;
  Tensor<T> const& w;
  random::Perturbed<P> const& at;
  Lanes<float> y;
  float const* bias; ///< [lanes, panels * cols]: perturbed, padded with zeros
  float* tail;       ///< [lanes, rows, cols]: outputs of a last panel that is not full

  [[nodiscard]] std::size_t panels() const noexcept { return (w.rows() + cols - 1) / cols; }

  /// Outputs n .. n + cols of all lanes and rows.
  void operator()(std::size_t panel, Panels const& scratch) const noexcept {
    std::size_t const n = panel * cols;
    std::size_t const outputs = std::min(cols, w.rows() - n);
    for (std::size_t k = 0; k < w.cols(); k += product_depth) {
      std::size_t const depth = std::min(product_depth, w.cols() - k);
      pack_panel<A>(w.row(n) + k, w.cols(), outputs, depth, scratch.base);
      std::optional<std::uint64_t> seed; // of the noise in scratch
      for (std::size_t l = 0; l < at.lanes(); ++l) {
        multiply(l, n, k, depth, perturbed(at.points[l], n, k, depth, scratch, seed));
      }
    }
    if (outputs < cols) {
      copy_tail(n, outputs);
    }
  }

private:
  float const* perturbed(random::Point point, std::size_t n, std::size_t k, std::size_t depth,
                         Panels const& scratch, std::optional<std::uint64_t>& seed) const noexcept {
    if (point.coefficient == 0.0F || !w.trained()) {
      return scratch.base;
    }
    if (seed != point.seed) {
      random::fill_panel<A, cols>(at.perturbation, {point.seed, w.key()}, n, k, depth, scratch.noise);
      seed = point.seed;
    }
    perturb_panel<A>(scratch.base, scratch.noise, point.coefficient, depth * cols, scratch.perturbed);
    return scratch.perturbed;
  }

  void multiply(std::size_t l, std::size_t n, std::size_t k, std::size_t depth,
                float const* panel) const noexcept {
    bool const full = n + cols <= w.rows();
    std::size_t const stride = full ? y.stride : cols;
    float* const to = full ? y.lane(l) + n : tail + l * y.rows * cols;
    float const* const initial = k == 0 ? bias + l * panels() * cols + n : nullptr;
    for (std::size_t r = 0; r < y.rows; r += simd::TileShape<A>::rows) {
      simd::tile<A>({x.row(l, r) + k, x.stride, panel, cols, depth, to + r * stride, stride, initial},
                    std::min(simd::TileShape<A>::rows, y.rows - r));
    }
  }

  void copy_tail(std::size_t n, std::size_t outputs) const noexcept {
    for (std::size_t l = 0; l < y.lanes; ++l) {
      for (std::size_t r = 0; r < y.rows; ++r) {
        float const* const from = tail + (l * y.rows + r) * cols;
        std::copy(from, from + outputs, y.row(l, r) + n);
      }
    }
  }
};

} // namespace detail

/// Y_l = X_l (W + c_l z)^T + (b + c_l z_b) at every point of `at`.
///
/// X [lanes or 1, rows, in]; W [out, in], row-major as safetensors holds it; bias [out] or null; Y [lanes,
/// rows, out]. The sum over `in` has one order, whatever the number of threads or lanes. Throws Error when
/// shapes do not fit.
template <class A = simd::native, WeightStorage T, random::Perturbation P>
void product(Lanes<float const> x, Tensor<T> const& w, Tensor<float> const* bias,
             random::Perturbed<P> const& at, Lanes<float> y, Runtime& runtime) {
  require(x.cols == w.cols() && y.cols == w.rows() && x.rows == y.rows && y.lanes == at.lanes() &&
              (x.lanes == y.lanes || x.lanes == 1) && (bias == nullptr || bias->size() == w.rows()),
          w.name(), ": product of X [", x.lanes, ", ", x.rows, ", ", x.cols, "] and W [", w.rows(), ", ",
          w.cols(), "] into Y [", y.lanes, ", ", y.rows, ", ", y.cols, "] at ", at.lanes(), " points");
  using Task = detail::Product<A, T, P>;
  Workspace& workspace = runtime.workspace();
  Workspace::Frame const frame(workspace);
  std::size_t const padded = (w.rows() + Task::cols - 1) / Task::cols * Task::cols;
  std::span<float> const biases = workspace.take(at.lanes() * padded);
  std::fill(biases.begin(), biases.end(), 0.0F);
  if (bias != nullptr) {
    perturbed_row<A>(*bias, at, {0, 0, bias->cols()}, biases.data(), padded);
  }
  float* const tail = padded == w.rows() ? nullptr : workspace.take(y.lanes * y.rows * Task::cols).data();
  constexpr std::size_t panel_size = detail::product_depth * Task::cols;
  std::span<float> const scratch = workspace.take(runtime.pool().size() * 3 * panel_size);

  Task const task{x, w, at, y, biases.data(), tail};
  runtime.pool().parallel_for(task.panels(), [&](std::size_t panel, std::size_t worker) {
    float* const own = scratch.data() + worker * 3 * panel_size;
    task(panel, {own, own + panel_size, own + 2 * panel_size});
  });
}

} // namespace pocketllm::tensor
