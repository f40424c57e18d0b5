// SPDX-License-Identifier: Apache-2.0
// What the naive twins of the layers share: numbers, tensors, and the instruction sets to try.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/core/lanes.hpp>
#include <pocketllm/random/noise.hpp>
#include <pocketllm/random/perturbed.hpp>
#include <pocketllm/simd/batch.hpp>
#include <pocketllm/tensor/tensor.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace naive {

using namespace pocketllm;

// Vectors of 1 and 4 floats run wherever a build for more runs; those of 8 and 16 where the build is for
// them.
#if XSIMD_WITH_SSE2
#define POCKETLLM_TEST_WIDTHS simd::scalar, xsimd::sse2, simd::native
#else
#define POCKETLLM_TEST_WIDTHS simd::scalar, simd::native
#endif

/// Numbers in (-scale, scale) that look random.
inline std::vector<float> numbers(std::size_t count, std::uint64_t seed, float scale = 1.0F) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    auto const fraction = static_cast<std::int64_t>(random::split_mix(seed, i)) >> 40;
    values[i] = scale * static_cast<float>(fraction) * 0x1p-23F;
  }
  return values;
}

/// Activations of such numbers, rows `gap` floats apart; what lies between and behind rows is nobody's.
class Activations {
public:
  Activations(std::size_t lanes, std::size_t rows, std::size_t cols, std::size_t gap, std::uint64_t seed,
              float scale = 1.0F)
      : lanes_(lanes), rows_(rows), cols_(cols), stride_(cols + gap),
        memory_(lanes * rows * stride_ + 1, untouched) {
    auto const values = numbers(lanes * rows * cols, seed, scale);
    for (std::size_t r = 0; r < lanes * rows; ++r) {
      std::copy_n(values.data() + r * cols, cols, memory_.data() + r * stride_);
    }
  }

  [[nodiscard]] Lanes<float> view() noexcept { return {memory_.data(), lanes_, rows_, cols_, stride_}; }

  /// The elements without gaps. Throws Error when a gap was written to.
  [[nodiscard]] std::vector<float> values() const {
    std::vector<float> result;
    for (std::size_t i = 0; i < memory_.size(); ++i) {
      if (i % stride_ < cols_ && i + 1 < memory_.size()) {
        result.push_back(memory_[i]);
      } else {
        require(memory_[i] == untouched, "float ", i % stride_, " of a row of ", cols_, " was written");
      }
    }
    return result;
  }

private:
  static constexpr float untouched = 777.0F;
  std::size_t lanes_, rows_, cols_, stride_;
  std::vector<float> memory_;
};

/// A tensor of such numbers.
template <tensor::WeightStorage T>
tensor::Tensor<T> tensor_of(std::string name, std::vector<std::size_t> shape, std::uint64_t seed) {
  tensor::Tensor<T> w(std::move(name), std::move(shape));
  w.allocate();
  auto const values = numbers(w.size(), seed);
  std::transform(values.begin(), values.end(), w.mutable_data(), from_float<T>);
  return w;
}

/// Row `row` of w + c z in double.
template <tensor::WeightStorage T, random::Perturbation P>
std::vector<double> row_at(tensor::Tensor<T> const& w, P const& perturbation, random::Point point,
                           std::size_t row) {
  std::vector<float> z(w.cols());
  random::fill_row<simd::scalar>(perturbation, {point.seed, w.key()}, row, 0, w.cols(), z.data());
  double const c = w.trained() ? static_cast<double>(point.coefficient) : 0.0;
  std::vector<double> values(w.cols());
  for (std::size_t i = 0; i < w.cols(); ++i) {
    values[i] = static_cast<double>(to_float(w.row(row)[i])) + c * static_cast<double>(z[i]);
  }
  return values;
}

/// max |found - expected|, infinite where something is not a number.
inline double largest_difference(std::span<float const> found, std::span<double const> expected) {
  double worst = found.size() == expected.size() ? 0.0 : HUGE_VAL;
  for (std::size_t i = 0; i < std::min(found.size(), expected.size()); ++i) {
    double const difference = std::abs(static_cast<double>(found[i]) - expected[i]);
    worst = difference <= worst || difference > worst ? std::max(worst, difference) : HUGE_VAL;
  }
  return worst;
}

} // namespace naive
