// SPDX-License-Identifier: Apache-2.0
// BLAKE3 (O'Connor, Aumasson, Neves, Wilcox-O'Hearn: BLAKE3, one function, fast everywhere, 2020), its plain
// hash of 32 bytes. Of the well-known hashes it is the one for gigabytes on a phone: it is a tree over chunks
// of 1024 bytes, so that threads and vector lanes work on one input, and each compression has a third of the
// rounds' work of SHA-256. What it gives is what `b3sum` prints.
#pragma once

#include <pocketllm/core/little_endian.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

namespace pocketllm {

/// The 32 bytes that stand for an input.
using Blake3Digest = std::array<std::byte, 32>;

/// A node of the tree: eight words (the paper's chaining value).
using Blake3Node = std::array<std::uint32_t, 8>;

/// Bytes of a piece: what `blake3_piece` takes in one call. A power of two of chunks, as the tree demands;
/// large enough that handing pieces to threads costs nothing, small enough for the second-level cache.
inline constexpr std::size_t blake3_piece_bytes = 256U << 10;

namespace detail::blake3 {

inline constexpr std::size_t chunk_bytes = 1024, block_bytes = 64;
enum Flag : std::uint32_t { chunk_start = 1, chunk_end = 2, parent = 4, root = 8 };

inline constexpr Blake3Node initial{0x6a09e667U, 0xbb67ae85U, 0x3c6ef372U, 0xa54ff53aU,
                                    0x510e527fU, 0x9b05688cU, 0x1f83d9abU, 0x5be0cd19U};

/// The order in which each of the seven rounds takes the words of the message.
[[nodiscard]] consteval std::array<std::array<std::uint8_t, 16>, 7> make_schedule() noexcept {
  constexpr std::array<std::uint8_t, 16> permutation{2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8};
  std::array<std::array<std::uint8_t, 16>, 7> schedule{};
  for (std::uint8_t i = 0; i < 16; ++i) {
    schedule[0][i] = i;
  }
  for (std::size_t round = 1; round < 7; ++round) {
    for (std::size_t i = 0; i < 16; ++i) {
      schedule[round][i] = schedule[round - 1][permutation[i]];
    }
  }
  return schedule;
}
inline constexpr auto schedule = make_schedule();

/// As many words side by side as a register of the instruction set has; each is of another chunk.
#if defined(__AVX2__)
inline constexpr std::size_t lanes = 8;
#else
inline constexpr std::size_t lanes = 4;
#endif
using Vector = std::uint32_t __attribute__((vector_size(4 * lanes)));
template <class V>
inline constexpr std::size_t width = sizeof(V) / sizeof(std::uint32_t);

template <int Bits, class V>
[[gnu::always_inline]] inline void rotate_right(V& x) noexcept {
  x = (x >> Bits) | (x << (32 - Bits));
}

template <class V>
[[gnu::always_inline]] inline void mix(V& a, V& b, V& c, V& d, V const& x, V const& y) noexcept {
  a = a + b + x;
  d = d ^ a;
  rotate_right<16>(d);
  c = c + d;
  b = b ^ c;
  rotate_right<12>(b);
  a = a + b + y;
  d = d ^ a;
  rotate_right<8>(d);
  c = c + d;
  b = b ^ c;
  rotate_right<7>(b);
}

/// A block of `length` bytes, already in words, for each lane; `node` is what stands for the blocks before it
/// and then for all. V is a vector, or a word for one lane.
template <class V>
void compress(V (&node)[8], V const (&message)[16], V const (&counter)[2], std::uint32_t length,
              std::uint32_t flags) noexcept {
  V v[16];
  for (std::size_t i = 0; i < 8; ++i) {
    v[i] = node[i];
  }
  for (std::size_t i = 0; i < 4; ++i) {
    v[8 + i] = V{} + initial[i];
  }
  v[12] = counter[0];
  v[13] = counter[1];
  v[14] = V{} + length;
  v[15] = V{} + flags;
  for (auto const& order : schedule) {
    mix(v[0], v[4], v[8], v[12], message[order[0]], message[order[1]]);
    mix(v[1], v[5], v[9], v[13], message[order[2]], message[order[3]]);
    mix(v[2], v[6], v[10], v[14], message[order[4]], message[order[5]]);
    mix(v[3], v[7], v[11], v[15], message[order[6]], message[order[7]]);
    mix(v[0], v[5], v[10], v[15], message[order[8]], message[order[9]]);
    mix(v[1], v[6], v[11], v[12], message[order[10]], message[order[11]]);
    mix(v[2], v[7], v[8], v[13], message[order[12]], message[order[13]]);
    mix(v[3], v[4], v[9], v[14], message[order[14]], message[order[15]]);
  }
  for (std::size_t i = 0; i < 8; ++i) {
    node[i] = v[i] ^ v[8 + i];
  }
}

/// The 16 words of a block for each lane; word(lane, i) gives them.
template <class V, class Word>
[[gnu::always_inline]] inline void gather(V (&message)[16], Word&& word) noexcept {
  std::uint32_t words[16][width<V>];
  for (std::size_t i = 0; i < 16; ++i) {
    for (std::size_t lane = 0; lane < width<V>; ++lane) {
      words[i][lane] = word(lane, i);
    }
  }
  std::memcpy(message, words, sizeof words);
}

template <class V>
void store_nodes(V const (&node)[8], Blake3Node* out) noexcept {
  std::uint32_t words[8][width<V>];
  std::memcpy(words, node, sizeof words);
  for (std::size_t lane = 0; lane < width<V>; ++lane) {
    for (std::size_t i = 0; i < 8; ++i) {
      out[lane][i] = words[i][lane];
    }
  }
}

template <class V>
void begin(V (&node)[8]) noexcept {
  for (std::size_t i = 0; i < 8; ++i) {
    node[i] = V{} + initial[i];
  }
}

/// The nodes of as many full chunks as V has lanes, the first being number `index` of the input.
template <class V>
void hash_chunks(std::byte const* bytes, std::uint64_t index, Blake3Node* out) noexcept {
  std::uint32_t numbers[2][width<V>];
  for (std::size_t lane = 0; lane < width<V>; ++lane) {
    numbers[0][lane] = static_cast<std::uint32_t>(index + lane);
    numbers[1][lane] = static_cast<std::uint32_t>((index + lane) >> 32);
  }
  V counter[2], node[8], message[16];
  std::memcpy(counter, numbers, sizeof numbers);
  begin(node);
  for (std::size_t at = 0; at < chunk_bytes; at += block_bytes) {
    gather(message, [&](std::size_t lane, std::size_t i) {
      return load_little<std::uint32_t>(bytes + lane * chunk_bytes + at + 4 * i);
    });
    std::uint32_t const flags =
        (at == 0 ? chunk_start : 0U) | (at + block_bytes == chunk_bytes ? chunk_end : 0U);
    compress(node, message, counter, block_bytes, flags);
  }
  store_nodes(node, out);
}

/// The node of a chunk of any size up to 1024 bytes. `flags`: root if it is the whole input.
[[nodiscard]] inline Blake3Node hash_chunk(std::span<std::byte const> bytes, std::uint64_t index,
                                           std::uint32_t flags) noexcept {
  std::uint32_t const counter[2] = {static_cast<std::uint32_t>(index),
                                    static_cast<std::uint32_t>(index >> 32)};
  std::uint32_t node[8], message[16];
  begin(node);
  std::size_t at = 0;
  do { // an empty input is one empty block
    std::array<std::byte, block_bytes> block{};
    std::size_t const length = std::min(block_bytes, bytes.size() - at);
    std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), length, block.begin());
    gather(message,
           [&](std::size_t, std::size_t i) { return load_little<std::uint32_t>(block.data() + 4 * i); });
    std::uint32_t const position =
        (at == 0 ? chunk_start : 0U) | (at + length == bytes.size() ? chunk_end | flags : 0U);
    compress(node, message, counter, static_cast<std::uint32_t>(length), position);
    at += length;
  } while (at != bytes.size());
  return std::to_array(node);
}

