// SPDX-License-Identifier: Apache-2.0
// Which tensors are trained, chosen by name.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/core/glob.hpp>
#include <pocketllm/tensor/visit.hpp>

#include <cstddef>
#include <string_view>
#include <vector>

namespace pocketllm::optimize {

/// Trains the tensors whose names match one of `patterns` (with commas between them) and freezes all others.
/// Returns the number of trained parameters. Throws Error when a pattern matches nothing: it would be a
/// typing error.
template <tensor::HasTensors Model>
std::size_t select_trained(Model& model, std::string_view patterns) {
  std::vector<std::string_view> const globs = split_patterns(patterns);
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
