// SPDX-License-Identifier: Apache-2.0
// The weight update W <- decay W + sum_i c_i z(s_i) in one sweep: a pure function of the list {(s_i, c_i)},
// so that the same list replays to the same bits on any machine.
#pragma once

#include <pocketllm/core/runtime.hpp>
#include <pocketllm/random/noise.hpp>
#include <pocketllm/random/perturbed.hpp>
#include <pocketllm/tensor/panel.hpp>
#include <pocketllm/tensor/tensor.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace pocketllm::tensor {

namespace detail {

/// Columns that are updated at a time, a multiple of every perturbation's block: panels of weights, noise and
/// their sum stay in the second-level cache.
inline constexpr std::size_t update_depth = 256;

/// The bits for stochastic rounding: sixteen an element, as the bits of a float.
struct RoundingBits {
  static constexpr std::size_t block = 8;
  static constexpr std::string_view name = "rounding";

  template <class A>
  [[gnu::always_inline]] void expand(random::Words<A> const& words, float* out,
                                     std::size_t stride) const noexcept {
    for (std::size_t j = 0; j < 4; ++j) {
      simd::store<A>(out + 2 * j * stride, simd::as_float<A>(words[j] & simd::splat<A>(0xffffU)));
      simd::store<A>(out + (2 * j + 1) * stride, simd::as_float<A>(simd::shift_right<A, 16>(words[j])));
    }
  }
};
static_assert(random::Perturbation<RoundingBits>);

/// The seed of the rounding bits of an update: another output of the generator that made its first seed.
[[nodiscard]] constexpr std::uint64_t rounding_seed(std::span<random::Point const> terms) noexcept {
  return terms.empty() ? 0 : random::split_mix(terms.front().seed, 0);
}

template <class A, WeightStorage T, random::Perturbation P>
struct Update {
  static constexpr std::size_t cols = panel_cols<A>;
  static constexpr std::size_t panel_size = update_depth * cols;
  static_assert(update_depth % P::block == 0, "the block of a perturbation divides 256");

  T* data;
  std::size_t rows, width;
  std::uint64_t key;
  P const& perturbation;
  std::span<random::Point const> terms;
  float decay;

  [[nodiscard]] std::size_t pieces_across() const noexcept {
    return (width + update_depth - 1) / update_depth;
  }
  [[nodiscard]] std::size_t pieces() const noexcept { return (rows + cols - 1) / cols * pieces_across(); }

  /// scratch: three panels
  void operator()(std::size_t piece, float* scratch) const noexcept {
    std::size_t const n = piece / pieces_across() * cols;
    std::size_t const k = piece % pieces_across() * update_depth;
    std::size_t const height = std::min(cols, rows - n);
    std::size_t const depth = std::min(update_depth, width - k);
    float* const sum = scratch;
    float* const noise = scratch + panel_size;
    float* const weights = scratch + 2 * panel_size;
    for (std::size_t i = 0; i < terms.size(); ++i) {
      random::fill_panel<A, cols>(perturbation, {terms[i].seed, key}, n, k, depth, noise);
      simd::f32<A> const c = simd::splat<A>(terms[i].coefficient);
      for (std::size_t j = 0; j < depth * cols; j += simd::width<A>) {
        simd::f32<A> const before = i == 0 ? simd::splat<A>(0.0F) : simd::load<A>(sum + j);
        simd::store<A>(sum + j, simd::fma<A>(c, simd::load<A>(noise + j), before));
      }
    }
    T* const from = data + n * width + k;
    pack_panel<A>(from, width, height, depth, weights);
    simd::f32<A> const keep = simd::splat<A>(decay);
    for (std::size_t j = 0; j < depth * cols; j += simd::width<A>) {
      simd::store<A>(weights + j, simd::fma<A>(keep, simd::load<A>(weights + j), simd::load<A>(sum + j)));
    }
    if constexpr (!std::same_as<T, float>) {
      random::fill_panel<A, cols>(RoundingBits{}, {rounding_seed(terms), key}, n, k, depth, noise);
    }
    unpack_panel<A>(weights, noise, width, height, depth, from);
  }
};

} // namespace detail

/// W <- decay W + sum_i c_i z(s_i) over the points `terms`; nothing for a tensor that is not trained. Each
/// weight is read and written once. 16-bit weights are rounded stochastically with bits that follow from the
/// first seed. The same bits for any number of threads and on any instruction set. Throws std::bad_alloc when
/// borrowed weights can't be copied.
template <class A = simd::native, WeightStorage T, random::Perturbation P>
void update(Tensor<T>& w, P const& perturbation, std::span<random::Point const> terms, float decay,
            Runtime& runtime) {
  if (!w.trained() || terms.empty()) {
    return;
  }
  using Task = detail::Update<A, T, P>;
  Task const task{w.mutable_data(), w.rows(), w.cols(), w.key(), perturbation, terms, decay};
  Workspace::Frame const frame(runtime.workspace());
  std::span<float> const scratch = runtime.workspace().take(runtime.pool().size() * 3 * Task::panel_size);
  constexpr std::size_t run = 4; // pieces a thread takes at a time: some 100 kB of weights
  runtime.pool().parallel_for((task.pieces() + run - 1) / run, [&](std::size_t i, std::size_t worker) {
    for (std::size_t piece = i * run; piece < std::min(task.pieces(), (i + 1) * run); ++piece) {
      task(piece, scratch.data() + worker * 3 * Task::panel_size);
    }
  });
}

} // namespace pocketllm::tensor
