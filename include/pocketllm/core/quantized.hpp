// SPDX-License-Identifier: Apache-2.0
// The two storage types of weights that are read but not trained: small integers that share a scale.
#pragma once

#include <cstdint>

namespace pocketllm {

/// Eight bits an element: the weight is code * scale, with one scale (f32) for a row of a matrix.
struct i8 {
  std::int8_t code = 0; ///< -127 to 127
  friend constexpr bool operator==(i8, i8) = default;
};

/// Four bits an element, two in a byte: the weight is (code - 8) * scale, with one scale (f16) for 32
/// neighbours in a row. Byte j of the 16 of a group holds element j in its lower and element 16 + j in its
/// upper half, so that vectors of up to 16 neighbours load without a shuffle.
struct i4 {
  std::uint8_t codes = 0x88; ///< of two elements; the default is twice 0
  friend constexpr bool operator==(i4, i4) = default;
};

} // namespace pocketllm