/// The parents of as many pairs of nodes as V has lanes. `out` may be `nodes`.
template <class V>
void hash_parents(Blake3Node const* nodes, Blake3Node* out, std::uint32_t flags) noexcept {
  V node[8], message[16];
  V const counter[2] = {};
  gather(message, [&](std::size_t lane, std::size_t i) { return nodes[2 * lane + i / 8][i % 8]; });
  begin(node);
  compress(node, message, counter, block_bytes, parent | flags);
  store_nodes(node, out);
}

/// Joins neighbours, level by level, until `most` nodes (1 or 2) are left. The last one of an odd number
/// rises unchanged, which makes every left subtree a full one, as the paper asks.
inline void join(std::vector<Blake3Node>& nodes, std::size_t most) noexcept {
  while (nodes.size() > most) {
    std::size_t const pairs = nodes.size() / 2;
    std::size_t i = 0;
    for (; i + lanes <= pairs; i += lanes) {
      hash_parents<Vector>(&nodes[2 * i], &nodes[i], 0);
    }
    for (; i < pairs; ++i) {
      hash_parents<std::uint32_t>(&nodes[2 * i], &nodes[i], 0);
    }
    if (nodes.size() % 2 != 0) {
      nodes[pairs] = nodes.back();
    }
    nodes.resize((nodes.size() + 1) / 2);
  }
}

