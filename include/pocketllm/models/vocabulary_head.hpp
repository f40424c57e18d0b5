// SPDX-License-Identifier: Apache-2.0
// Log-probabilities of chosen words, ln softmax(H W^T), without ever holding the scores of all words: the
// vocabulary passes by in blocks, of which a running maximum and sum remain (Milakov and Gimelshein, arXiv
// 1805.02867).
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/core/lanes.hpp>
#include <pocketllm/core/runtime.hpp>
#include <pocketllm/layers/rows.hpp>
#include <pocketllm/models/causal_batch.hpp>
#include <pocketllm/simd/kernel.hpp>
#include <pocketllm/simd/math.hpp>
#include <pocketllm/tensor/product.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace pocketllm::models {

/// The sum of exp(score - top) over the scores seen so far, and the largest of them.
struct RunningSum {
  float top = -std::numeric_limits<float>::infinity(); ///< the largest score; minus infinity before the first
  double sum = 0.0;                                    ///< of exp(score - top)

  /// ln of the sum of exp(score)
  [[nodiscard]] double log() const noexcept { return static_cast<double>(top) + std::log(sum); }
};

namespace kernel {

/// Adds `count` scores, which are overwritten, to a running sum.
struct AddScores {
  using Signature = void(float*, std::size_t, RunningSum&);
  template <class A>
  static void run(float* scores, std::size_t count, RunningSum& running) noexcept {
    float const top = std::max(running.top, largest<A>(scores, count));
    simd::f32<A> const shift = simd::splat<A>(top);
    simd::transform<A>(scores, count, [=](simd::f32<A> v) { return simd::exp<A>(v - shift); });
    float const sum = simd::reduce<A>(scores, count, [](auto v, auto part) { return part + v; });
    double const before =
        running.sum == 0.0
            ? 0.0
            : running.sum * std::exp(static_cast<double>(running.top) - static_cast<double>(top));
    running = {top, before + static_cast<double>(sum)};
  }

private:
  template <class A>
  [[nodiscard]] static float largest(float const* x, std::size_t count) noexcept {
    simd::f32<A> top = simd::splat<A>(x[0]);
    std::size_t i = 0;
    for (; i + simd::width<A> <= count; i += simd::width<A>) {
      top = simd::max<A>(top, simd::load<A>(x + i));
    }
    std::array<float, simd::width<A>> part;
    simd::store<A>(part.data(), top);
    float const whole = *std::max_element(part.begin(), part.end());
    return std::max(whole, *std::max_element(x + std::min(i, count - 1), x + count));
  }
};

} // namespace kernel
} // namespace pocketllm::models

template <>
inline constexpr bool pocketllm::simd::is_dispatched<pocketllm::models::kernel::AddScores> = true;

namespace pocketllm::models {

/// Calls f(first, scores) for one block of words after the other, with the scores H W^T [lanes, rows, count]
/// of the words from number `first` on; they are f's to overwrite. H [lanes, rows, width], `table`
/// [vocabulary, width] at the points `at`.
template <class A, tensor::WeightStorage T, random::Perturbation P, class F>
void for_each_block_of_words(Lanes<float const> h, tensor::Tensor<T> const& table,
                             random::Perturbed<P> const& at, Runtime& runtime, F&& f) {
  constexpr std::size_t block = 1024; // some MB of scores for 1,000 rows, and a full load for 8 threads
  Workspace::Frame const frame(runtime.workspace());
  tensor::Packed const packed = tensor::pack<A>(h, runtime);
  for (std::size_t first = 0; first < table.rows(); first += block) {
    Workspace::Frame const inner(runtime.workspace());
    std::size_t const count = std::min(block, table.rows() - first);
    Lanes<float> const scores = take_lanes(runtime.workspace(), h.lanes, h.rows, count);
    tensor::products<A>(packed,
                        {tensor::Factor<T>{table, nullptr, scores, {}, simd::Activation::none, first, count}},
                        at, runtime);
    f(first, scores);
  }
}

/// For each target, in their order, ln softmax(H W^T) of its id at its row: [lanes, targets, 1] in `out`. Row
/// i of H [lanes, rows.size(), width] is the row rows[i], ascending, that the targets speak of. `table`
/// [vocabulary, width] at the points `at`. The bits depend on no number of threads. Throws Error for an id
/// outside the table or a row that is not among `rows`.
template <class A = simd::native, tensor::WeightStorage T, random::Perturbation P>
void log_probabilities(Lanes<float const> h, std::span<std::size_t const> rows,
                       tensor::Tensor<T> const& table, std::span<Target const> targets,
                       random::Perturbed<P> const& at, Lanes<float> out, Runtime& runtime) {
  std::vector<std::size_t> places; // of the targets' rows in H
  for (Target const& target : targets) {
    auto const found = std::lower_bound(rows.begin(), rows.end(), target.row);
    require(found != rows.end() && *found == target.row, "token ", target.row, " was not computed");
    require(target.id >= 0 && static_cast<std::size_t>(target.id) < table.rows(), "word ", target.id,
            " is outside the vocabulary of ", table.rows());
    places.push_back(static_cast<std::size_t>(found - rows.begin()));
  }
  std::vector<RunningSum> sums(h.lanes * h.rows);
  for_each_block_of_words<A>(h, table, at, runtime, [&](std::size_t first, Lanes<float> scores) {
    for (std::size_t i = 0; i < targets.size(); ++i) {
      std::size_t const word = static_cast<std::size_t>(targets[i].id);
      for (std::size_t l = 0; l < h.lanes && word - first < scores.cols;
           ++l) { // unsigned: also word >= first
        *out.row(l, i) = scores.row(l, places[i])[word - first];
      }
    }
    layers::for_each_row(scores, runtime, [&](std::size_t l, std::size_t r) {
      simd::invoke<A, kernel::AddScores>(scores.row(l, r), scores.cols, sums[l * h.rows + r]);
    });
  });
  for (std::size_t l = 0; l < h.lanes; ++l) {
    for (std::size_t i = 0; i < targets.size(); ++i) {
      float& value = *out.row(l, i);
      value = static_cast<float>(static_cast<double>(value) - sums[l * h.rows + places[i]].log());
    }
  }
}

/// The id of the word with the highest score in each row of H [lanes, rows, width], lane after lane: [lanes *
/// rows]. Of equal scores the first counts as higher, as for choose_token (models/sampling.hpp).
template <class A = simd::native, tensor::WeightStorage T, random::Perturbation P>
[[nodiscard]] std::vector<std::int32_t> likeliest_words(Lanes<float const> h, tensor::Tensor<T> const& table,
                                                        random::Perturbed<P> const& at, Runtime& runtime) {
  std::vector<std::int32_t> ids(h.lanes * h.rows);
  std::vector<float> highest(ids.size(), -std::numeric_limits<float>::infinity());
  for_each_block_of_words<A>(h, table, at, runtime, [&](std::size_t first, Lanes<float> scores) {
    layers::for_each_row(scores, runtime, [&](std::size_t l, std::size_t r) {
      float const* const row = scores.row(l, r);
      float const* const top = std::max_element(row, row + scores.cols);
      if (std::size_t const i = l * h.rows + r; *top > highest[i]) {
        highest[i] = *top;
        ids[i] = static_cast<std::int32_t>(first + static_cast<std::size_t>(top - row));
      }
    });
  });
  return ids;
}

} // namespace pocketllm::models
