// SPDX-License-Identifier: Apache-2.0
// Choosing by name: patterns as shells have them, several with commas between them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <vector>

namespace pocketllm {

/// Whether `name` matches a pattern in which `*` stands for any characters, also none, and `?` for one.
[[nodiscard]] constexpr bool matches_glob(std::string_view pattern, std::string_view name) noexcept {
  std::size_t p = 0, n = 0;
  std::size_t star = std::string_view::npos, retry = 0; // the last star, and what it has swallowed up to
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      retry = n;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == name[n])) {
      ++p;
      ++n;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++retry;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') {
    ++p;
  }
  return p == pattern.size();
}

/// The patterns between the commas, without spaces around them.
[[nodiscard]] inline std::vector<std::string_view> split_patterns(std::string_view patterns) {
  std::vector<std::string_view> parts;
  while (true) {
    std::size_t const comma = patterns.find(',');
    std::string_view part = patterns.substr(0, comma);
    part.remove_prefix(std::min(part.find_first_not_of(' '), part.size()));
    parts.push_back(part.substr(0, part.find_last_not_of(' ') + 1));
    if (comma == std::string_view::npos) {
      return parts;
    }
    patterns.remove_prefix(comma + 1);
  }
}

} // namespace pocketllm
