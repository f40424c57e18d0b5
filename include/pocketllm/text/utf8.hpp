// SPDX-License-Identifier: Apache-2.0
// UTF-8: reading code points, and putting U+FFFD where bytes are not valid.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace pocketllm::text {

/// The bytes that follow one another at a place of a text: a code point, or the longest beginning of one
/// that something else cuts short (Unicode 3.9, "maximal subpart").
struct Utf8Sequence {
  std::size_t length = 1; ///< bytes
  bool valid = false;     ///< whether they are a whole code point
};

/// Looks at the bytes from `at` on; `at` is less than the size of `text`. Overlong forms, surrogates and
/// values above U+10FFFF are not valid.
[[nodiscard]] inline Utf8Sequence utf8_sequence(std::string_view text, std::size_t at) noexcept {
  auto const byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  unsigned const lead = byte(at);
  if (lead < 0x80) {
    return {1, true};
  }
  if (lead < 0xc2 || lead > 0xf4) { // a continuation, an overlong form of ASCII, or above U+10FFFF
    return {1, false};
  }
  std::size_t const expected = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  // The second byte's bounds keep out overlong forms (E0, F0), surrogates (ED) and too large values (F4).
  unsigned lowest = lead == 0xe0 ? 0xa0U : lead == 0xf0 ? 0x90U : 0x80U;
  unsigned highest = lead == 0xed ? 0x9fU : lead == 0xf4 ? 0x8fU : 0xbfU;
  std::size_t length = 1;
  while (length < expected && at + length < text.size()) {
    if (byte(at + length) < lowest || byte(at + length) > highest) {
      return {length, false};
    }
    ++length;
    lowest = 0x80;
    highest = 0xbf;
  }
  return {length, length == expected};
}

/// Index of the first byte of the first invalid sequence, or the size of `text` when all of it is valid.
[[nodiscard]] inline std::size_t valid_utf8_prefix(std::string_view text) noexcept {
  std::size_t at = 0;
  while (at < text.size()) {
    std::uint64_t eight = 0;
    if (at + sizeof eight <= text.size()) { // eight ASCII bytes at once
      std::memcpy(&eight, text.data() + at, sizeof eight);
      if ((eight & 0x8080808080808080ULL) == 0) {
        at += sizeof eight;
        continue;
      }
    }
    Utf8Sequence const sequence = utf8_sequence(text, at);
    if (!sequence.valid) {
      return at;
    }
    at += sequence.length;
  }
  return at;
}

/// True when all of `text` is UTF-8.
[[nodiscard]] inline bool is_valid_utf8(std::string_view text) noexcept {
  return valid_utf8_prefix(text) == text.size();
}

/// `text` with U+FFFD in place of each invalid sequence, as Python's `bytes.decode(errors="replace")`.
[[nodiscard]] inline std::string replace_invalid_utf8(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  while (!text.empty()) {
    std::size_t const valid = valid_utf8_prefix(text);
    result.append(text.substr(0, valid));
    text.remove_prefix(valid);
    if (!text.empty()) {
      result.append("\xef\xbf\xbd");
      text.remove_prefix(utf8_sequence(text, 0).length);
    }
  }
  return result;
}

/// One code point and the bytes it takes.
struct CodePoint {
  char32_t value = 0;     ///< at most U+10FFFF
  std::size_t length = 1; ///< bytes, 1 to 4
};

/// The code point that begins at `at`. `text` must be valid UTF-8 and `at` the first byte of a code point.
[[nodiscard]] inline CodePoint code_point_at(std::string_view text, std::size_t at) noexcept {
  auto const byte = [&](std::size_t i) {
    return static_cast<char32_t>(static_cast<unsigned char>(text[at + i]));
  };
  char32_t const lead = byte(0);
  if (lead < 0x80) {
    return {lead, 1};
  }
  if (lead < 0xe0) {
    return {((lead & 0x1f) << 6) | (byte(1) & 0x3f), 2};
  }
  if (lead < 0xf0) {
    return {((lead & 0x0f) << 12) | ((byte(1) & 0x3f) << 6) | (byte(2) & 0x3f), 3};
  }
  return {((lead & 0x07) << 18) | ((byte(1) & 0x3f) << 12) | ((byte(2) & 0x3f) << 6) | (byte(3) & 0x3f), 4};
}

/// True unless `at` lies inside a code point of `text`, which must be valid UTF-8.
[[nodiscard]] inline bool is_code_point_boundary(std::string_view text, std::size_t at) noexcept {
  return at >= text.size() || (static_cast<unsigned char>(text[at]) & 0xc0U) != 0x80U;
}

/// First byte of the code point that ends just before `end`; `end` is above 0 and `text` valid UTF-8.
[[nodiscard]] inline std::size_t previous_code_point(std::string_view text, std::size_t end) noexcept {
  std::size_t at = end - 1;
  while (at > 0 && !is_code_point_boundary(text, at)) {
    --at;
  }
  return at;
}

/// Appends a code point of at most U+07FF, which is all that the byte-level alphabet needs.
inline void append_short_code_point(std::string& text, char32_t value) {
  if (value < 0x80) {
    text.push_back(static_cast<char>(value));
  } else {
    text.push_back(static_cast<char>(0xc0U | (value >> 6)));
    text.push_back(static_cast<char>(0x80U | (value & 0x3fU)));
  }
}

/// Appends a code point (no surrogate, at most U+10FFFF).
inline void append_code_point(std::string& text, char32_t value) {
  if (value < 0x800) {
    append_short_code_point(text, value);
    return;
  }
  if (value < 0x10000) {
    text.push_back(static_cast<char>(0xe0U | (value >> 12)));
  } else {
    text.push_back(static_cast<char>(0xf0U | (value >> 18)));
    text.push_back(static_cast<char>(0x80U | ((value >> 12) & 0x3fU)));
  }
  text.push_back(static_cast<char>(0x80U | ((value >> 6) & 0x3fU)));
  text.push_back(static_cast<char>(0x80U | (value & 0x3fU)));
}

} // namespace pocketllm::text
