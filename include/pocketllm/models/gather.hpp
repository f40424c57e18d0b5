// SPDX-License-Identifier: Apache-2.0
// Only what an objective needs: chosen rows of activations, and scores for chosen words.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/core/lanes.hpp>
#include <pocketllm/core/runtime.hpp>
#include <pocketllm/layers/rows.hpp>
#include <pocketllm/simd/kernel.hpp>
#include <pocketllm/simd/math.hpp>
#include <pocketllm/tensor/perturbed_row.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

namespace pocketllm::models {

/// Y [lanes, rows.size(), width] = the rows `rows` of X [lanes or 1, tokens, width]. Throws Error for a row
/// that X does not have.
inline void copy_rows(Lanes<float const> x, std::span<std::size_t const> rows, Lanes<float> y) {
  for (std::size_t l = 0; l < y.lanes; ++l) {
    for (std::size_t r = 0; r < rows.size(); ++r) {
      require(rows[r] < x.rows, "token ", rows[r], " is outside the batch of ", x.rows, " tokens");
      std::copy_n(x.row(l, rows[r]), x.cols, y.row(l, r));
    }
  }
}

/// Y [lanes, rows, width] = X [lanes or 1, rows, width]
inline void copy_shared(Lanes<float const> x, Lanes<float> y) {
  for (std::size_t l = 0; l < y.lanes; ++l) {
    for (std::size_t r = 0; r < y.rows; ++r) {
      std::copy_n(x.row(l, r), x.cols, y.row(l, r));
    }
  }
}

namespace kernel {

/// scores[i] = <h, rows + i * stride> + shift[i * shift_stride] for i < count
struct ScoreRow {
  using Signature = void(float const*, std::size_t, float const*, std::size_t, float const*, std::size_t,
                         std::size_t, float*);
  template <class A>
  static void run(float const* h, std::size_t width, float const* rows, std::size_t stride,
                  float const* shift, std::size_t shift_stride, std::size_t count, float* scores) noexcept {
    for (std::size_t i = 0; i < count; ++i) {
      scores[i] = simd::dot<A>(h, rows + i * stride, width) + shift[i * shift_stride];
    }
  }
};

} // namespace kernel
} // namespace pocketllm::models

template <>
inline constexpr bool pocketllm::simd::is_dispatched<pocketllm::models::kernel::ScoreRow> = true;

namespace pocketllm::models {

/// scores[l, r, i] = <H[l, r], table row words[i]> + bias[words[i]], table and bias at point l.
template <class A = simd::native, tensor::WeightStorage T, random::Perturbation P>
void score_selected(Lanes<float const> h, tensor::Tensor<T> const& table, tensor::Tensor<float> const& bias,
                    std::span<std::int32_t const> words, random::Perturbed<P> const& at, Lanes<float> scores,
                    Runtime& runtime) {
  Workspace::Frame const frame(runtime.workspace());
  std::size_t const width = h.cols, lanes = at.lanes();
  std::span<float> const rows = runtime.workspace().take(words.size() * lanes * width);
  std::span<float> const shift = runtime.workspace().take(words.size() * lanes);
  for (std::size_t i = 0; i < words.size(); ++i) {
    std::size_t const word = static_cast<std::size_t>(words[i]);
    require(words[i] >= 0 && word < table.rows(), "word ", words[i], " is outside the vocabulary of ",
            table.rows());
    tensor::perturbed_row<A>(table, at, {word, 0, width}, rows.data() + i * lanes * width, width);
    tensor::perturbed_row<A>(bias, at, {0, word, 1}, shift.data() + i * lanes, 1);
  }
  layers::for_each_row(scores, runtime, [&](std::size_t l, std::size_t r) {
    simd::invoke<A, kernel::ScoreRow>(h.row(l, r), width, rows.data() + l * width, lanes * width,
                                      shift.data() + l, lanes, words.size(), scores.row(l, r));
  });
}

} // namespace pocketllm::models
