// SPDX-License-Identifier: Apache-2.0
// 64-bit FNV-1a (Fowler, Noll, Vo): the key of a tensor is the hash of its name.
#pragma once

#include <cstdint>
#include <string_view>

namespace pocketllm {

/// FNV-1a over the bytes of `text`. It is part of the definition of the noise: the same name has the
/// same key on every machine and in every version.
[[nodiscard]] constexpr std::uint64_t fnv1a(std::string_view text) noexcept {
  std::uint64_t hash = 0xcbf29ce484222325ULL; // FNV offset basis
  for (char c : text) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 0x100000001b3ULL; // FNV prime
  }
  return hash;
}

} // namespace pocketllm
