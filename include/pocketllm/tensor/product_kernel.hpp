// SPDX-License-Identifier: Apache-2.0
// What one thread does for the perturbed product: some rows of W, perturbed, times all panels of X.
#pragma once

#include <pocketllm/core/lanes.hpp>
#include <pocketllm/random/perturbed.hpp>
#include <pocketllm/simd/activation.hpp>
#include <pocketllm/simd/code_tile.hpp>
#include <pocketllm/simd/tile.hpp>
#include <pocketllm/tensor/coded.hpp>
#include <pocketllm/tensor/packed.hpp>
#include <pocketllm/tensor/part.hpp>
#include <pocketllm/tensor/product_block.hpp>
#include <pocketllm/tensor/tensor.hpp>

#include <algorithm>
#include <cstddef>

namespace pocketllm::tensor::kernel {

/// Floats that one thread needs: two blocks of weights (+c z and -c z), z of one row, and the sums of a block
/// of outputs for all tokens of all points.
[[nodiscard]] inline std::size_t product_scratch(Packed const& x, std::size_t points) noexcept {
  return 2 * block_size + simd::tile_depth + points * x.padded_rows() * simd::block_rows;
}

/// Rows of W in a piece, when all products together have `rows`: as many as fit a block, for every piece
/// reads all of X, and as many pieces for one thread as for another.
[[nodiscard]] inline std::size_t piece_rows(std::size_t rows, std::size_t threads) noexcept {
  constexpr std::size_t unit = 4; // rows of a small tile
  std::size_t const pieces = threads * std::max<std::size_t>(1, (rows + threads * simd::block_rows - 1) /
                                                                    (threads * simd::block_rows));
  return std::min(simd::block_rows, ((rows + pieces - 1) / pieces + unit - 1) / unit * unit);
}

/// The products of one weight, or of some rows of it. A piece is a block of these.
template <class T, class P>
struct Product {
  struct Task {
    Packed x;
    Tensor<T> const& w;
    random::Perturbed<P> at;
    float const* bias; ///< [lanes, out], perturbed
    Lanes<float> y;
    Packed packed; ///< where the result goes if it has data, else to y
    simd::Activation activation;
    std::size_t threads;
    std::size_t piece_rows; ///< at most block_rows
    std::size_t begin;      ///< the row of W that is the first of the `out`
    std::size_t out;
    Tensor<float> const* up = nullptr; ///< [rows of W, rank], added as further columns of W, which are
    Packed inner{};                    ///< multiplied by this: [lanes, rows, rank]
    Coded coded{};                     ///< of `x`, to multiply with the codes of W if there are any

    [[nodiscard]] std::size_t pieces() const noexcept { return (out + piece_rows - 1) / piece_rows; }
  };
  using Signature = void(Task const&, std::size_t, float*);

  template <class A>
  static void run(Task const& task, std::size_t piece, float* scratch) noexcept {
    std::size_t const row = piece * task.piece_rows;
    Piece<A>{task, row, std::min(task.piece_rows, task.out - row), scratch}();
  }

private:
  template <class A>
  struct Piece {
    Task const& task;
    std::size_t first, rows; ///< of the outputs
    float* scratch;

    void operator()() const noexcept {
      for (std::size_t k = 0; k < task.w.cols(); k += simd::tile_depth) {
        bool const last = task.up == nullptr && k + simd::tile_depth >= task.w.cols();
        Pass const p{task.x, k, std::min(simd::tile_depth, task.w.cols() - k), k == 0, last};
        if constexpr (QuantizedStorage<T>) {
          if (task.coded.codes != nullptr) {
            coded_pass(p);
            continue;
          }
        }
        pass(task.w, p);
      }
      if (task.up != nullptr) {
        pass(*task.up, {task.inner, 0, task.up->cols(), false, true});
      }
    }

  private:
    /// Some columns of a matrix and the features of X that belong to them.
    struct Pass {
      Packed const& x;
      std::size_t k, depth;
      bool first, last; ///< of those that make up the sums
    };

