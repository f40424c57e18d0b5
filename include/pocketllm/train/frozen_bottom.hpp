// SPDX-License-Identifier: Apache-2.0
// What the layers below the lowest trained one make of an example never changes: it is computed once in a
// run, as far as there is memory for it, and a step starts from there.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/core/lanes.hpp>
#include <pocketllm/core/runtime.hpp>
#include <pocketllm/models/batch.hpp>
#include <pocketllm/models/frozen_bottom.hpp>
#include <pocketllm/random/perturbed.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace pocketllm::train {

/// Hidden states of the examples of a data set, up to a budget in bytes. Nothing is ever thrown out for
/// another example: in epochs each example comes once, so the one that has been away longest is the next.
class BottomCache {
public:
  explicit BottomCache(std::size_t budget_bytes) : budget_(budget_bytes) {}

  /// What is kept must have come from the same number of layers. Throws Error otherwise.
  void require_layers(std::size_t layers) {
    require(bytes_ == 0 || layers == layers_, "states behind ", layers_,
            " layers are kept, and the lowest trained layer is ", layers,
            " now; use another cache for what is trained now");
    layers_ = layers;
  }

  /// The states of an example, row by row, or nothing.
  [[nodiscard]] std::span<float const> find(std::size_t example) const noexcept {
    return example < states_.size() ? std::span<float const>(states_[example]) : std::span<float const>();
  }

  /// Copies the `count` rows of X from row `first` on, if they are within the budget.
  void keep(std::size_t example, Lanes<float const> x, std::size_t first, std::size_t count) {
    std::size_t const bytes = count * x.cols * sizeof(float);
    if (bytes > budget_ - bytes_ || !find(example).empty()) {
      return;
    }
    states_.resize(std::max(states_.size(), example + 1));
    std::vector<float>& states = states_[example];
    states.reserve(count * x.cols);
    for (std::size_t r = first; r < first + count; ++r) {
      states.insert(states.end(), x.row(0, r), x.row(0, r) + x.cols);
    }
    bytes_ += bytes;
    ++examples_;
  }

  [[nodiscard]] std::size_t budget() const noexcept { return budget_; }
  /// Bytes of all states that are kept.
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
  /// Number of examples that are kept.
  [[nodiscard]] std::size_t examples() const noexcept { return examples_; }

private:
  std::size_t budget_, bytes_ = 0, examples_ = 0, layers_ = 0;
  std::vector<std::vector<float>> states_; ///< by example; empty where there are none
};

/// An objective whose losses can be had from the states behind a model's frozen layers: a batch has a
/// sequence an example, `head_rows` names the token of each that the head looks at, or none for all tokens,
/// and the call takes a models::Bottom as its last argument.
template <class O, class Model>
concept TakesBottom = models::HasBottom<Model> &&
    requires(O const o, Model const& model, typename O::Batch const& batch,
             random::Perturbed<random::Gaussian> const& at, Runtime& runtime, models::Bottom const& bottom) {
  { batch.tokens } -> std::convertible_to<models::Batch const&>;
  { o.head_rows(model, batch) } -> std::convertible_to<std::span<std::size_t const>>;
  { o(model, batch, at, runtime, bottom) } -> std::convertible_to<std::vector<float>>;
};
static_assert(!TakesBottom<BottomCache, int>);

/// The objective `Inner` with the same losses, bit for bit, that starts from what a cache has of an example
/// and lets it keep what it does not have. A cache belongs to the examples of one data set, which are known
/// by their index, and to one model, whose frozen layers must stay as they are. Both the objective and the
/// cache must outlive it. A model whose embeddings are trained is evaluated as ever.
template <class Inner>
class OnFrozenBottom {
public:
  using Example = typename Inner::Example;
  /// Some examples and which of the data set they are.
  struct Batch : Inner::Batch {
    std::vector<std::size_t> examples;
  };

  OnFrozenBottom(Inner const& inner, BottomCache& cache) : inner_(&inner), cache_(&cache) {}

  [[nodiscard]] Batch batch(std::span<Example const> examples, std::span<std::size_t const> indices) const {
    return {inner_->batch(examples, indices), {indices.begin(), indices.end()}};
  }

  [[nodiscard]] std::size_t classes() const noexcept { return inner_->classes(); }