/// The nodes of all chunks of `bytes`, of which the first is number `index` of the input.
[[nodiscard]] inline std::vector<Blake3Node> hash_all_chunks(std::span<std::byte const> bytes,
                                                             std::uint64_t index) {
  std::vector<Blake3Node> nodes((bytes.size() + chunk_bytes - 1) / chunk_bytes);
  std::size_t const full = bytes.size() / chunk_bytes;
  std::size_t i = 0;
  for (; i + lanes <= full; i += lanes) {
    hash_chunks<Vector>(bytes.data() + i * chunk_bytes, index + i, &nodes[i]);
  }
  for (; i < nodes.size(); ++i) {
    std::span<std::byte const> const rest = bytes.subspan(i * chunk_bytes);
    nodes[i] = hash_chunk(rest.first(std::min(chunk_bytes, rest.size())), index + i, 0);
  }
  return nodes;
}

[[nodiscard]] inline Blake3Digest to_digest(Blake3Node const& node) noexcept {
  Blake3Digest digest;
  for (std::size_t i = 0; i < 8; ++i) {
    store_little(digest.data() + 4 * i, node[i]);
  }
  return digest;
}

} // namespace detail::blake3

/// The node that stands for piece number `index` of an input of more than one piece: `blake3_piece_bytes`
/// bytes, or those that are left for the last one. Pieces may be hashed in any order, at the same time.
[[nodiscard]] inline Blake3Node blake3_piece(std::span<std::byte const> bytes, std::uint64_t index) {
  constexpr std::uint64_t chunks = blake3_piece_bytes / detail::blake3::chunk_bytes;
  std::vector<Blake3Node> nodes = detail::blake3::hash_all_chunks(bytes, index * chunks);
  detail::blake3::join(nodes, 1);
  return nodes.front();
}

/// The digest of an input from the nodes of its pieces, in their order. There must be two or more.
[[nodiscard]] inline Blake3Digest blake3_root(std::vector<Blake3Node> nodes) {
  detail::blake3::join(nodes, 2);
  Blake3Node result;
  detail::blake3::hash_parents<std::uint32_t>(nodes.data(), &result, detail::blake3::root);
  return detail::blake3::to_digest(result);
}

/// The digest of `bytes`.
[[nodiscard]] inline Blake3Digest blake3(std::span<std::byte const> bytes) {
  namespace b3 = detail::blake3;
  if (bytes.size() <= b3::chunk_bytes) {
    return b3::to_digest(b3::hash_chunk(bytes, 0, b3::root));
  }
  if (bytes.size() <= blake3_piece_bytes) {
    return blake3_root(b3::hash_all_chunks(bytes, 0));
  }
  std::vector<Blake3Node> nodes;
  for (std::size_t at = 0; at < bytes.size(); at += blake3_piece_bytes) {
    nodes.push_back(
        blake3_piece(bytes.subspan(at, std::min(blake3_piece_bytes, bytes.size() - at)), nodes.size()));
  }
  return blake3_root(std::move(nodes));
}

} // namespace pocketllm
