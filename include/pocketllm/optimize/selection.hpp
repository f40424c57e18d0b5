// SPDX-License-Identifier: Apache-2.0
// Which tensors are trained, chosen by name.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/tensor/visit.hpp>

#include <cstddef>
#include <string_view>

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

/// Whether `name` matches one of several patterns with commas between them.
[[nodiscard]] constexpr bool matches_any_glob(std::string_view patterns, std::string_view name) noexcept {
  while (true) {
    std::size_t const comma = patterns.find(',');
    if (matches_glob(patterns.substr(0, comma), name)) {
      return true;
    }
    if (comma == std::string_view::npos) {
      return false;
    }
    patterns.remove_prefix(comma + 1);
  }
}

/// Trains the tensors whose names match one of `patterns` (with commas between them) and freezes all others.
/// Returns the number of trained parameters. Throws Error when there are none.
template <tensor::HasTensors Model>
std::size_t select_trained(Model& model, std::string_view patterns) {
  std::size_t parameters = 0;
  tensor::for_each_tensor(model, [&](auto& tensor) {
    tensor.set_trained(matches_any_glob(patterns, tensor.name()));
    parameters += tensor.trained() ? tensor.size() : 0;
  });
  require(
      parameters != 0, "no tensor of the model matches \"", patterns,
      "\"; patterns are names as in the model's file, with * for any characters and commas between patterns");
  return parameters;
}

} // namespace pocketllm::optimize
