// SPDX-License-Identifier: Apache-2.0
// Blockwise directions: a few of a model's layers at a time are perturbed and moved.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/core/split_mix.hpp>
#include <pocketllm/random/shaper.hpp>
#include <pocketllm/tensor/visit.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace pocketllm::tensor {

/// The number of the layer in a tensor's name: 3 of "roberta.encoder.layer.3.output.dense.weight" and of
/// "model.decoder.layers.3.fc1.weight"; none of embeddings and heads.
[[nodiscard]] inline std::optional<std::size_t> layer_of(std::string_view name) {
  for (std::string_view const mark : {".layer.", ".layers."}) {
    if (std::size_t const at = name.find(mark); at != std::string_view::npos) {
      std::size_t layer = 0, i = at + mark.size();
      std::size_t const first = i;
      for (; i < name.size() && name[i] >= '0' && name[i] <= '9' && i < first + 6; ++i) {
        layer = 10 * layer + static_cast<std::size_t>(name[i] - '0');
      }
      return i > first ? std::optional(layer) : std::nullopt;
    }
  }
  return std::nullopt;
}

/// Only `count` of the layers in which something is trained have noise, chosen at random by the upper half of
/// the seed: steps whose seeds share it (SeedRule::shared) move the same layers. Embeddings count as a layer.
/// A head, and whatever else stands behind the last layer, has noise in all steps.
///
/// Where the lowest of the chosen layers is not the lowest of the model, all points of a step share what is
/// below it, and it is computed once: half of a forward pass is saved in the mean where one layer is chosen.
class SomeLayers final : public random::Shaper {
public:
  /// Throws Error unless more layers than `count`, which is 1 or more, have something to train.
  template <HasTensors Model>
  SomeLayers(Model const& model, std::size_t count) : count_(count) {
    bool below = true; // no layer has come yet
    for_each_tensor(model, [&](auto const& tensor) {
      auto const layer = layer_of(tensor.name());
      below = below && !layer;
      if (tensor.trained() && (layer || below)) {
        std::size_t const block = layer ? *layer + 1 : 0;
        blocks_.add(tensor.key(), block);
        trained_.push_back(block);
      }
    });
    std::sort(trained_.begin(), trained_.end());
    trained_.erase(std::unique(trained_.begin(), trained_.end()), trained_.end());
    require(count > 0 && count < trained_.size(), count, " of the ", trained_.size(),
            " layers that are trained (embeddings are one) are to be moved at a time; it must be fewer than "
            "there are, and at least one");
  }

  /// What the perturbation in a journal calls the count.
  static constexpr std::string_view parameter_name = "layers";
  [[nodiscard]] std::string_view name() const noexcept override { return parameter_name; }
  [[nodiscard]] float parameter() const noexcept override { return static_cast<float>(count_); }

  [[nodiscard]] bool is_silent(random::Stream stream) const noexcept override {
    std::size_t const* const block = blocks_.find(stream.tensor);
    return block != nullptr && !is_chosen(stream.seed, *block);
  }

  [[nodiscard]] std::optional<std::size_t> quiet_layers(std::span<std::uint64_t const> seeds) const override {
    for (std::size_t const block : trained_) {
      auto const chosen = [&](std::uint64_t seed) { return is_chosen(seed, block); };
      if (std::any_of(seeds.begin(), seeds.end(), chosen)) {
        return block == 0 ? std::nullopt : std::optional(block - 1); // block 0 are the embeddings
      }
    }
    return std::max(trained_.back(), std::size_t{1}) - 1; // no seeds, no noise
  }

  /// Whether layer `block` - 1, or the embeddings when it is 0, has noise of this seed: among the `count`
  /// with the least random numbers.
  [[nodiscard]] bool is_chosen(std::uint64_t seed, std::size_t block) const noexcept {
    auto const number = [&](std::size_t of) { return split_mix(seed >> 32, of); };
    std::uint64_t const own = number(block);
    auto const before = [&](std::size_t of) { return number(of) < own; };
    return static_cast<std::size_t>(std::count_if(trained_.begin(), trained_.end(), before)) < count_;
  }

private:
  std::size_t count_;
  std::vector<std::size_t> trained_; ///< blocks with something to train, ascending
  random::ByTensor<std::size_t> blocks_;
};

} // namespace pocketllm::tensor
