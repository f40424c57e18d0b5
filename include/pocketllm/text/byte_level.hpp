// SPDX-License-Identifier: Apache-2.0
// GPT-2's byte-level scheme: how a text is cut into words, and how bytes are spelled in vocabulary files.
#pragma once

#include <pocketllm/text/unicode.hpp>
#include <pocketllm/text/utf8.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pocketllm::text {

namespace detail {

/// Length of an English contraction ('s 't 're 've 'm 'll 'd, lower case only) at `at`, or 0.
[[nodiscard]] inline std::size_t contraction_length(std::string_view text, std::size_t at) noexcept {
  if (text[at] != '\'' || at + 1 >= text.size()) {
    return 0;
  }
  char const first = text[at + 1];
  if (first == 's' || first == 't' || first == 'm' || first == 'd') {
    return 2;
  }
  char const second = at + 2 < text.size() ? text[at + 2] : '\0';
  bool const three =
      (first == 'r' && second == 'e') || (first == 'v' && second == 'e') || (first == 'l' && second == 'l');
  return three ? 3 : 0;
}

/// End of the run of characters of class `wanted` that begins at `at`.
[[nodiscard]] inline std::size_t end_of_run(std::string_view text, std::size_t at,
                                            CharacterClass wanted) noexcept {
  while (at < text.size()) {
    CodePoint const next = code_point_at(text, at);
    if (character_class(next.value) != wanted) {
      break;
    }
    at += next.length;
  }
  return at;
}

} // namespace detail

/// End of the word that begins at `at` (below the size of `text`, which must be valid UTF-8), where words are
/// the matches of GPT-2's expression (Radford et al. 2019, the published encoder):
/// `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
[[nodiscard]] inline std::size_t end_of_word(std::string_view text, std::size_t at) noexcept {
  if (std::size_t const length = detail::contraction_length(text, at); length != 0) {
    return at + length;
  }
  std::size_t run = at;
  CharacterClass kind = character_class(code_point_at(text, at).value);
  if (text[at] == ' ' && at + 1 < text.size()) { // one space goes with the run that follows it
    CharacterClass const after = character_class(code_point_at(text, at + 1).value);
    if (after != CharacterClass::space) {
      run = at + 1;
      kind = after;
    }
  }
  std::size_t const end = detail::end_of_run(text, run, kind);
  if (kind != CharacterClass::space || end == text.size()) {
    return end;
  }
  // White space before a word: its last character is left for that word, unless it is the only one.
  std::size_t const last = previous_code_point(text, end);
  return last == at ? end : last;
}

namespace detail {

/// GPT-2 spells each byte as a printable character: those printable in Latin-1 as themselves, the other 68
/// in rising order as U+0100 and on (so that a space is U+0120).
inline constexpr std::array<char32_t, 256> byte_symbols = [] {
  std::array<char32_t, 256> symbols{};
  char32_t next = 0x100;
  for (std::size_t byte = 0; byte < symbols.size(); ++byte) {
    bool const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    symbols[byte] = printable ? static_cast<char32_t>(byte) : next++;
  }
  return symbols;
}();

/// The inverse: byte of each symbol, -1 where a code point below U+0144 (256 + 68) is none.
inline constexpr std::array<std::int16_t, 0x144> symbol_bytes = [] {
  std::array<std::int16_t, 0x144> bytes{};
  bytes.fill(-1);
  for (std::size_t byte = 0; byte < byte_symbols.size(); ++byte) {
    bytes[byte_symbols[byte]] = static_cast<std::int16_t>(byte);
  }
  return bytes;
}();

} // namespace detail

/// Bytes as they are spelled in vocabulary files.
[[nodiscard]] inline std::string spell_bytes(std::string_view bytes) {
  std::string spelling;
  for (char const byte : bytes) {
    append_short_code_point(spelling, detail::byte_symbols[static_cast<unsigned char>(byte)]);
  }
  return spelling;
}

/// The bytes that `spelling` (valid UTF-8) stands for; nothing if it holds a character that spells no byte.
[[nodiscard]] inline std::optional<std::string> bytes_of_spelling(std::string_view spelling) {
  std::string bytes;
  for (std::size_t at = 0; at < spelling.size();) {
    CodePoint const symbol = code_point_at(spelling, at);
    if (symbol.value >= detail::symbol_bytes.size() || detail::symbol_bytes[symbol.value] < 0) {
      return std::nullopt;
    }
    bytes.push_back(static_cast<char>(detail::symbol_bytes[symbol.value]));
    at += symbol.length;
  }
  return bytes;
}

} // namespace pocketllm::text
