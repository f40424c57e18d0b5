// SPDX-License-Identifier: Apache-2.0
// What the elements of a weight may be stored as.
#pragma once

#include <pocketllm/core/float16.hpp>
#include <pocketllm/core/quantized.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace pocketllm::tensor {

/// The storage types of the library itself.
enum class DType : std::uint8_t { f32, f16, bf16, i8, i4 };

/// Elements that are numbers by themselves, and can be trained: trivially copyable, convertible to and from
/// float.
template <class T>
concept FloatStorage = requires(T value, float x) {
  { to_float(value) } -> std::same_as<float>;
  { from_float<T>(x) } -> std::same_as<T>;
};

static_assert(FloatStorage<float> && FloatStorage<f16> && FloatStorage<bf16>);
static_assert(!FloatStorage<std::string> && !FloatStorage<i8>);

/// How the rows of a matrix of codes are laid out: units of T and scales of a row.
template <class T>
struct QuantizedLayout {};
/// Codes of 8 bits: a scale a row.
template <>
struct QuantizedLayout<i8> {
  using Scale = float; ///< of a whole row
  /// Codes of a row: one for each element.
  [[nodiscard]] static constexpr std::size_t row_units(std::size_t cols) noexcept { return cols; }
  /// Scales of a row, however long it is.
  [[nodiscard]] static constexpr std::size_t row_scales(std::size_t) noexcept { return 1; }
};
/// Two codes a byte, and a scale for each group.
template <>
struct QuantizedLayout<i4> {
  using Scale = f16;                       ///< of a group
  static constexpr std::size_t group = 32; ///< elements that share a scale; the last group of a row is padded
  /// Bytes of a row: 16 for each group, begun or whole.
  [[nodiscard]] static constexpr std::size_t row_units(std::size_t cols) noexcept {
    return row_scales(cols) * (group / 2);
  }
  /// Scales of a row: one for each group, begun or whole.
  [[nodiscard]] static constexpr std::size_t row_scales(std::size_t cols) noexcept {
    return (cols + group - 1) / group;
  }
};

/// Codes with scales, for weights that are read only: frozen bases under an adapter, and inference.
template <class T>
concept QuantizedStorage = requires {
  typename QuantizedLayout<T>::Scale;
};

static_assert(QuantizedStorage<i8> && QuantizedStorage<i4>);
static_assert(!QuantizedStorage<float>);

/// Where a row of such a matrix is.
template <QuantizedStorage T>
struct QuantizedRow {
  T const* codes = nullptr;                                   ///< QuantizedLayout<T>::row_units of them
  typename QuantizedLayout<T>::Scale const* scales = nullptr; ///< QuantizedLayout<T>::row_scales of them
};

/// What a weight may be stored as.
template <class T>
concept WeightStorage = FloatStorage<T> || QuantizedStorage<T>;

static_assert(WeightStorage<float> && WeightStorage<f16> && WeightStorage<i8>);
static_assert(!WeightStorage<std::string>);

/// The storage of a model's tables when that of its matrices is T: a row of a table is a token's whole
/// meaning, so that four bits are too few for it.
template <WeightStorage T>
struct TableStorage {
  using type = T; ///< tables are stored as matrices are
};
/// Tables beside matrices of 4 bits have 8.
template <>
struct TableStorage<i4> {
  using type = i8; ///< a byte for each element
};

/// Storage types of the library itself.
template <class T>
inline constexpr bool is_own_storage =
    std::same_as<T, float> || std::same_as<T, f16> || std::same_as<T, bf16> || QuantizedStorage<T>;

/// The DType of a storage type; f32 for a user's own.
template <WeightStorage T>
inline constexpr DType dtype_of = std::same_as<T, f16>    ? DType::f16
                                  : std::same_as<T, bf16> ? DType::bf16
                                  : std::same_as<T, i8>   ? DType::i8
                                  : std::same_as<T, i4>   ? DType::i4
                                                          : DType::f32;

/// The name that safetensors gives the type: F32, F16, BF16; of codes, the type of their units.
[[nodiscard]] constexpr std::string_view name_of(DType type) noexcept {
  switch (type) {
  case DType::f16:
    return "F16";
  case DType::bf16:
    return "BF16";
  case DType::i8:
    return "I8";
  case DType::i4:
    return "U8";
  default:
    return "F32";
  }
}

} // namespace pocketllm::tensor
