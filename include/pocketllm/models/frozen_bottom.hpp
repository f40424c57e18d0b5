// SPDX-License-Identifier: Apache-2.0
// The lowest layers of a model in which nothing is trained: what they make of a text is the same at all
// points of a step, and in all steps.
#pragma once

#include <pocketllm/core/lanes.hpp>
#include <pocketllm/core/runtime.hpp>
#include <pocketllm/models/batch.hpp>
#include <pocketllm/random/perturbed.hpp>

#include <concepts>
#include <cstddef>
#include <optional>
#include <span>

namespace pocketllm::models {

/// The hidden states of a batch behind the first `layers` layers, [1, tokens, width], which all points share.
/// Of all layers of a model, they may be those of the rows only that its head looks at: [1, rows, width].
struct Bottom {
  std::size_t layers = 0;
  Lanes<float const> states{};
  bool at_rows = false; ///< whether `states` has the head's rows only

  /// Whether there are none: then the model starts from the tokens.
  [[nodiscard]] bool empty() const noexcept { return states.data == nullptr; }
};

/// A visitor that finds out whether one of the tensors that it sees is trained.
struct FindTrained {
  bool found = false;
  template <class Tensor>
  void operator()(Tensor const& tensor) noexcept {
    found = found || tensor.trained();
  }
};

/// A model that tells which is its lowest layer with a trained tensor (as many as there are layers when only
/// the head is trained, none when the embeddings are), and what the layers below a layer make of a batch. Of
/// all layers, `rows` of the batch's tokens are enough if they are named.
template <class M>
concept HasBottom = requires(M const& model, Batch const& batch, std::size_t layers,
                             std::span<std::size_t const> rows, random::Gaussian const& perturbation,
                             Runtime& runtime) {
  { model.first_trained_layer() } -> std::same_as<std::optional<std::size_t>>;
  { model.bottom(batch, layers, rows, perturbation, runtime) } -> std::same_as<Bottom>;
};
static_assert(!HasBottom<Bottom>);

} // namespace pocketllm::models
