// SPDX-License-Identifier: Apache-2.0
// What is known of the terminal that a program writes to.
#pragma once

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstddef>

namespace pocketllm::train {

/// Whether a person watches what is written to the file descriptor (1 output, 2 errors).
[[nodiscard]] inline bool is_terminal(int descriptor) noexcept { return isatty(descriptor) == 1; }

/// Columns of the terminal; `otherwise` where the descriptor is none or the size is not known.
[[nodiscard]] inline std::size_t terminal_width(int descriptor, std::size_t otherwise = 80) noexcept {
  winsize size{};
  return ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : otherwise;
}

} // namespace pocketllm::train