    template <class W>
    void pass(Tensor<W> const& w, Pass const& p) const noexcept {
      simd::Ahead ahead = fetch_weights(w, p);
      for (std::size_t l = 0; l < task.at.lanes();) {
        std::size_t const together = sharing(w, l);
        load(w, l, noisy(w, l) ? together : 1, p);
        for (std::size_t i = 0; i < together; ++i) {
          multiply(l + i, p, scratch + (noisy(w, l) ? i * block_size : 0), ahead);
        }
        l += together;
      }
    }

    /// Sums of integers.
    void coded_pass(Pass const& p) const noexcept {
      simd::Ahead ahead = fetch_weights(task.w, p, simd::unrolled<A> * simd::Dot<A>::count);
      float* const row_scales = scratch + block_size;
      for (std::size_t r = 0; r < rows; ++r) {
        load_codes<A>(task.w.row(task.begin + first + r), p.k, p.depth, scratch + r * simd::code_stride<A>,
                      row_scales + r * simd::code_groups);
      }
      std::size_t const group = p.k / simd::code_group;
      std::size_t const groups = (p.depth + simd::code_group - 1) / simd::code_group;
      for (std::size_t l = 0; l < task.at.lanes(); ++l) {
        float const* const initial = p.first ? task.bias + l * task.out + first : nullptr;
        for (std::size_t i = 0; i < p.x.panels(); ++i) {
          std::size_t const width = p.x.width(i);
          float const* const codes = task.coded.codes_at(p.x, l, i) + group * task.coded.words * width;
          float const* const scales = task.coded.scales_at(p.x, l, i) + group * width;
          simd::multiply_codes<A>(
              {scratch, row_scales, rows, codes, scales, groups, sums(l, i), width, initial, &ahead},
              width / simd::width<A>);
          if (p.last) {
            finish(l, i);
          }
        }
      }
    }

    template <class W>
    [[nodiscard]] bool noisy(Tensor<W> const& w, std::size_t lane) const noexcept {
      return w.trained() && task.at.points[lane].coefficient != 0.0F;
    }

    /// Points from `lane` on whose blocks of weights are made at once: two of one z, or any number without
    /// noise.
    template <class W>
    [[nodiscard]] std::size_t sharing(Tensor<W> const& w, std::size_t lane) const noexcept {
      std::size_t const lanes = task.at.lanes();
      std::size_t end = lane + 1;
      if (noisy(w, lane)) {
        bool const pair =
            end < lanes && noisy(w, end) && task.at.points[lane].seed == task.at.points[end].seed;
        return pair ? 2 : 1;
      }
      while (end < lanes && !noisy(w, end)) {
        ++end;
      }
      return end - lane;
    }

    /// The block of weights at one point, or at two that share z.
    template <class W>
    void load(Tensor<W> const& w, std::size_t lane, std::size_t together, Pass const& p) const noexcept {
      static_assert(simd::tile_depth == random::block_cols);
      float* const z = scratch + 2 * block_size;
      random::Point const* const points = &task.at.points[lane];
      for (std::size_t r = 0; r < rows; ++r) {
        std::size_t const row = task.begin + first + r;
        float* const out = scratch + r * simd::tile_stride;
        if (!noisy(w, lane)) {
          copy_weights<A>(w.row(row), p.k, p.depth, out);
          continue;
        }
        random::Stream const stream{points->seed, w.key(), false};
        task.at.perturbation.template fill<A>(stream, row, p.k / simd::tile_depth, p.depth, z);
        if (together == 2) {
          perturb<A, 2>(w.row(row), p.k, z, points, p.depth, out);
        } else {
          perturb<A, 1>(w.row(row), p.k, z, points, p.depth, out);
        }
      }
    }

