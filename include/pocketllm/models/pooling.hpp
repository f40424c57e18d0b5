// SPDX-License-Identifier: Apache-2.0
// One vector for a whole sequence, made of the hidden states of its tokens.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/core/lanes.hpp>
#include <pocketllm/core/runtime.hpp>
#include <pocketllm/layers/rows.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace pocketllm::models {

/// The first token's state through the pooler (dense, tanh), as BERT was made for; or the mean over all
/// tokens, as sentence encoders have it.
enum class Pooling : std::uint8_t { first_token, mean };

/// The key of config.json under which we write how a classifier pools where that is not transformers' way.
inline constexpr char const* pooling_key = "pocketllm_pooling";

/// "cls" or "mean". Throws Error otherwise.
[[nodiscard]] inline Pooling parse_pooling(std::string_view name) {
  require(name == "cls" || name == "mean", "pooling \"", name, "\" is not known; use cls or mean");
  return name == "cls" ? Pooling::first_token : Pooling::mean;
}

/// Y [lanes, sequences, width]: the mean of each sequence's rows of X [lanes, rows, width]. Sequence i has
/// the rows offsets[i] to offsets[i + 1]. A sum has the order of its tokens, whatever the number of threads.
inline void mean_rows(Lanes<float const> x, std::span<std::size_t const> offsets, Lanes<float> y,
                      Runtime& runtime) {
  layers::for_each_row(y, runtime, [&](std::size_t lane, std::size_t s) {
    float* const sum = y.row(lane, s);
    std::fill_n(sum, y.cols, 0.0F);
    for (std::size_t r = offsets[s]; r < offsets[s + 1]; ++r) {
      std::transform(sum, sum + y.cols, x.row(lane, r), sum, [](float a, float b) { return a + b; });
    }
    float const share = 1.0F / static_cast<float>(offsets[s + 1] - offsets[s]);
    std::transform(sum, sum + y.cols, sum, [share](float v) { return v * share; });
  });
}

/// Scales every row of X to length 1; rows of zeros stay. With the floor of PyTorch's normalize.
inline void normalize_rows(Lanes<float> x, Runtime& runtime) {
  layers::for_each_row(x, runtime, [&](std::size_t lane, std::size_t r) {
    float* const row = x.row(lane, r);
    double squares = 0.0;
    for (std::size_t i = 0; i < x.cols; ++i) {
      squares += static_cast<double>(row[i]) * static_cast<double>(row[i]);
    }
    float const scale = static_cast<float>(1.0 / std::max(std::sqrt(squares), 1e-12));
    std::transform(row, row + x.cols, row, [scale](float v) { return v * scale; });
  });
}

} // namespace pocketllm::models
