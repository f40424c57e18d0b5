// SPDX-License-Identifier: Apache-2.0
// How the log-probability of chosen words changes with what the head sees. Scores of words are linear in
// that, so a forward pass has all that the slope is made of: nothing is kept for it, and no layer is gone
// back through.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/core/lanes.hpp>
#include <pocketllm/core/runtime.hpp>
#include <pocketllm/layers/rows.hpp>
#include <pocketllm/models/vocabulary_head.hpp>
#include <pocketllm/tensor/perturbed_row.hpp>
#include <pocketllm/tensor/product.hpp>
#include <pocketllm/tensor/tensor.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace pocketllm::models {

namespace detail {

/// The `count` rows of the table from `first` on, as columns: [width, count] in the workspace.
template <class A, tensor::WeightStorage T, random::Perturbation P>
[[nodiscard]] tensor::Tensor<float> transposed_rows(tensor::Tensor<T> const& table, std::size_t first,
                                                    std::size_t count, random::Perturbed<P> const& at,
                                                    Runtime& runtime) {
  constexpr std::size_t group = 16; // rows: a cache line of what is written
  std::size_t const width = table.cols();
  float* const out = runtime.workspace().take(width * count).data();
  Workspace::Frame const frame(runtime.workspace());
  std::span<float> const rows = runtime.workspace().take(runtime.pool().size() * group * width);
  runtime.pool().parallel_for((count + group - 1) / group, [&](std::size_t i, std::size_t thread) {
    float* const own = rows.data() + thread * group * width;
    std::size_t const begin = i * group, some = std::min(group, count - begin);
    for (std::size_t r = 0; r < some; ++r) {
      tensor::perturbed_row<A>(table, at, {first + begin + r, 0, width}, own + r * width, width);
    }
    for (std::size_t k = 0; k < width; ++k) {
      for (std::size_t r = 0; r < some; ++r) {
        out[k * count + begin + r] = own[r * width + k];
      }
    }
  });
  tensor::Tensor<float> block("", {width, count});
  block.borrow(out, nullptr);
  return block;
}

/// Adds scores of a block of words to the running sum of each row and leaves exp(score - top) in their place;
/// what a row has of slopes so far is scaled as its sum is.
template <class A>
void add_scores(Lanes<float> scores, Lanes<float> slopes, std::span<RunningSum> sums, Runtime& runtime) {
  layers::for_each_row(scores, runtime, [&](std::size_t, std::size_t r) {
    float const before = sums[r].top;
    simd::invoke<A, kernel::AddScores>(scores.row(0, r), scores.cols, sums[r]);
    float const scale = std::exp(before - sums[r].top); // 0 for the first block
    std::transform(slopes.row(0, r), slopes.row(0, r) + slopes.cols, slopes.row(0, r),
                   [=](float v) { return v * scale; });
  });
}

/// Slopes += S W of a block of words: S [1, rows, count], W the `count` rows of the table from `first` on.
template <class A, tensor::WeightStorage T, random::Perturbation P>
void add_words(Lanes<float const> s, tensor::Tensor<T> const& table, std::size_t first,
               random::Perturbed<P> const& at, Lanes<float> slopes, Runtime& runtime) {
  Workspace::Frame const frame(runtime.workspace());
  auto const block = transposed_rows<A>(table, first, s.cols, at, runtime);
  Lanes<float> const part = take_lanes(runtime.workspace(), 1, slopes.rows, slopes.cols);
  tensor::product<A>(s, block, nullptr, at, part, runtime);
  layers::for_each_row(part, runtime, [&](std::size_t, std::size_t r) {
    std::transform(part.row(0, r), part.row(0, r) + part.cols, slopes.row(0, r), slopes.row(0, r),
                   [](float a, float b) { return a + b; });
  });
}

/// Slopes = slopes / sum - W_id
template <class A, tensor::WeightStorage T, random::Perturbation P>
void subtract_chosen(tensor::Tensor<T> const& table, std::span<std::int32_t const> ids,
                     std::span<RunningSum const> sums, random::Perturbed<P> const& at, Lanes<float> slopes,
                     Runtime& runtime) {
  Workspace::Frame const frame(runtime.workspace());
  Lanes<float> const words = take_lanes(runtime.workspace(), 1, slopes.rows, slopes.cols);
  layers::for_each_row(words, runtime, [&](std::size_t, std::size_t r) {
    std::size_t const word = static_cast<std::size_t>(ids[r]);
    tensor::perturbed_row<A>(table, at, {word, 0, words.cols}, words.row(0, r), words.cols);
    float const scale = static_cast<float>(1.0 / sums[r].sum);
    std::transform(slopes.row(0, r), slopes.row(0, r) + slopes.cols, words.row(0, r), slopes.row(0, r),
                   [=](float mean, float own) { return mean * scale - own; });
  });
}

} // namespace detail

/// The slopes d/dh of -ln softmax(h W^T)[id] for each row h of H [1, rows, width] and the id of that row:
/// sum_w p_w W_w - W_id, into `slopes` [1, rows, width]. `table` W [vocabulary, width]. Gives the sum over
/// rows of -ln softmax(h W^T)[id]. The scores of all words are never held at once: what each block of words
/// adds is scaled as the running sum is (Milakov and Gimelshein, arXiv 1805.02867). The bits depend on no
/// number of threads. Throws Error for shapes that do not fit and for an id outside the table.
template <class A = simd::native, tensor::WeightStorage T>
double vocabulary_slopes(Lanes<float const> h, tensor::Tensor<T> const& table,
                         std::span<std::int32_t const> ids, Lanes<float> slopes, Runtime& runtime) {
  auto const at = random::unperturbed();
  require(h.lanes == 1 && h.cols == table.cols() && ids.size() == h.rows && slopes.lanes == 1 &&
              slopes.rows == h.rows && slopes.cols == h.cols,
          table.name(), ": slopes [", slopes.rows, ", ", slopes.cols, "] of ", ids.size(), " words in H [",
          h.rows, ", ", h.cols, "]");
  for (std::int32_t const id : ids) {
    require(id >= 0 && static_cast<std::size_t>(id) < table.rows(), "word ", id,
            " is outside the vocabulary of ", table.rows());
  }
  layers::for_each_row(slopes, runtime,
                       [&](std::size_t, std::size_t r) { std::fill_n(slopes.row(0, r), slopes.cols, 0.0F); });
  std::vector<RunningSum> sums(h.rows);
  std::vector<double> chosen(h.rows); // scores of the ids
  for_each_block_of_words<A>(h, table, at, runtime, [&](std::size_t first, Lanes<float> scores) {
    for (std::size_t r = 0; r < h.rows; ++r) {
      if (std::size_t const word = static_cast<std::size_t>(ids[r]) - first;
          word < scores.cols) { // not before
        chosen[r] = static_cast<double>(scores.row(0, r)[word]);
      }
    }
    detail::add_scores<A>(scores, slopes, sums, runtime);
    detail::add_words<A>(Lanes<float const>(scores), table, first, at, slopes, runtime);
  });
  detail::subtract_chosen<A>(table, ids, std::span<RunningSum const>(sums), at, slopes, runtime);
  double loss = 0.0;
  for (std::size_t r = 0; r < h.rows; ++r) {
    loss += sums[r].log() - chosen[r];
  }
  return loss;
}

} // namespace pocketllm::models
