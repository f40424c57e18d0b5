// SPDX-License-Identifier: Apache-2.0
// Text from files and users made fit for a one-line error message.
#pragma once

#include <pocketllm/text/utf8.hpp>

#include <string>
#include <string_view>

namespace pocketllm::text {

/// `text` in double quotes: control characters, quotes and backslashes escaped, invalid bytes as U+FFFD, and
/// no more than `most` bytes of it, so that a message stays one readable line.
[[nodiscard]] inline std::string quote(std::string_view text, std::size_t most = 60) {
  std::string const valid = replace_invalid_utf8(text.substr(0, most));
  std::string result = "\"";
  for (char const c : valid) {
    auto const byte = static_cast<unsigned char>(c);
    if (c == '\n') {
      result += "\\n";
    } else if (c == '\t') {
      result += "\\t";
    } else if (byte < 0x20 || byte == 0x7f) {
      constexpr char const* hexadecimal = "0123456789abcdef";
      result += "\\x";
      result += hexadecimal[byte >> 4];
      result += hexadecimal[byte & 15U];
    } else {
      if (c == '"' || c == '\\') {
        result += '\\';
      }
      result += c;
    }
  }
  return result + (text.size() > most ? "...\"" : "\"");
}

} // namespace pocketllm::text
