// SPDX-License-Identifier: Apache-2.0
// The perturbed product Y_l = X_l (W + c_l z(s_l))^T + b: all points in one read of the weights, and no
// perturbed weight is ever written to memory, only to a block of 100 kB that stays in cache.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/core/lanes.hpp>
#include <pocketllm/core/runtime.hpp>
#include <pocketllm/random/perturbed.hpp>
#include <pocketllm/simd/activation.hpp>
#include <pocketllm/simd/kernel.hpp>
#include <pocketllm/simd/tile.hpp>
#include <pocketllm/tensor/coded.hpp>
#include <pocketllm/tensor/packed.hpp>
#include <pocketllm/tensor/perturbed_row.hpp>
#include <pocketllm/tensor/product_kernel.hpp>
#include <pocketllm/tensor/tensor.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <initializer_list>
#include <span>
#include <vector>

namespace pocketllm::tensor {

/// A term of low rank, scale B A, beside a weight: `down` is A [rank, in], `up` is B [out, rank]
/// (LoRA, arXiv 2106.09685). The sum of both is never formed.
struct LowRank {
  Tensor<float> const* down = nullptr; ///< null for no term
  Tensor<float> const* up = nullptr;   ///< not null where `down` is not
  float scale = 1.0F;                  ///< alpha / rank
};

/// One of the products of a common X: Y = activation(X W^T + b). W [out, in], row-major as safetensors holds
/// it; bias [out] or null. The result goes where `y` or, packed for another product, `packed` has data: Y
/// [lanes, rows, out]. With `count` it is the product of some rows of W (and elements of the bias) only,
/// whose noise is that of their places in W: a head over a large vocabulary is computed block by block.
template <WeightStorage T>
struct Factor {
  Tensor<T> const& weight;             ///< W; must outlive the products
  Tensor<float> const* bias = nullptr; ///< of all rows of W, also where only some are multiplied
  Lanes<float> y{};                    ///< [lanes, rows, out]
  Packed packed{};                     ///< where the result goes if it has data, else to `y`
  simd::Activation activation = simd::Activation::none; ///< of the sums
  std::size_t first = 0;                                ///< row of W
  std::size_t count = 0;                                ///< rows of W; 0 for all
  LowRank term{};                                       ///< Y = activation(X (W + scale B A)^T + b)

