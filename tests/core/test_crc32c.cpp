// SPDX-License-Identifier: Apache-2.0
// CRC-32C against the published values.
#include <pocketllm/core/crc32c.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cstddef>
#include <string_view>

using pocketllm::crc32c;

namespace {

template <std::size_t N, class F>
constexpr std::array<std::byte, N> bytes(F&& f) {
  std::array<std::byte, N> result{};
  for (std::size_t i = 0; i < N; ++i) {
    result[i] = static_cast<std::byte>(f(i));
  }
  return result;
}

constexpr auto text = bytes<9>([](std::size_t i) { return '1' + i; });

// RFC 3720, appendix B.4, which prints the bytes of the checksum, the lowest one first
static_assert(crc32c(bytes<32>([](std::size_t) { return 0; })) == 0x8a9136aaU);
static_assert(crc32c(bytes<32>([](std::size_t) { return 0xff; })) == 0x62a8ab43U);
static_assert(crc32c(bytes<32>([](std::size_t i) { return i; })) == 0x46dd794eU);
static_assert(crc32c(bytes<32>([](std::size_t i) { return 31 - i; })) == 0x113fdb5cU);
// the check value of catalogues of CRCs
static_assert(crc32c(text) == 0xe3069283U);
static_assert(crc32c({}) == 0);

} // namespace

TEST_CASE("an iSCSI read command of RFC 3720") {
  // clang-format off
  constexpr std::array<unsigned char, 48> command{
      0x01, 0xc0, 0, 0,  0, 0, 0, 0,     0, 0, 0, 0,     0, 0, 0, 0,
      0x14, 0, 0, 0,     0, 0, 0x04, 0,  0, 0, 0, 0x14,  0, 0, 0, 0x18,
      0x28, 0, 0, 0,     0, 0, 0, 0,     0x02, 0, 0, 0,  0, 0, 0, 0};
  // clang-format on
  CHECK(crc32c(std::as_bytes(std::span(command))) == 0xd9963a56U);
}

TEST_CASE("a checksum continues where another ended") {
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    CHECK(crc32c(std::span(text).subspan(cut), crc32c(std::span(text).first(cut))) == crc32c(text));
  }
}
