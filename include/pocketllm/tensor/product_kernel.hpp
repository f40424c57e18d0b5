// SPDX-License-Identifier: Apache-2.0
// What one thread does for the perturbed product: some rows of W, perturbed, times all panels of X.
#pragma once

#include <pocketllm/core/lanes.hpp>
#include <pocketllm/random/perturbed.hpp>
#include <pocketllm/simd/activation.hpp>
#include <pocketllm/simd/convert.hpp>
#include <pocketllm/simd/tile.hpp>
#include <pocketllm/simd/transpose.hpp>
#include <pocketllm/tensor/packed.hpp>
#include <pocketllm/tensor/part.hpp>
#include <pocketllm/tensor/tensor.hpp>

#include <algorithm>
#include <array>
#include <cstddef>

namespace pocketllm::tensor::kernel {

/// Floats of a block of weights as a tile reads them.
inline constexpr std::size_t block_size = simd::block_rows * simd::tile_stride;

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

/// out[i * block_size] = w + c_i z over `count` columns, at `Points` points.
template <class A, std::size_t Points, class T>
void perturb(T const* w, float const* z, random::Point const* points, std::size_t count,
             float* out) noexcept {
  using V = simd::f32<A>;
  std::array<V, Points> c;
  for (std::size_t i = 0; i < Points; ++i) {
    c[i] = simd::splat<A>(points[i].coefficient);
  }
  auto const write = [&](V base, std::size_t at) {
    V const noise = simd::load<A>(z + at);
    for (std::size_t i = 0; i < Points; ++i) {
      simd::store<A>(out + i * block_size + at, simd::fma<A>(c[i], noise, base));
    }
  };
  std::size_t at = 0;
  for (; at + simd::width<A> <= count; at += simd::width<A>) {
    write(simd::load_as_float<A>(w + at), at);
  }
  if (at < count) { // rows of a block have room for whole vectors
    write(load_part<A>(w + at, count - at), at);
  }
}

/// out = w over `count` columns.
template <class A, class T>
void copy_weights(T const* w, std::size_t count, float* out) noexcept {
  std::size_t i = 0;
  for (; i + simd::width<A> <= count; i += simd::width<A>) {
    simd::store<A>(out + i, simd::load_as_float<A>(w + i));
  }
  if (i < count) {
    simd::store<A>(out + i, load_part<A>(w + i, count - i));
  }
}

/// y[t * stride + n] = sums[n * width + t] for n < outputs and t < tokens.
template <class A>
void unpack(float const* sums, std::size_t width, std::size_t outputs, std::size_t tokens, float* y,
            std::size_t stride) noexcept {
  constexpr std::size_t v = simd::width<A>;
  for (std::size_t t = 0; t < tokens; t += v) { // few rows of Y at a time: each lies in another page
    for (std::size_t n = 0; n < outputs; n += v) {
      std::size_t const across = std::min(v, outputs - n);
      simd::Square<A> block;
      for (std::size_t i = 0; i < v; ++i) {
        block[i] = simd::load<A>(sums + (n + std::min(i, across - 1)) * width + t);
      }
      simd::transpose<A>(block);
      for (std::size_t i = 0; i < std::min(v, tokens - t); ++i) {
        float* const to = y + (t + i) * stride + n;
        if (across == v) {
          simd::store<A>(to, block[i]);
        } else {
          store_part<A>(to, block[i], across);
        }
      }
    }
  }
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
      random::Perturbed<P> const& at = task.at;
      for (std::size_t k = 0; k < task.w.cols(); k += simd::tile_depth) {
        std::size_t const depth = std::min(simd::tile_depth, task.w.cols() - k);
        simd::Ahead ahead = fetch_weights(k, depth);
        for (std::size_t l = 0; l < at.lanes();) {
          std::size_t const together =
              l + 1 < at.lanes() && noisy(l) && noisy(l + 1) && at.points[l].seed == at.points[l + 1].seed
                  ? 2
                  : 1;
          load(l, together, k, depth);
          for (std::size_t i = 0; i < together; ++i) {
            multiply(l + i, k, depth, scratch + i * block_size, ahead);
          }
          l += together;
        }
      }
    }

  private:
    [[nodiscard]] bool noisy(std::size_t lane) const noexcept {
      return task.w.trained() && task.at.points[lane].coefficient != 0.0F;
    }

    /// The block of weights at one point, or at two that share z.
    void load(std::size_t lane, std::size_t together, std::size_t k, std::size_t depth) const noexcept {
      static_assert(simd::tile_depth == random::block_cols);
      float* const z = scratch + 2 * block_size;
      random::Point const* const points = &task.at.points[lane];
      for (std::size_t r = 0; r < rows; ++r) {
        T const* const w = task.w.row(task.begin + first + r) + k;
        float* const out = scratch + r * simd::tile_stride;
        if (!noisy(lane)) {
          copy_weights<A>(w, depth, out);
          continue;
        }
        random::Stream const stream{points->seed, task.w.key()};
        task.at.perturbation.template fill<A>(stream, task.begin + first + r, k / simd::tile_depth, depth, z);
        if (together == 2) {
          perturb<A, 2>(w, z, points, depth, out);
        } else {
          perturb<A, 1>(w, z, points, depth, out);
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

    /// Fetches, while this block is multiplied, the next one of the same rows; behind the last one the first
    /// of the rows that this thread is likely to do next.
    [[nodiscard]] simd::Ahead fetch_weights(std::size_t k, std::size_t depth) const noexcept {
      bool const more = k + simd::tile_depth < task.w.cols();
      std::size_t const row = more ? first : first + task.threads * task.piece_rows;
      std::size_t const column = more ? k + simd::tile_depth : 0;
      simd::Ahead ahead;
      if (row < task.out) {
        std::size_t steps = 0;
        for (std::size_t p = 0; p < task.x.panels(); ++p) {
          steps += tiles(p) * (depth / simd::unrolled) * task.at.lanes();
        }
        ahead.weights = {task.w.row(task.begin + row) + column, std::min(rows, task.out - row),
                         std::min(simd::tile_depth, task.w.cols() - column) * sizeof(T),
                         task.w.cols() * sizeof(T), steps};
      }
      return ahead;
    }

    /// Fetches the panel that is read behind panel p.
    void fetch_panel(std::size_t lane, std::size_t p, std::size_t k, std::size_t depth,
                     simd::Ahead& ahead) const noexcept {
      bool const last = p + 1 == task.x.panels(), done = last && lane + 1 == task.at.lanes();
      std::size_t const column = !done ? k : k + depth < task.w.cols() ? k + depth : 0;
      std::size_t const next = last ? 0 : p + 1, width = task.x.width(next);
      ahead.panel = reinterpret_cast<char const*>(task.x.at(done ? 0 : lane + last, next) + column * width);
      ahead.panel_step = width * sizeof(float) * simd::unrolled / tiles(p);
    }

    void multiply(std::size_t lane, std::size_t k, std::size_t depth, float const* block,
                  simd::Ahead& ahead) const noexcept {
      float const* const initial = k == 0 ? task.bias + lane * task.out + first : nullptr;
      for (std::size_t p = 0; p < task.x.panels(); ++p) {
        std::size_t const width = task.x.width(p);
        fetch_panel(lane, p, k, depth, ahead);
        simd::multiply_block<A>(
            {block, rows, task.x.at(lane, p) + k * width, depth, sums(lane, p), width, initial, &ahead},
            width / simd::width<A>);
        if (k + depth == task.w.cols()) {
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
