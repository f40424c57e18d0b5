// SPDX-License-Identifier: Apache-2.0
// The naive twins of the kernels: loops over elements in double, and z by plain numbers.
#pragma once

#include "tensor/kernel_table.hpp"
#include <pocketllm/random/noise.hpp>
#include <pocketllm/random/philox.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace naive {

using namespace pocketllm;

/// Numbers in (-1, 1) that look random.
inline std::vector<float> numbers(std::size_t count, std::uint64_t seed) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    values[i] = static_cast<float>(static_cast<std::int64_t>(random::split_mix(seed, i)) >> 40) * 0x1p-23F;
  }
  return values;
}

/// A tensor whose data begin `misalign` elements behind an aligned address, borrowed.
template <class T>
tensor::Tensor<T> tensor_of(std::string name, std::vector<std::size_t> shape, std::uint64_t seed,
                            std::size_t misalign = 0) {
  tensor::Tensor<T> w(std::move(name), std::move(shape));
  auto const memory = std::make_shared<std::vector<T>>(w.size() + misalign);
  auto const values = numbers(w.size(), seed);
  for (std::size_t i = 0; i < w.size(); ++i) {
    (*memory)[misalign + i] = from_float<T>(values[i]);
  }
  w.borrow(memory->data() + misalign, memory);
  return w;
}

/// z of a row.
inline std::vector<float> noise(Kind kind, std::uint64_t seed, std::uint64_t tensor, std::size_t row,
                                std::size_t columns) {
  std::vector<float> z(columns);
  if (kind == Kind::gaussian) {
    random::fill_row<simd::scalar>(random::Gaussian{}, {seed, tensor}, row, 0, columns, z.data());
  } else {
    random::fill_row<simd::scalar>(random::Rademacher{}, {seed, tensor}, row, 0, columns, z.data());
  }
  return z;
}

/// W + c z in double, [rows, cols].
template <class T>
std::vector<double> perturbed(tensor::Tensor<T> const& w, Kind kind, random::Point point) {
  std::vector<double> result(w.size());
  bool const noisy = w.trained() && point.coefficient != 0.0F;
  for (std::size_t r = 0; r < w.rows(); ++r) {
    auto const row = noisy ? noise(kind, point.seed, w.key(), r, w.cols()) : std::vector<float>(w.cols());
    for (std::size_t c = 0; c < w.cols(); ++c) {
      double const z = static_cast<double>(row[c]);
      result[r * w.cols() + c] =
          static_cast<double>(to_float(w.row(r)[c])) + static_cast<double>(point.coefficient) * z;
    }
  }
  return result;
}

} // namespace naive
