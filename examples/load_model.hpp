// SPDX-License-Identifier: Apache-2.0
// Models with their weights, or without.
#pragma once

#include <pocketllm/io/load.hpp>
#include <pocketllm/tensor/zeros.hpp>

#include <filesystem>

namespace examples {

/// Where a model gets its weights from: its files, or nowhere, to see what a run takes.
enum class Weights : unsigned char { read, zero };

/// The model of a directory.
template <class Model>
[[nodiscard]] Model load_model(std::filesystem::path const& directory, Weights weights,
                               pocketllm::io::LoadOptions const& options = {}) {
  if (weights == Weights::read) {
    return pocketllm::io::load<Model>(directory, options);
  }
  Model model = pocketllm::io::make_model<Model>(directory);
  pocketllm::tensor::borrow_zeros(model);
  return model;
}

} // namespace examples
