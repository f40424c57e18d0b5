// SPDX-License-Identifier: Apache-2.0
// Table look-up: a row of weights for every token.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/core/lanes.hpp>
#include <pocketllm/core/runtime.hpp>
#include <pocketllm/layers/weights.hpp>
#include <pocketllm/tensor/perturbed_row.hpp>
#include <pocketllm/tensor/tensor.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace pocketllm::layers {

/// weight [entries, width] of a model whose weights are W.
template <Weights W>
struct Embedding {
  tensor::Tensor<table_storage_of<W>> weight; ///< [entries, width]; i8 where matrices are i4

  Embedding() = default;
  /// The table is called `name`.weight; it has no data yet.
  Embedding(std::string const& name, std::size_t entries, std::size_t width)
      : weight(name + ".weight", {entries, width}) {}

  /// Y[l, r] (+)= row ids[r] of the table at point l; `add` adds to what is there. Y [lanes, ids.size(),
  /// width]. Throws Error for an id outside the table.
  template <random::Perturbation P>
  void operator()(std::span<std::int32_t const> ids, random::Perturbed<P> const& at, Lanes<float> y, bool add,
                  Runtime& runtime) const {
    for (std::int32_t const id : ids) {
      require(id >= 0 && static_cast<std::size_t>(id) < weight.rows(), weight.name(), ": index ", id,
              " is outside the table of ", weight.rows(), " rows");
    }
    constexpr std::size_t piece = 16; // rows a thread takes at a time
    runtime.pool().parallel_for((ids.size() + piece - 1) / piece, [&](std::size_t i, std::size_t) {
      for (std::size_t r = i * piece; r < std::min(ids.size(), (i + 1) * piece); ++r) {
        tensor::RowRange const range{static_cast<std::size_t>(ids[r]), 0, weight.cols()};
        if (add) {
          tensor::add_perturbed_row(weight, at, range, y.row(0, r), y.lane_stride());
        } else {
          tensor::perturbed_row(weight, at, range, y.row(0, r), y.lane_stride());
        }
      }
    });
  }

  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    f(self.weight);
  }
};

} // namespace pocketllm::layers
