// SPDX-License-Identifier: Apache-2.0
// A tensor of a file copied into weights of any storage type, block by block.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/core/float16.hpp>
#include <pocketllm/io/safetensors_header.hpp>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstring>
#include <span>
#include <string_view>

namespace pocketllm::io {

namespace detail {

/// Converts the elements `from`, unaligned, to `to`; rounds to nearest even. Returns the index of the first
/// one that is finite but too large for a finite `To`, or their number.
template <tensor::FloatStorage From, tensor::FloatStorage To>
[[nodiscard]] std::size_t convert_elements(std::span<std::byte const> from, To* to) noexcept {
  std::size_t const count = from.size() / sizeof(From);
  for (std::size_t i = 0; i < count; ++i) {
    From stored;
    std::memcpy(&stored, from.data() + i * sizeof stored, sizeof stored);
    float const value = to_float(stored);
    to[i] = from_float<To>(value);
    if (std::isinf(to_float(to[i])) && !std::isinf(value)) [[unlikely]] {
      return i;
    }
  }
  return count;
}

template <tensor::FloatStorage From, tensor::FloatStorage To, class Done>
void copy_elements(TensorEntry const& entry, std::string_view file, To* to, Done&& done) {
  constexpr std::size_t block = 4U << 20; // bytes: what may be resident of a map before `done` drops it
  for (std::size_t at = 0; at < entry.bytes.size(); at += block) {
    std::span<std::byte const> const part = entry.bytes.subspan(at, std::min(block, entry.bytes.size() - at));
    std::size_t const first = at / sizeof(From);
    if constexpr (std::same_as<From, To>) {
      std::memcpy(to + first, part.data(), part.size());
    } else if (std::size_t const i = convert_elements<From>(part, to + first);
               i != part.size() / sizeof(From)) {
      From stored;
      std::memcpy(&stored, part.data() + i * sizeof stored, sizeof stored);
      fail(tensor_place(file, entry.name), ": element ", first + i, " is ", to_float(stored),
           ", too large for ", tensor::name_of(tensor::dtype_of<To>), "; load the weights as BF16 or F32");
    }
    done(part);
  }
}

} // namespace detail

/// Throws Error that names `file` and the tensor unless its elements are floats that can be weights.
inline void require_floats(TensorEntry const& entry, std::string_view file) {
  if (!entry.type.weight) {
    bool const codes = entry.type.name == "I8" || entry.type.name == "U8";
    fail(tensor_place(file, entry.name), ": found ", entry.type.name, ", expected ", weight_dtypes,
         codes ? "; codes of 8 or 4 bits are a base that is not trained: load it as i8 or i4" : "");
  }
}

/// Copies the elements of `entry` to `to`, which has room for them, rounded to nearest even where `To` is
/// narrower. done(bytes) is called behind each block of a few megabytes that was copied. Throws Error that
/// names `file` and the tensor when its type cannot be a weight or an element does not fit into `To`.
template <tensor::FloatStorage To, class Done>
void copy_weights(TensorEntry const& entry, std::string_view file, To* to, Done&& done) {
  require_floats(entry, file);
  switch (*entry.type.weight) {
  case tensor::DType::f16:
    return detail::copy_elements<f16>(entry, file, to, done);
  case tensor::DType::bf16:
    return detail::copy_elements<bf16>(entry, file, to, done);
  default:
    return detail::copy_elements<float>(entry, file, to, done);
  }
}

} // namespace pocketllm::io
