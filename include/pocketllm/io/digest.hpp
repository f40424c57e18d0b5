// SPDX-License-Identifier: Apache-2.0
// The digest of a model's weights: 32 bytes that tell whether two models are the same to the last bit.
//
// It is BLAKE3 of this text of bytes, numbers being little-endian:
//   the 20 characters "pocketllm weights 1\n"
//   for each tensor, in the order of their names' bytes:
//     u32 length of the name, the name
//     u32 length of the type's name, the type's name as in safetensors ("F32", "F16", "BF16", ...)
//     u32 number of dimensions, a u64 for each: its size
//     32 bytes: BLAKE3 of the elements, row-major as in a safetensors file
// A tensor's own digest is that of its bytes in the file, as `b3sum` prints it, and tensors are hashed apart
// from each other, piece by piece, by all threads. Names give the order because neither the noise nor the
// update knows another: the digest is the same for a model in memory, the file it is saved to, and a file in
// shards, in whatever order these hold the tensors.
#pragma once

#include <pocketllm/core/blake3.hpp>
#include <pocketllm/core/error.hpp>
#include <pocketllm/core/runtime.hpp>
#include <pocketllm/io/safetensors_header.hpp>
#include <pocketllm/io/safetensors_writer.hpp>
#include <pocketllm/tensor/visit.hpp>

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pocketllm::io {

/// `blake3:` and 64 hexadecimal digits, the way in which digests are written in journals and printed.
[[nodiscard]] inline std::string digest_text(Blake3Digest const& digest) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text = "blake3:";
  for (std::byte const byte : digest) {
    text += digits[std::to_integer<std::size_t>(byte >> 4)];
    text += digits[std::to_integer<std::size_t>(byte & std::byte{15})];
  }
  return text;
}

namespace detail {

/// A part of a tensor that one thread hashes.
struct DigestPiece {
  std::size_t tensor = 0;
  std::uint64_t index = 0; ///< of the piece within the tensor
};

[[nodiscard]] inline std::vector<DigestPiece> digest_pieces(std::span<TensorEntry const> tensors) {
  std::vector<DigestPiece> pieces;
  for (std::size_t tensor = 0; tensor < tensors.size(); ++tensor) {
    std::uint64_t const count = (tensors[tensor].bytes.size() + blake3_piece_bytes - 1) / blake3_piece_bytes;
    for (std::uint64_t index = 0; index < std::max<std::uint64_t>(1, count); ++index) {
      pieces.push_back({tensor, index});
    }
  }
  return pieces;
}

template <std::unsigned_integral T>
void append_little(std::vector<std::byte>& to, T number) {
  to.resize(to.size() + sizeof number);
  store_little(to.data() + to.size() - sizeof number, number);
}

inline void append_text(std::vector<std::byte>& to, std::string_view text) {
  std::span<std::byte const> const bytes = std::as_bytes(std::span(text.data(), text.size()));
  to.insert(to.end(), bytes.begin(), bytes.end());
}

} // namespace detail

/// BLAKE3 of the bytes of each tensor. done(bytes) is called by any thread behind each piece that was read.
template <class Done>
[[nodiscard]] std::vector<Blake3Digest> hash_tensors(std::span<TensorEntry const> tensors, ThreadPool& pool,
                                                     Done&& done) {
  std::vector<detail::DigestPiece> const pieces = detail::digest_pieces(tensors);
  std::vector<Blake3Digest> digests(tensors.size());
  std::vector<Blake3Node> nodes(pieces.size());
  pool.parallel_for(pieces.size(), [&](std::size_t i, std::size_t) {
    std::span<std::byte const> const all = tensors[pieces[i].tensor].bytes;
    if (all.size() <= blake3_piece_bytes) {
      digests[pieces[i].tensor] = blake3(all);
      return done(all);
    }
    auto const begin = static_cast<std::size_t>(pieces[i].index) * blake3_piece_bytes;
    std::span<std::byte const> const part =
        all.subspan(begin, std::min(blake3_piece_bytes, all.size() - begin));
    nodes[i] = blake3_piece(part, pieces[i].index);
    done(part);
  });
  for (std::size_t i = 0; i < pieces.size();) { // the nodes of a tensor are neighbours
    std::size_t end = i + 1;
    while (end < pieces.size() && pieces[end].tensor == pieces[i].tensor) {
      ++end;
    }
    if (end - i > 1) {
      auto const at = [&](std::size_t k) { return nodes.begin() + static_cast<std::ptrdiff_t>(k); };
      digests[pieces[i].tensor] = blake3_root(std::vector<Blake3Node>(at(i), at(end)));
    }
    i = end;
  }
  return digests;
}

/// The digest of tensors from those of their elements, one each.
[[nodiscard]] inline Blake3Digest join_digests(std::span<TensorEntry const> tensors,
                                               std::span<Blake3Digest const> elements) {
  std::vector<std::size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return tensors[a].name < tensors[b].name; });
  std::vector<std::byte> text;
  detail::append_text(text, "pocketllm weights 1\n");
  for (std::size_t const i : order) {
    for (std::string_view const name : {std::string_view(tensors[i].name), tensors[i].type.name}) {
      detail::append_little(text, static_cast<std::uint32_t>(name.size()));
      detail::append_text(text, name);
    }
    detail::append_little(text, static_cast<std::uint32_t>(tensors[i].shape.size()));
    for (std::size_t const size : tensors[i].shape) {
      detail::append_little(text, static_cast<std::uint64_t>(size));
    }
    text.insert(text.end(), elements[i].begin(), elements[i].end());
  }
  return blake3(text);
}

/// The digest of all weights of a model, trained or not. It reads them once, at some 1.5 GB/s a core or more.
/// The same for any number of threads. Throws Error that names the tensor when one has no data or two have
/// the same name.
template <tensor::HasTensors Model>
[[nodiscard]] Blake3Digest digest(Model const& model, Runtime& runtime) {
  std::vector<TensorEntry> const tensors = list_tensors(model);
  return join_digests(tensors, hash_tensors(tensors, runtime.pool(), [](auto) {}));
}

} // namespace pocketllm::io
