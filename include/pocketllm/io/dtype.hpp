// SPDX-License-Identifier: Apache-2.0
// The element types that a safetensors file may hold, and those among them that can be weights here.
#pragma once

#include <pocketllm/tensor/tensor.hpp>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pocketllm::io {

/// An element type by its name in the file. Of a file's tensors only those that can be weights are ever read;
/// the others (position ids, masks) have to be known to check the file's layout.
struct FileDType {
  std::string_view name;               ///< as in the header: "BF16"
  std::uint64_t bits;                  ///< of one element; 4 and 6 are packed without gaps
  std::optional<tensor::DType> weight; ///< absent when elements of this type cannot be loaded as weights
};

/// All types of the format (safetensors 0.8).
inline constexpr std::array<FileDType, 22> file_dtypes{{
    {"F32", 32, tensor::DType::f32},
    {"F16", 16, tensor::DType::f16},
    {"BF16", 16, tensor::DType::bf16},
    {"BOOL", 8, {}},
    {"U8", 8, {}},
    {"I8", 8, {}},
    {"U16", 16, {}},
    {"I16", 16, {}},
    {"U32", 32, {}},
    {"I32", 32, {}},
    {"U64", 64, {}},
    {"I64", 64, {}},
    {"F64", 64, {}},
    {"C64", 64, {}}, // two 32-bit floats
    {"F8_E4M3", 8, {}},
    {"F8_E5M2", 8, {}},
    {"F8_E8M0", 8, {}},
    {"F8_E4M3FNUZ", 8, {}},
    {"F8_E5M2FNUZ", 8, {}},
    {"F6_E2M3", 6, {}},
    {"F6_E3M2", 6, {}},
    {"F4", 4, {}},
}};

/// What an error says when a tensor cannot be a weight.
inline constexpr std::string_view weight_dtypes = "F32, F16 or BF16";

/// The type of that name, or null when the format has none.
[[nodiscard]] constexpr FileDType const* find_dtype(std::string_view name) noexcept {
  for (FileDType const& type : file_dtypes) {
    if (type.name == name) {
      return &type;
    }
  }
  return nullptr;
}

/// The names of all types of the format, for messages.
[[nodiscard]] inline std::string list_dtypes() {
  std::string list;
  for (FileDType const& type : file_dtypes) {
    list += list.empty() ? "" : " ";
    list += type.name;
  }
  return list;
}

} // namespace pocketllm::io