  /// As the inner objective's.
  template <class Model, random::Perturbation P>
  requires TakesBottom<Inner, Model>
  [[nodiscard]] Lanes<float> scores(Model const& model, Batch const& batch, random::Perturbed<P> const& at,
                                    Runtime& runtime) const {
    return inner_->scores(model, batch, at, runtime, bottom(model, batch, at.perturbation, runtime));
  }

  /// The loss at each point.
  template <class Model, random::Perturbation P>
  requires TakesBottom<Inner, Model>
  [[nodiscard]] std::vector<float> operator()(Model const& model, Batch const& batch,
                                              random::Perturbed<P> const& at, Runtime& runtime) const {
    Workspace::Frame const frame(runtime.workspace());
    return (*inner_)(model, batch, at, runtime, bottom(model, batch, at.perturbation, runtime));
  }

private:
  /// Where the rows of each example lie among those of a bottom, and which row of the tokens is each when the
  /// head needs no more.
  struct Layout {
    std::size_t layers, width;
    std::span<std::size_t const> offsets, rows;

    /// The row with which example i of the batch begins.
    [[nodiscard]] std::size_t first(std::size_t i) const noexcept { return rows.empty() ? offsets[i] : i; }
    [[nodiscard]] std::size_t count(std::size_t i) const noexcept { return first(i + 1) - first(i); }
  };

  /// What the model is to start from, in the workspace; empty for the tokens.
  template <class Model, random::Perturbation P>
  [[nodiscard]] models::Bottom bottom(Model const& model, Batch const& batch, P const& perturbation,
                                      Runtime& runtime) const {
    std::optional<std::size_t> const layers = model.first_trained_layer();
    if (!layers || cache_->budget() == 0) {
      return {};
    }
    cache_->require_layers(*layers);
    auto const& shape = model.config().encoder;
    Layout layout{*layers, shape.width, batch.tokens.offsets(), {}};
    if (*layers == shape.layers) {
      layout.rows = inner_->head_rows(model, batch);
    }
    Lanes<float> const states =
        take_lanes(runtime.workspace(), 1, layout.first(batch.examples.size()), shape.width);
    std::vector<std::size_t> missing; // places in the batch
    for (std::size_t i = 0; i < batch.examples.size(); ++i) {
      std::span<float const> const kept = cache_->find(batch.examples[i]);
      if (kept.empty()) {
        missing.push_back(i);
        continue;
      }
      require(kept.size() == layout.count(i) * shape.width, "example ", batch.examples[i], " has ",
              layout.count(i), " states, and not as many are kept; use a cache for each data set");
      for (std::size_t r = 0; r < layout.count(i); ++r) {
        std::copy_n(kept.data() + r * shape.width, shape.width, states.row(0, layout.first(i) + r));
      }
    }
    if (!missing.empty()) {
      compute(model, batch, missing, layout, states, perturbation, runtime);
    }
    return {*layers, states, !layout.rows.empty()};
  }

  /// Computes the states of the examples at the places `missing` of the batch.
  template <class Model, random::Perturbation P>
  void compute(Model const& model, Batch const& batch, std::span<std::size_t const> missing,
               Layout const& layout, Lanes<float> states, P const& perturbation, Runtime& runtime) const {
    Workspace::Frame const frame(runtime.workspace());
    models::Batch tokens;
    std::vector<std::size_t> rows;
    for (std::size_t const i : missing) {
      std::size_t const begin = layout.offsets[i];
      if (!layout.rows.empty()) {
        rows.push_back(tokens.tokens() + layout.rows[i] - begin);
      }
      std::span<std::int32_t const> const ids = batch.tokens.ids(i);
      tokens.add(ids, batch.tokens.types().subspan(begin, ids.size()));
    }
    Lanes<float const> const x = model.bottom(tokens, layout.layers, rows, perturbation, runtime).states;
    std::size_t from = 0;
    for (std::size_t const i : missing) {
      for (std::size_t r = 0; r < layout.count(i); ++r) {
        std::copy_n(x.row(0, from + r), layout.width, states.row(0, layout.first(i) + r));
      }
      cache_->keep(batch.examples[i], x, from, layout.count(i));
      from += layout.count(i);
    }
  }

  Inner const* inner_;
  BottomCache* cache_;
};

} // namespace pocketllm::train
