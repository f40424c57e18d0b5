// SPDX-License-Identifier: Apache-2.0
// Keys and values of tokens that stand before a batch, and room for those of the batch itself.
#pragma once

#include <pocketllm/core/lanes.hpp>
#include <pocketllm/core/workspace.hpp>
#include <pocketllm/layers/attention.hpp>

#include <cstddef>
#include <utility>
#include <vector>

namespace pocketllm::models {

/// A past as one layer sees it. The default is none: nothing stands before, and nothing is kept.
struct LayerPast {
  layers::KeyValues before = {}; ///< K and V [lanes or 1, rows, width] that stand before; no rows if none do
  /// Room for K and V [lanes, tokens of the batch, width] of the batch; no data where they are not kept.
  std::pair<Lanes<float>, Lanes<float>> own = {};

  /// Where K and V [lanes, tokens, width] of the batch are to go: to where they are kept, or the workspace.
  [[nodiscard]] std::pair<Lanes<float>, Lanes<float>> take_own(Workspace& workspace, std::size_t lanes,
                                                               std::size_t tokens, std::size_t width) const {
    if (own.first.data != nullptr) {
      return own;
    }
    Lanes<float> const k = take_lanes(workspace, lanes, tokens, width);
    return {k, take_lanes(workspace, lanes, tokens, width)};
  }
};

/// What stands before every sequence of a batch, and where the batch's own keys and values are to go.
struct Past {
  std::size_t rows = 0;                       ///< tokens that stand before; they take positions too
  std::vector<layers::KeyValues> before = {}; ///< for each layer, K and V [lanes or 1, rows, width]
  /// For each layer, room for K and V [lanes, tokens of the batch, width]; empty where they are not kept.
  std::vector<std::pair<Lanes<float>, Lanes<float>>> own = {};

  /// Whether nothing stands before and nothing is kept: a batch is all that there is.
  [[nodiscard]] bool empty() const noexcept { return rows == 0 && own.empty(); }

  /// What layer `layer` sees of it.
  [[nodiscard]] LayerPast at(std::size_t layer) const {
    LayerPast one;
    if (rows != 0) {
      one.before = before[layer];
    }
    if (!own.empty()) {
      one.own = own[layer];
    }
    return one;
  }
};

} // namespace pocketllm::models
