// SPDX-License-Identifier: Apache-2.0
// Which tensors are trained, chosen by name.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/tensor/visit.hpp>

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <vector>

namespace pocketllm::optimize {

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

namespace detail {

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

} // namespace detail

/// Trains the tensors whose names match one of `patterns` (with commas between them) and freezes all others.
/// Returns the number of trained parameters. Throws Error when a pattern matches nothing: it would be a
/// typing error.
template <tensor::HasTensors Model>
std::size_t select_trained(Model& model, std::string_view patterns) {
  std::vector<std::string_view> const globs = detail::split_patterns(patterns);
  std::vector<bool> used(globs.size());
  std::size_t parameters = 0;
  tensor::for_each_tensor(model, [&](auto& tensor) {
    bool trained = false;
    for (std::size_t i = 0; i < globs.size(); ++i) {
      bool const matches = matches_glob(globs[i], tensor.name());
      used[i] = used[i] || matches;
      trained = trained || matches;
    }
    tensor.set_trained(trained);
    parameters += trained ? tensor.size() : 0;
  });
  for (std::size_t i = 0; i < globs.size(); ++i) {
    require(used[i], "no tensor of the model matches \"", globs[i],
            "\"; patterns are names as in the model's file, with * for any characters and commas between "
            "patterns");
  }
  return parameters;
}

} // namespace pocketllm::optimize
