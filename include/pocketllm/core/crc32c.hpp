// SPDX-License-Identifier: Apache-2.0
// CRC-32C (Castagnoli): the checksum of iSCSI, ext4 and Btrfs. It finds every burst of up to 32 wrong bits,
// which is how a torn or rotten record looks; it is no protection against somebody who wants to deceive.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace pocketllm {

namespace detail {

/// The remainders of all bytes. 0x82f63b78 is the polynomial 0x1edc6f41 of RFC 3720 with its bits reversed,
/// since the lowest bit of a byte comes first.
[[nodiscard]] consteval std::array<std::uint32_t, 256> crc32c_table() noexcept {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t remainder = byte;
    for (int bit = 0; bit < 8; ++bit) {
      remainder = (remainder >> 1) ^ ((remainder & 1U) != 0 ? 0x82f63b78U : 0U);
    }
    table[byte] = remainder;
  }
  return table;
}

} // namespace detail

/// CRC-32C of `bytes` (RFC 3720, 12.1). With `before`, the checksum of what stands in front of them, that of
/// both together: crc32c(b, crc32c(a)) is the checksum of a and b.
[[nodiscard]] constexpr std::uint32_t crc32c(std::span<std::byte const> bytes,
                                             std::uint32_t before = 0) noexcept {
  // A byte at a time, some 400 MB/s: a journal grows by a few bytes a second.
  constexpr std::array<std::uint32_t, 256> table = detail::crc32c_table();
  std::uint32_t remainder = ~before;
  for (std::byte const byte : bytes) {
    remainder = (remainder >> 8) ^ table[(remainder ^ std::to_integer<std::uint32_t>(byte)) & 0xffU];
  }
  return ~remainder;
}

} // namespace pocketllm
