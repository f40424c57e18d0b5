// SPDX-License-Identifier: Apache-2.0
// Numbers in files: the lowest byte first, whatever the machine's own order.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstring>
#include <type_traits>

namespace pocketllm {

/// The number whose sizeof(T) bytes begin at `bytes`, the lowest byte first.
template <std::unsigned_integral T>
[[nodiscard]] constexpr T load_little(std::byte const* bytes) noexcept {
  T number = 0;
  if (std::endian::native == std::endian::little && !std::is_constant_evaluated()) {
    std::memcpy(&number, bytes, sizeof number); // one load at any optimisation
  } else {
    for (std::size_t i = 0; i < sizeof number; ++i) {
      number = static_cast<T>(number | static_cast<T>(std::to_integer<T>(bytes[i]) << (8 * i)));
    }
  }
  return number;
}

/// Writes the sizeof(T) bytes of `number` to `bytes`, the lowest one first.
template <std::unsigned_integral T>
constexpr void store_little(std::byte* bytes, T number) noexcept {
  for (std::size_t i = 0; i < sizeof number; ++i) {
    bytes[i] = static_cast<std::byte>((number >> (8 * i)) & 0xffU);
  }
}

} // namespace pocketllm