    /// Where the sums of a panel are, and from one output to the next: behind the weights in scratch, or
    /// where a packed result belongs.
    [[nodiscard]] float* sums(std::size_t lane, std::size_t p) const noexcept {
      if (task.packed.data != nullptr) {
        return task.packed.at(lane, p) + first * task.x.width(p);
      }
      std::size_t const before = lane * task.x.padded_rows() + p * task.x.panel;
      return scratch + 2 * block_size + simd::tile_depth + before * simd::block_rows;
    }

    /// Tiles that are needed for panel p.
    [[nodiscard]] std::size_t tiles(std::size_t p) const noexcept {
      std::size_t const most = simd::TileShape<A>::accumulators / (task.x.width(p) / simd::width<A>);
      return (rows + most - 1) / most;
    }

    /// Fetches, while this block is multiplied, `columns` at a time, the next one of the same rows; behind
    /// the last one the first of the rows that this thread is likely to do next.
    template <class W>
    [[nodiscard]] simd::Ahead fetch_weights(Tensor<W> const& w, Pass const& pass,
                                            std::size_t columns = simd::unrolled<A>) const noexcept {
      bool const more = pass.k + simd::tile_depth < w.cols();
      std::size_t const row = more ? first : first + task.threads * task.piece_rows;
      std::size_t const column = more ? pass.k + simd::tile_depth : 0;
      simd::Ahead ahead;
      if (row < task.out) {
        std::size_t steps = 0;
        for (std::size_t p = 0; p < pass.x.panels(); ++p) {
          steps += tiles(p) * (pass.depth / columns) * task.at.lanes();
        }
        ahead.weights = {address_of(w.row(task.begin + row), column), std::min(rows, task.out - row),
                         row_bytes<W>(std::min(simd::tile_depth, w.cols() - column)), row_bytes<W>(w.cols()),
                         steps};
      }
      return ahead;
    }

    /// Fetches the panel that is read behind panel p.
    void fetch_panel(std::size_t lane, std::size_t p, Pass const& pass, simd::Ahead& ahead) const noexcept {
      Packed const& x = pass.x;
      bool const last = p + 1 == x.panels(), done = last && lane + 1 == task.at.lanes();
      std::size_t const after = pass.k + pass.depth;
      std::size_t const column = !done ? pass.k : after < x.cols ? after : 0;
      std::size_t const next = last ? 0 : p + 1, width = x.width(next);
      ahead.panel = reinterpret_cast<char const*>(x.at(done ? 0 : lane + last, next) + column * width);
      ahead.panel_step = width * sizeof(float) * simd::unrolled<A> / tiles(p);
    }

    void multiply(std::size_t lane, Pass const& pass, float const* block, simd::Ahead& ahead) const noexcept {
      float const* const initial = pass.first ? task.bias + lane * task.out + first : nullptr;
      for (std::size_t p = 0; p < pass.x.panels(); ++p) {
        std::size_t const width = pass.x.width(p);
        fetch_panel(lane, p, pass, ahead);
        simd::multiply_block<A>({block, rows, pass.x.at(lane, p) + pass.k * width, pass.depth, sums(lane, p),
                                 width, initial, &ahead},
                                width / simd::width<A>);
        if (pass.last) {
          finish(lane, p); // while the sums are in the first-level cache
        }
      }
    }

    void finish(std::size_t lane, std::size_t p) const noexcept {
      std::size_t const width = task.x.width(p), token = p * task.x.panel;
      float* const from = sums(lane, p);
      simd::activate<A>(task.activation, from, rows * width);
      if (task.packed.data == nullptr) {
        unpack<A>(from, width, rows, std::min(width, task.x.rows - token), task.y.row(lane, token) + first,
                  task.y.stride);
      }
    }
  };
};

} // namespace pocketllm::tensor::kernel

template <class T, class P>
inline constexpr bool pocketllm::simd::is_dispatched<pocketllm::tensor::kernel::Product<T, P>> =
    pocketllm::tensor::is_own_storage<T>&& pocketllm::random::is_own_perturbation<P>;
