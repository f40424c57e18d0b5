// SPDX-License-Identifier: Apache-2.0
// The terminal that a program writes to, and the columns that a text takes in it.
#pragma once

#include <pocketllm/text/utf8.hpp>

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstddef>
#include <string_view>

namespace pocketllm::train {

/// Whether a person watches what is written to the file descriptor (1 output, 2 errors).
[[nodiscard]] inline bool is_terminal(int descriptor) noexcept { return isatty(descriptor) == 1; }

/// Columns of the terminal; `otherwise` where the descriptor is none or the size is not known.
[[nodiscard]] inline std::size_t terminal_width(int descriptor, std::size_t otherwise = 80) noexcept {
  winsize size{};
  return ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : otherwise;
}

/// How many columns of a terminal `text` takes, counting each code point as one.
[[nodiscard]] inline std::size_t columns_of(std::string_view text) noexcept {
  std::size_t columns = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    columns += text::is_code_point_boundary(text, i) ? 1 : 0;
  }
  return columns;
}

} // namespace pocketllm::train
