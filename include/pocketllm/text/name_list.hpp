// SPDX-License-Identifier: Apache-2.0
// Names from a file, such as those of its columns, in a one-line error message.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/text/quote.hpp>

#include <cstddef>
#include <span>
#include <string>

namespace pocketllm::text {

/// Names for a message: separated by commas, those quoted that would be misread, no more than a line's worth.
[[nodiscard]] inline std::string name_list(std::span<std::string const> names) {
  constexpr std::size_t most = 20; // a table with more columns would fill the terminal
  std::string list;
  for (std::size_t i = 0; i < names.size() && i < most; ++i) {
    std::string const quoted = quote(names[i]);
    bool const plain =
        quoted.size() == names[i].size() + 2 && quoted.find_first_of(", ") == std::string::npos;
    list += concat(i == 0 ? "" : ", ", plain && !names[i].empty() ? names[i] : quoted);
  }
  return list + (names.size() > most ? ", ..." : "");
}

} // namespace pocketllm::text
