// SPDX-License-Identifier: Apache-2.0
// Weights of 8 and 4 bits read from a file: as they are in it, or quantised from floats row by row.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/io/checkpoint.hpp>
#include <pocketllm/io/convert.hpp>
#include <pocketllm/io/quantized_format.hpp>
#include <pocketllm/tensor/quantize.hpp>
#include <pocketllm/tensor/tensor.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pocketllm::io {

namespace detail {

/// Whether the file's tensor holds codes of T, not floats.
template <tensor::QuantizedStorage T>
[[nodiscard]] bool holds_codes(TensorEntry const& entry) noexcept {
  return entry.type.name == tensor::name_of(tensor::dtype_of<T>);
}

/// Takes codes and scales as they are in the file, copied or left in its map.
template <tensor::QuantizedStorage T>
void take_codes(tensor::Tensor<T>& tensor, Checkpoint::Located const& codes, Checkpoint const& checkpoint,
                bool borrow) {
  using Scale = typename tensor::Tensor<T>::Scale;
  Checkpoint::Located const scales = checkpoint.find(scale_name(codes.entry->name));
  std::string_view const scale_type = tensor::name_of(tensor::dtype_of<Scale>);
  if (!scales || scales.entry->type.name != scale_type || scales.entry->shape != scale_shape(tensor)) {
    fail(tensor_place(codes.file->content.file(), scale_name(codes.entry->name)), ": expected ", scale_type,
         ' ', shape_text(scale_shape(tensor)), " for the codes of ", codes.entry->name, ", found ",
         scales ? concat(scales.entry->type.name, ' ', shape_text(scales.entry->shape))
                : std::string("no such tensor"));
  }
  std::byte const* const code_bytes = codes.entry->bytes.data();
  std::byte const* const scale_bytes = scales.entry->bytes.data();
  if (borrow && reinterpret_cast<std::uintptr_t>(scale_bytes) % alignof(Scale) == 0) {
    tensor.borrow(reinterpret_cast<T const*>(code_bytes), codes.file->map,
                  reinterpret_cast<Scale const*>(scale_bytes), scales.file->map);
    return;
  }
  auto const memory = tensor.allocate();
  std::memcpy(memory.scales, scale_bytes, scales.entry->bytes.size());
  constexpr std::size_t block = 4U << 20; // bytes that may be resident of the map at a time
  for (std::size_t at = 0; at < codes.entry->bytes.size(); at += block) {
    auto const part = codes.entry->bytes.subspan(at, std::min(block, codes.entry->bytes.size() - at));
    std::memcpy(reinterpret_cast<std::byte*>(memory.codes) + at, part.data(), part.size());
    codes.file->map->drop(part);
  }
}

/// Quantises the rows of a file's tensor of floats, one at a time.
template <tensor::FloatStorage From, tensor::QuantizedStorage T>
void quantize_rows(tensor::Tensor<T>& tensor, Checkpoint::Located const& found) {
  using Layout = tensor::QuantizedLayout<T>;
  auto const memory = tensor.allocate();
  std::size_t const cols = tensor.cols(), bytes = cols * sizeof(From);
  std::vector<float> row(cols);
  constexpr std::size_t block = 4U << 20;
  std::size_t done = 0; // bytes that were read and dropped
  for (std::size_t r = 0; r < tensor.rows(); ++r) {
    std::size_t const end = (r + 1) * bytes;
    auto const part = found.entry->bytes.subspan(r * bytes, bytes);
    static_cast<void>(convert_elements<From>(part, row.data())); // into float everything fits
    auto const bad = std::find_if(row.begin(), row.end(), [](float value) {
      return !(std::abs(value) < 8.0F * 65504.0F); // or NaN; 65504 is the largest scale of i4
    });
    if (bad != row.end()) {
      fail(tensor_place(found.file->content.file(), found.entry->name), ": element ",
           r * cols + static_cast<std::size_t>(bad - row.begin()), " is ", *bad,
           ", which cannot be quantised; load the weights as BF16 or F32");
    }
    tensor::quantize_row(row, memory.codes + r * Layout::row_units(cols),
                         memory.scales + r * Layout::row_scales(cols));
    if (end - done >= block || r + 1 == tensor.rows()) {
      found.file->map->drop(found.entry->bytes.subspan(done, end - done));
      done = end;
    }
  }
}

/// Fills a tensor of codes from one of codes, or quantises floats.
template <tensor::QuantizedStorage T>
void fill_quantized(tensor::Tensor<T>& tensor, Checkpoint::Located const& found, Checkpoint const& checkpoint,
                    bool borrow) {
  if (holds_codes<T>(*found.entry)) {
    return take_codes(tensor, found, checkpoint, borrow);
  }
  if (!found.entry->type.weight) {
    fail(tensor_place(found.file->content.file(), found.entry->name), ": found ", found.entry->type.name,
         ", expected ", weight_dtypes, " to quantise, or codes of type ",
         tensor::name_of(tensor::dtype_of<T>));
  }
  switch (*found.entry->type.weight) {
  case tensor::DType::f16:
    return quantize_rows<f16>(tensor, found);
  case tensor::DType::bf16:
    return quantize_rows<bf16>(tensor, found);
  default:
    return quantize_rows<float>(tensor, found);
  }
}

} // namespace detail
} // namespace pocketllm::io
