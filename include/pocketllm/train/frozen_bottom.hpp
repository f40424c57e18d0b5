// SPDX-License-Identifier: Apache-2.0
// What the layers below the lowest trained one make of an example never changes: it is computed once in a
// run, as far as there is memory for it, and a step starts from there.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/core/lanes.hpp>
#include <pocketllm/core/runtime.hpp>
#include <pocketllm/core/scratch_file.hpp>
#include <pocketllm/models/frozen_bottom.hpp>
#include <pocketllm/random/perturbed.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

namespace pocketllm::train {

/// Hidden states of the examples of a data set, up to a budget in bytes. Nothing is ever thrown out for
/// another example: in epochs each example comes once, so the one that has been away longest is the next.
///
/// They lie in memory, or in a file that is mapped into memory: its pages are the system's to take away and
/// to fetch again, so that a budget may be larger than the memory there is.
class BottomCache {
public:
  /// In memory, which is taken as examples come. 0 keeps nothing.
  explicit BottomCache(std::size_t budget_bytes) : budget_(budget_bytes) {}

  /// In a file without a name in `directory`, which takes all of the budget at once. Throws Error if that
  /// cannot be had.
  BottomCache(std::size_t budget_bytes, std::filesystem::path const& directory) : budget_(budget_bytes) {
    if (budget_bytes != 0) {
      file_.emplace(directory, budget_bytes);
    }
  }

  /// What is kept must have come from the same number of layers. Throws Error otherwise.
  void require_layers(std::size_t layers) {
    require(bytes_ == 0 || layers == layers_, "states behind ", layers_,
            " layers are kept, and the lowest trained layer is ", layers,
            " now; use another cache for what is trained now");
    layers_ = layers;
  }

  /// The states of an example, row by row, or nothing.
  [[nodiscard]] std::span<float const> find(std::size_t example) const noexcept {
    return example < states_.size() ? states_[example] : std::span<float const>();
  }

  /// Copies the `count` rows of X from row `first` on, if they are within the budget. Throws Error if a file
  /// cannot be written.
  void keep(std::size_t example, Lanes<float const> x, std::size_t first, std::size_t count) {
    std::size_t const bytes = count * x.cols * sizeof(float);
    if (bytes > budget_ - bytes_ || !find(example).empty()) {
      return;
    }
    states_.resize(std::max(states_.size(), example + 1));
    std::vector<float> states;
    states.reserve(count * x.cols);
    for (std::size_t r = first; r < first + count; ++r) {
      states.insert(states.end(), x.row(0, r), x.row(0, r) + x.cols);
    }
    if (file_) {
      // the map begins a page, and what is before it is whole floats
      auto const* const mapped = file_->append(std::as_bytes(std::span(states))).data();
      states_[example] = {reinterpret_cast<float const*>(mapped), states.size()};
    } else {
      states_[example] = in_memory_.emplace_back(std::move(states));
    }
    bytes_ += bytes;
    ++examples_;
  }

  /// Bytes that the states may take; 0 for none.
  [[nodiscard]] std::size_t budget() const noexcept { return budget_; }
  /// Bytes of all states that are kept.
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
  /// Number of examples that are kept.
  [[nodiscard]] std::size_t examples() const noexcept { return examples_; }

private:
  std::size_t budget_, bytes_ = 0, examples_ = 0, layers_ = 0;
  std::vector<std::span<float const>> states_; ///< by example; empty where there are none
  std::vector<std::vector<float>> in_memory_;  ///< what they point to, or
  std::optional<ScratchFile> file_;
};

/// An objective whose losses can be had from the states behind a model's frozen layers, a models::Bottom as
/// the last argument of the call. In a batch, the rows of an example lie one behind the other.
template <class O, class Model>
concept TakesBottom = requires(O const o, Model const& model, typename O::Batch const& batch,
                               random::Perturbed<random::Gaussian> const& at, Runtime& runtime,
                               models::Bottom const& bottom) {
  requires models::HasBottom<Model, std::remove_cvref_t<decltype(batch.tokens)>>;
  { o(model, batch, at, runtime, bottom) } -> std::convertible_to<std::vector<float>>;
};
static_assert(!TakesBottom<BottomCache, int>);

/// The objective `Inner` with the same losses, bit for bit, that starts from what a cache has of an example
/// and lets it keep what it does not have. A cache belongs to the examples of one data set, which are known
/// by their index, and to one model, whose frozen layers must stay as they are. Both the objective and the
/// cache must outlive it. A model whose embeddings are trained is evaluated as ever.
///
/// When only the head is trained and looks at one token of each example, which the inner objective's
/// head_rows(model, batch) then names, the states of that token are all that is kept.
template <class Inner>
class OnFrozenBottom {
public:
  /// The inner objective's.
  using Example = typename Inner::Example;
  /// Some examples and which of the data set they are.
  struct Batch : Inner::Batch {
    std::vector<std::size_t> examples = {}; ///< their indices in the data set; empty where the budget is 0
    std::vector<std::size_t> first = {};    ///< the row of each example's first token, and the end
    std::vector<std::size_t> missing = {};  ///< places in the batch of those that the cache does not have
    typename Inner::Batch rest = {};        ///< a batch of them
  };

