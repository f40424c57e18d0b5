// SPDX-License-Identifier: Apache-2.0
// --activations: whether products with weights of 8 and 4 bits are sums of integers.
#pragma once

#include "command_line.hpp"
#include <pocketllm/core/error.hpp>
#include <pocketllm/core/runtime.hpp>

#include <CLI/CLI.hpp>

#include <cstddef>
#include <cstdint>
#include <string>

namespace examples {

inline void add_activations(CLI::App& app, std::string& activations) {
  app.add_option(
         "--activations", activations,
         "With weights of i8 or i4: f32 multiplies activations as they are, i8 rounds them to 8 bits, "
         "which is faster and a little less exact")
      ->check(one_of({"f32", "i8"}))
      ->capture_default_str()
      ->type_name("TYPE");
}

[[nodiscard]] inline pocketllm::Activations activations_of(std::string const& activations) {
  return activations == "i8" ? pocketllm::Activations::i8 : pocketllm::Activations::f32;
}

/// Throws Error where there are no products of integers.
[[nodiscard]] inline pocketllm::Runtime make_runtime(std::int64_t threads, std::string const& activations,
                                                     std::string const& storage) {
  pocketllm::require(activations == "f32" || storage == "i8" || storage == "i4",
                     "--activations i8: weights of ", storage,
                     " are multiplied as floats; it needs --storage i8 or i4");
  return pocketllm::Runtime(static_cast<std::size_t>(threads), activations_of(activations));
}

} // namespace examples