  /// Columns of Y: `count`, or all rows of W.
  [[nodiscard]] std::size_t out() const noexcept { return count != 0 ? count : weight.rows(); }
};

namespace detail {

template <WeightStorage T>
void require_shapes(Packed const& x, Factor<T> const& f, std::size_t points) {
  Tensor<T> const& w = f.weight;
  bool const rows = f.y.data != nullptr;
  std::size_t const lanes = rows ? f.y.lanes : f.packed.lanes, tokens = rows ? f.y.rows : f.packed.rows,
                    cols = rows ? f.y.cols : f.packed.cols;
  require(x.cols == w.cols() && cols == f.out() && x.rows == tokens && lanes == points &&
              (x.lanes == points || x.lanes == 1) && (f.bias == nullptr || f.bias->size() == w.rows()),
          w.name(), ": product of X [", x.lanes, ", ", x.rows, ", ", x.cols, "] and W [", w.rows(), ", ",
          w.cols(), "] into Y [", lanes, ", ", tokens, ", ", cols, "] at ", points, " points");
  require(f.count == 0 ? f.first == 0 : f.first < w.rows() && f.count <= w.rows() - f.first, w.name(),
          ": the ", f.count, " rows from ", f.first, " on are not among its ", w.rows());
}

/// The biases at all points: [lanes, out].
template <class A, WeightStorage T, random::Perturbation P>
[[nodiscard]] float const* perturbed_bias(Factor<T> const& f, random::Perturbed<P> const& at,
                                          Workspace& workspace) {
  std::span<float> const values = workspace.take(at.lanes() * f.out());
  if (f.bias == nullptr) {
    std::fill(values.begin(), values.end(), 0.0F);
  } else {
    perturbed_row<A>(*f.bias, at, {0, f.first, f.out()}, values.data(), f.out());
  }
  return values.data();
}

} // namespace detail

template <class A = simd::native, WeightStorage T, random::Perturbation P>
void products(Packed const& x, std::span<Factor<T> const> factors, random::Perturbed<P> const& at,
              Runtime& runtime);

namespace detail {

template <WeightStorage T>
void require_term(Factor<T> const& f) {
  Tensor<float> const& up = *f.term.up;
  Tensor<float> const& down = *f.term.down;
  require(up.cols() == down.rows() && up.rows() == f.weight.rows() && up.cols() <= simd::tile_depth,
          up.name(), ": a term [", up.rows(), ", ", up.cols(), "] [", down.rows(), ", ", down.cols(),
          "] beside a weight [", f.weight.rows(), ", ", f.weight.cols(), "]; the rank is at most ",
          simd::tile_depth);
}

/// scale X A^T for the low-rank term of each factor that has one, in the workspace: [lanes, rows, rank].
template <class A, WeightStorage T, random::Perturbation P>
[[nodiscard]] std::vector<Packed> inner_products(Packed const& x, std::span<Factor<T> const> factors,
                                                 random::Perturbed<P> const& at, Runtime& runtime) {
  std::vector<Packed> inner(factors.size());
  std::vector<Factor<float>> downs;
  for (std::size_t i = 0; i < factors.size(); ++i) {
    if (Tensor<float> const* const down = factors[i].term.down; down != nullptr) {
      require_term(factors[i]);
      inner[i] = take_packed<A, kernel::Product<T, P>>(runtime.workspace(), at.lanes(), x.rows, down->rows());
      downs.push_back({*down, nullptr, {}, inner[i]});
    }
  }
  if (!downs.empty()) {
    products<A>(x, std::span<Factor<float> const>(downs), at, runtime);
  }
  for (std::size_t i = 0; i < factors.size(); ++i) {
    std::span<float> const values(inner[i].data, inner[i].lanes * inner[i].padded_rows() * inner[i].cols);
    for (float& value : values) {
      value *= factors[i].term.scale;
    }
  }
  return inner;
}

/// Whether X and all results are packed as the kernel K has it. They are not where a user's own perturbation
/// or storage runs in a program that is dispatched for all others.
template <class A, simd::Kernel K, WeightStorage T>
[[nodiscard]] bool has_shape_of(Packed const& x, std::span<Factor<T> const> factors, Workspace& workspace) {
  std::size_t const vector = take_packed<A, K>(workspace, 0, 0, 0).vector;
  return x.vector == vector && std::ranges::all_of(factors, [&](Factor<T> const& f) {
           return f.packed.data == nullptr || f.packed.vector == vector;
         });
}

/// The products by way of copies that are packed as their kernel has it.
template <class A, WeightStorage T, random::Perturbation P>
void repacked_products(Packed const& x, std::span<Factor<T> const> factors, random::Perturbed<P> const& at,
                       Runtime& runtime) {
  auto const own = [&](Packed const& other) {
    return take_packed<A, kernel::Product<T, P>>(runtime.workspace(), other.lanes, other.rows, other.cols);
  };
  Packed const from = own(x);
  repack(x, from, runtime);
  std::vector<Packed> results;
  for (Factor<T> const& f : factors) {
    results.push_back(f.packed.data == nullptr ? f.packed : own(f.packed));
  }
  std::vector<Factor<T>> mine;
  for (Factor<T> const& f : factors) {
    mine.push_back({f.weight, f.bias, f.y, results[mine.size()], f.activation, f.first, f.count, f.term});
  }
  products<A>(from, std::span<Factor<T> const>(mine), at, runtime);
  for (std::size_t i = 0; i < factors.size(); ++i) {
    if (factors[i].packed.data != nullptr) {
      repack(results[i], factors[i].packed, runtime);
    }
  }
}

} // namespace detail

/// All `factors` of one X at every point of `at`: Y_l = activation(X_l (W + c_l z)^T + (b + c_l z_b)). X has
/// one lane, which all points share, or a lane a point. Every weight is read once. The sum over `in` has one
/// order, whatever the number of threads, lanes or rows. Weights of codes are multiplied as integers where
/// the runtime wants Activations::i8. Throws Error when shapes do not fit.
template <class A, WeightStorage T, random::Perturbation P>
void products(Packed const& x, std::span<Factor<T> const> factors, random::Perturbed<P> const& at,
              Runtime& runtime) {
  Workspace& workspace = runtime.workspace();
  Workspace::Frame const frame(workspace);
  using Kernel = kernel::Product<T, P>;
  if (!detail::has_shape_of<A, Kernel>(x, factors, workspace)) {
    return detail::repacked_products<A>(x, factors, at, runtime);
  }
  std::size_t rows = 0;
  for (Factor<T> const& f : factors) {
    rows += f.out();
  }
  std::vector<Packed> const inner = detail::inner_products<A>(x, factors, at, runtime);
  Coded coded;
  if constexpr (QuantizedStorage<T>) {
    if (runtime.activations() == Activations::i8) {
      coded = code<A, Kernel>(x, runtime);
    }
  }
  std::size_t const threads = runtime.pool().size();
  std::vector<typename Kernel::Task> tasks;
  std::vector<std::size_t> ends; // pieces of all tasks up to each
  for (Factor<T> const& f : factors) {
    detail::require_shapes(x, f, at.lanes());
    float const* const bias = detail::perturbed_bias<A>(f, at, workspace);
    tasks.push_back({x, f.weight, at, bias, f.y, f.packed, f.activation, threads,
                     kernel::piece_rows(rows, threads), f.first, f.out(), f.term.up, inner[tasks.size()],
                     coded});
    ends.push_back((ends.empty() ? 0 : ends.back()) + tasks.back().pieces());
  }
  std::size_t const size = kernel::product_scratch(x, at.lanes());
  std::span<float> const scratch = workspace.take(threads * size);
  runtime.pool().parallel_for(ends.empty() ? 0 : ends.back(), [&](std::size_t i, std::size_t worker) {
    auto const t = static_cast<std::size_t>(std::upper_bound(ends.begin(), ends.end(), i) - ends.begin());
    std::size_t const piece = t == 0 ? i : i - ends[t - 1];
    simd::invoke<A, Kernel>(tasks[t], piece, scratch.data() + worker * size);
  });
}

/// The same for factors that are written down in the call.
template <class A = simd::native, WeightStorage T, random::Perturbation P>
void products(Packed const& x, std::initializer_list<Factor<T>> factors, random::Perturbed<P> const& at,
              Runtime& runtime) {
  products<A>(x, std::span<Factor<T> const>(factors.begin(), factors.size()), at, runtime);
}

/// Y = X W^T + b for rows that are not packed. X [lanes or 1, rows, in]; Y [lanes, rows, out].
template <class A = simd::native, WeightStorage T, random::Perturbation P>
void product(Lanes<float const> x, Tensor<T> const& w, Tensor<float> const* bias,
             random::Perturbed<P> const& at, Lanes<float> y, Runtime& runtime) {
  Workspace::Frame const frame(runtime.workspace());
  Factor<T> const factor{w, bias, y};
  Packed shape{nullptr, x.lanes, x.rows, x.cols}; // to find mistakes before packing
  detail::require_shapes(shape, factor, at.lanes());
  products<A>(pack<A>(x, runtime), {factor}, at, runtime);
}

} // namespace pocketllm::tensor
