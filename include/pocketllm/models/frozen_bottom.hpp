// SPDX-License-Identifier: Apache-2.0
// The lowest layers of a model in which nothing is trained: what they make of a text is the same at all
// points of a step, and in all steps.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/core/lanes.hpp>
#include <pocketllm/core/runtime.hpp>
#include <pocketllm/models/batch.hpp>
#include <pocketllm/random/perturbed.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace pocketllm::models {

/// The hidden states of a batch behind the first `layers` layers, [1, tokens, width], which all points share.
/// Of all layers of a model, they may be those of the rows only that its head looks at: [1, rows, width].
struct Bottom {
  std::size_t layers = 0;      ///< how many the states are behind, counted from the embeddings
  Lanes<float const> states{}; ///< of one lane; not owned: they lie in a workspace
  bool at_rows = false;        ///< whether `states` has the head's rows only

  /// Whether there are none: then the model starts from the tokens.
  [[nodiscard]] bool empty() const noexcept { return states.data == nullptr; }
};

namespace detail {

/// A visitor that finds out whether one of the tensors that it sees is trained.
struct FindTrained {
  bool found = false;
  template <class Tensor>
  void operator()(Tensor const& tensor) noexcept {
    found = found || tensor.trained();
  }
};

} // namespace detail

/// The first of `layers` with a trained tensor; their number when there is no such layer; none when one of
/// the tensors below them, which `visit_below` visits, is trained.
template <class Layer, class F>
[[nodiscard]] std::optional<std::size_t> first_trained_layer(std::vector<Layer> const& layers,
                                                             F&& visit_below) {
  detail::FindTrained trained;
  visit_below(trained);
  if (trained.found) {
    return std::nullopt;
  }
  for (std::size_t i = 0; i < layers.size(); ++i) {
    Layer::visit(layers[i], trained);
    if (trained.found) {
      return i;
    }
  }
  return layers.size();
}

/// A model of layer_count() layers, with hidden_width() numbers a token between them, that tells which is the
/// first with a trained tensor (as many as there are when only the head is trained, none when the embeddings
/// are), and what the layers below a layer make of a batch B. Of all layers, `rows` of the batch's tokens are
/// enough if they are named.
template <class M, class B = Batch>
concept HasBottom = requires(M const& model, B const& batch, std::size_t layers,
                             std::span<std::size_t const> rows, random::Gaussian const& perturbation,
                             Runtime& runtime) {
  { model.layer_count() } -> std::same_as<std::size_t>;
  { model.hidden_width() } -> std::same_as<std::size_t>;
  { model.first_trained_layer() } -> std::same_as<std::optional<std::size_t>>;
  { model.bottom(batch, layers, rows, perturbation, runtime) } -> std::same_as<Bottom>;
};
static_assert(!HasBottom<Bottom>);

namespace detail {

/// How many layers have the same weights at all points, counted from below: those with nothing trained, or
/// with no noise of a perturbation that can tell.
template <class Model, random::Perturbation P>
[[nodiscard]] std::optional<std::size_t> shared_layers(Model const& model, random::Perturbed<P> const& at) {
  std::optional<std::size_t> const frozen = model.first_trained_layer();
  if constexpr (requires { at.perturbation.quiet_layers(std::span<std::uint64_t const>()); }) {
    std::vector<std::uint64_t> seeds;
    for (random::Point const& point : at.points) {
      if (point.coefficient != 0.0F) {
        seeds.push_back(point.seed);
      }
    }
    return std::max(frozen, at.perturbation.quiet_layers(seeds)); // none is less than any number
  }
  return frozen;
}

} // namespace detail

/// The bottom that is given, or the one that several points share; empty when there is none to share. Throws
/// Error when the given one is not of this batch and of frozen layers.
template <class Model, class B, random::Perturbation P>
requires HasBottom<Model, B>
[[nodiscard]] Bottom shared_bottom(Model const& model, B const& batch, std::span<std::size_t const> rows,
                                   random::Perturbed<P> const& at, Runtime& runtime, Bottom const& given) {
  if (given.empty() && at.lanes() == 1) {
    return {};
  }
  if (given.empty()) {
    auto const layers = detail::shared_layers(model, at);
    return layers ? model.bottom(batch, *layers, rows, at.perturbation, runtime) : Bottom{};
  }
  std::optional<std::size_t> const first = model.first_trained_layer();
  require(first && given.layers <= *first, "the states behind ", given.layers,
          " layers are given, of which one is trained, or the embeddings are");
  require(given.states.lanes == 1 && given.states.cols == model.hidden_width() &&
              given.states.rows == (given.at_rows ? rows.size() : batch.tokens()) &&
              (!given.at_rows || given.layers == model.layer_count()),
          "the states behind ", given.layers, " layers are [", given.states.lanes, ", ", given.states.rows,
          ", ", given.states.cols, "], and the batch has ", batch.tokens(), " tokens");
  return given;
}

} // namespace pocketllm::models
