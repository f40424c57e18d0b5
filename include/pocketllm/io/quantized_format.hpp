// SPDX-License-Identifier: Apache-2.0
// Weights of 8 and 4 bits in safetensors files. Codes of 8 bits are a tensor I8 [rows, cols] under the
// weight's name, codes of 4 bits a tensor U8 [rows, bytes of a row]; the scales are F32 [rows] and F16 [rows,
// groups] under the name with "_scale" behind it. Bytes and scales are as in memory (core/quantized.hpp).
#pragma once

#include <pocketllm/tensor/tensor.hpp>

#include <concepts>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace pocketllm::io {

/// The tensor of a file that holds the scales of the codes called `name`.
[[nodiscard]] inline std::string scale_name(std::string_view name) { return std::string(name) + "_scale"; }

/// The shape of the codes in a file: [rows, codes or bytes of a row].
template <tensor::QuantizedStorage T>
[[nodiscard]] std::vector<std::size_t> code_shape(tensor::Tensor<T> const& tensor) {
  return {tensor.rows(), tensor::QuantizedLayout<T>::row_units(tensor.cols())};
}
/// The shape of the scales in a file: [rows] for 8 bits, [rows, groups] for 4.
template <tensor::QuantizedStorage T>
[[nodiscard]] std::vector<std::size_t> scale_shape(tensor::Tensor<T> const& tensor) {
  std::size_t const across = tensor::QuantizedLayout<T>::row_scales(tensor.cols());
  return std::same_as<T, i8> ? std::vector{tensor.rows()} : std::vector{tensor.rows(), across};
}

} // namespace pocketllm::io
