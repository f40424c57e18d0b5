// SPDX-License-Identifier: Apache-2.0
// BLAKE3 against its published test vectors, and numbers of files.
#include <pocketllm/core/blake3.hpp>
#include <pocketllm/core/little_endian.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

using namespace pocketllm;

namespace {

/// The input of the test vectors: 0, 1, ..., 250, 0, 1, ...
std::vector<std::byte> input(std::size_t size) {
  std::vector<std::byte> bytes(size);
  for (std::size_t i = 0; i < size; ++i) {
    bytes[i] = static_cast<std::byte>(i % 251);
  }
  return bytes;
}

std::string hexadecimal(Blake3Digest const& digest) {
  std::string text;
  for (std::byte const byte : digest) {
    text += "0123456789abcdef"[std::to_integer<std::size_t>(byte >> 4)];
    text += "0123456789abcdef"[std::to_integer<std::size_t>(byte & std::byte{15})];
  }
  return text;
}

} // namespace

TEST_CASE("the test vectors of BLAKE3") {
  // test_vectors/test_vectors.json of github.com/BLAKE3-team/BLAKE3, the first 32 bytes; 262145 is of PyPI's
  // blake3
  std::vector<std::pair<std::size_t, char const*>> const vectors{
      {0, "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"},
      {1, "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213"},
      {1023, "10108970eeda3eb932baac1428c7a2163b0e924c9a9e25b35bba72b28f70bd11"},
      {1024, "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7"},
      {1025, "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444"},
      {2048, "e776b6028c7cd22a4d0ba182a8bf62205d2ef576467e838ed6f2529b85fba24a"},
      {2049, "5f4d72f40d7a5f82b15ca2b2e44b1de3c2ef86c426c95c1af0b6879522563030"},
      {3072, "b98cb0ff3623be03326b373de6b9095218513e64f1ee2edd2525c7ad1e5cffd2"},
      {3073, "7124b49501012f81cc7f11ca069ec9226cecb8a2c850cfe644e327d22d3e1cd3"},
      {4096, "015094013f57a5277b59d8475c0501042c0b642e531b0a1c8f58d2163229e969"},
      {4097, "9b4052b38f1c5fc8b1f9ff7ac7b27cd242487b3d890d15c96a1c25b8aa0fb995"},
      {5120, "9cadc15fed8b5d854562b26a9536d9707cadeda9b143978f319ab34230535833"},
      {5121, "628bd2cb2004694adaab7bbd778a25df25c47b9d4155a55f8fbd79f2fe154cff"},
      {6144, "3e2e5b74e048f3add6d21faab3f83aa44d3b2278afb83b80b3c35164ebeca205"},
      {6145, "f1323a8631446cc50536a9f705ee5cb619424d46887f3c376c695b70e0f0507f"},
      {7168, "61da957ec2499a95d6b8023e2b0e604ec7f6b50e80a9678b89d2628e99ada77a"},
      {7169, "a003fc7a51754a9b3c7fae0367ab3d782dccf28855a03d435f8cfe74605e7817"},
      {8192, "aae792484c8efe4f19e2ca7d371d8c467ffb10748d8a5a1ae579948f718a2a63"},
      {8193, "bab6c09cb8ce8cf459261398d2e7aef35700bf488116ceb94a36d0f5f1b7bc3b"},
      {16384, "f875d6646de28985646f34ee13be9a576fd515f76b5b0a26bb324735041ddde4"},
      {31744, "62b6960e1a44bcc1eb1a611a8d6235b6b4b78f32e7abc4fb4c6cdcce94895c47"},
      {102400, "bc3e3d41a1146b069abffad3c0d44860cf664390afce4d9661f7902e7943e085"},
      {262145, "531c319935cf78f34869faebd865e5748266b1799039103bfb851a680d9ed30c"}};
  for (auto const& vector : vectors) {
    CAPTURE(vector.first);
    CHECK(hexadecimal(blake3(input(vector.first))) == vector.second);
  }
}

TEST_CASE("pieces hashed in any order give the digest of the whole") {
  for (std::size_t const size :
       {std::size_t{1}, blake3_piece_bytes, blake3_piece_bytes + 1, 12345 + 2 * blake3_piece_bytes}) {
    std::vector<std::byte> const bytes = input(blake3_piece_bytes + size);
    std::size_t const pieces = (bytes.size() + blake3_piece_bytes - 1) / blake3_piece_bytes;
    std::vector<Blake3Node> nodes(pieces);
    for (std::size_t i = pieces; i-- > 0;) {
      std::span<std::byte const> const rest = std::span(bytes).subspan(i * blake3_piece_bytes);
      nodes[i] = blake3_piece(rest.first(std::min(blake3_piece_bytes, rest.size())), i);
    }
    CHECK(blake3_root(nodes) == blake3(bytes));
  }
}

TEST_CASE("one lane and many lanes are the same hash") {
  namespace b3 = detail::blake3;
  std::vector<std::byte> const bytes = input(b3::lanes * b3::chunk_bytes);
  for (std::uint64_t const index : {std::uint64_t{0}, std::uint64_t{0xfffffffe}}) { // a counter of two words
    std::vector<Blake3Node> const together = b3::hash_all_chunks(bytes, index);
    for (std::size_t i = 0; i < b3::lanes; ++i) {
      CHECK(together[i] ==
            b3::hash_chunk(std::span(bytes).subspan(i * b3::chunk_bytes, b3::chunk_bytes), index + i, 0));
    }
  }
}

TEST_CASE("numbers are written the lowest byte first") {
  constexpr std::array<std::byte, 8> bytes{std::byte{0x01}, std::byte{0x02}, std::byte{0x83},
                                           std::byte{0x04}, std::byte{0x05}, std::byte{0x06},
                                           std::byte{0x07}, std::byte{0xf8}};
  static_assert(load_little<std::uint16_t>(bytes.data()) == 0x0201);
  static_assert(load_little<std::uint32_t>(bytes.data()) == 0x04830201U);
  static_assert(load_little<std::uint64_t>(bytes.data()) == 0xf807060504830201ULL);
  CHECK(load_little<std::uint64_t>(bytes.data()) == 0xf807060504830201ULL);
  CHECK(load_little<std::uint32_t>(bytes.data() + 1) == 0x05048302U);
  std::array<std::byte, 8> written{};
  store_little(written.data(), std::uint64_t{0xf807060504830201ULL});
  CHECK(written == bytes);
}
