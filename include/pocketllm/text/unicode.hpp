// SPDX-License-Identifier: Apache-2.0
// The classes of characters that GPT-2's pre-tokenisation asks for: letter, number, white space, other.
#pragma once

#include <pocketllm/text/unicode_tables.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace pocketllm::text {

/// `\p{L}`, `\p{N}`, `\s` (the property White_Space) and all the rest. The numbers are those of
/// unicode_tables.hpp.
enum class CharacterClass : std::uint8_t { other = 0, letter = 1, number = 2, space = 3 };

namespace detail {

/// Class in bits 0-1, "may be part of a word" in bit 2.
[[nodiscard]] constexpr std::uint32_t unicode_bits(char32_t code_point) noexcept {
  // The last change at or before the code point: everything up to (code_point, all bits set) counts.
  std::uint32_t const key = (static_cast<std::uint32_t>(code_point) << 3) | 7U;
  auto const after = std::upper_bound(unicode_changes.begin(), unicode_changes.end(), key);
  return *(after - 1) & 7U;
}

/// The first 128 code points, looked up so often that they have a table of their own.
inline constexpr std::array<CharacterClass, 128> ascii_classes = [] {
  std::array<CharacterClass, 128> classes{};
  for (std::size_t i = 0; i < classes.size(); ++i) {
    classes[i] = static_cast<CharacterClass>(unicode_bits(static_cast<char32_t>(i)) & 3U);
  }
  return classes;
}();

} // namespace detail

/// The class of a code point (at most U+10FFFF).
[[nodiscard]] constexpr CharacterClass character_class(char32_t code_point) noexcept {
  if (code_point < detail::ascii_classes.size()) {
    return detail::ascii_classes[code_point];
  }
  return static_cast<CharacterClass>(detail::unicode_bits(code_point) & 3U);
}

/// `\w` of Unicode's regular expressions (UTS 18): alphabetic, mark, decimal number, connector, joiner.
[[nodiscard]] constexpr bool is_word_character(char32_t code_point) noexcept {
  return (detail::unicode_bits(code_point) & 4U) != 0;
}

} // namespace pocketllm::text