  /// Both are kept by reference.
  OnFrozenBottom(Inner const& inner, BottomCache& cache) : inner_(&inner), cache_(&cache) {}

  /// The inner objective's batch, and what the cache lacks of it now.
  [[nodiscard]] Batch batch(std::span<Example const> examples, std::span<std::size_t const> indices) const {
    Batch batch{inner_->batch(examples, indices)};
    if (cache_->budget() == 0) {
      return batch;
    }
    std::vector<std::size_t> missing;
    batch.first.push_back(0);
    for (std::size_t const& index : indices) {
      std::size_t const tokens = inner_->batch(examples, std::span(&index, 1)).tokens.tokens();
      if (cache_->find(index).empty()) {
        missing.push_back(index);
        batch.missing.push_back(batch.examples.size());
      }
      batch.examples.push_back(index);
      batch.first.push_back(batch.first.back() + tokens);
    }
    batch.rest = inner_->batch(examples, missing);
    return batch;
  }

  /// As the inner objective's, where that has classes.
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

  /// What the layers below the lowest trained one make of all tokens of a batch, kept or made now; it lies in
  /// the workspace. The embeddings must not be trained.
  template <class Model, random::Perturbation P>
  requires TakesBottom<Inner, Model>
  [[nodiscard]] models::Bottom states(Model const& model, Batch const& batch, P const& perturbation,
                                      Runtime& runtime) const {
    models::Bottom const kept = bottom(model, batch, perturbation, runtime);
    return kept.empty()
               ? model.bottom(batch.tokens, model.first_trained_layer().value(), {}, perturbation, runtime)
               : kept;
  }

  /// The bytes that the states of all `examples` take; none when nothing of them can be kept.
  template <class Model>
  requires TakesBottom<Inner, Model>
  [[nodiscard]] static std::size_t bytes(Inner const& inner, Model const& model,
                                         std::span<Example const> examples) {
    std::optional<std::size_t> const layers = model.first_trained_layer();
    std::size_t rows = 0;
    for (std::size_t i = 0; layers && i < examples.size(); ++i) {
      auto const batch = inner.batch(examples, std::span(&i, 1));
      rows += head_rows(inner, model, batch, *layers).empty() ? batch.tokens.tokens() : 1;
    }
    return rows * model.hidden_width() * sizeof(float);
  }

private:
  /// The rows of which the states behind `layers` layers are needed, one for each example; none for all.
  template <class Model>
  [[nodiscard]] static std::span<std::size_t const>
  head_rows(Inner const& inner, Model const& model, typename Inner::Batch const& batch, std::size_t layers) {
    if constexpr (requires { inner.head_rows(model, batch); }) {
      if (layers == model.layer_count()) {
        return inner.head_rows(model, batch);
      }
    }
    return {};
  }

  /// What the model is to start from, in the workspace; empty for the tokens.
  template <class Model, random::Perturbation P>
  [[nodiscard]] models::Bottom bottom(Model const& model, Batch const& batch, P const& perturbation,
                                      Runtime& runtime) const {
    std::optional<std::size_t> const layers = model.first_trained_layer();
    if (!layers || cache_->budget() == 0) {
      return {};
    }
    cache_->require_layers(*layers);
    bool const one_row = !head_rows(*inner_, model, batch, *layers).empty();
    auto const first = [&](std::size_t i) { return one_row ? i : batch.first[i]; };
    std::size_t const width = model.hidden_width();
    Lanes<float> const states = take_lanes(runtime.workspace(), 1, first(batch.examples.size()), width);
    Workspace::Frame const frame(runtime.workspace());
    Lanes<float const> rest;
    if (!batch.missing.empty()) {
      auto const rows = head_rows(*inner_, model, batch.rest, *layers);
      rest = model.bottom(batch.rest.tokens, *layers, rows, perturbation, runtime).states;
    }
    for (std::size_t i = 0, next = 0, from = 0; i < batch.examples.size(); ++i) {
      std::size_t const rows = first(i + 1) - first(i);
      if (next < batch.missing.size() && batch.missing[next] == i) {
        copy(rest, from, rows, states, first(i));
        cache_->keep(batch.examples[i], rest, from, rows);
        from += rows;
        ++next;
      } else {
        std::span<float const> const kept = cache_->find(batch.examples[i]);
        require(kept.size() == rows * width, "example ", batch.examples[i], " has ", rows,
                " states, and not as many are kept; use a cache for each data set");
        copy({kept.data(), 1, rows, width}, 0, rows, states, first(i));
      }
    }
    return {*layers, states, one_row};
  }

  /// Copies `count` rows of X, from row `from` on, to Y, from row `to` on.
  static void copy(Lanes<float const> x, std::size_t from, std::size_t count, Lanes<float> y,
                   std::size_t to) {
    for (std::size_t r = 0; r < count; ++r) {
      std::copy_n(x.row(0, from + r), x.cols, y.row(0, to + r));
    }
  }

  Inner const* inner_;
  BottomCache* cache_;
};

} // namespace pocketllm::train
