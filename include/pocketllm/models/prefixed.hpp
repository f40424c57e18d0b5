// SPDX-License-Identifier: Apache-2.0
// Prefix tuning (Li and Liang, arXiv 2101.00190): the keys and values of some virtual tokens in front of
// every sequence are trained, the model itself is not.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/core/lanes.hpp>
#include <pocketllm/core/runtime.hpp>
#include <pocketllm/models/batch.hpp>
#include <pocketllm/models/causal_batch.hpp>
#include <pocketllm/models/frozen_bottom.hpp>
#include <pocketllm/models/generate.hpp>
#include <pocketllm/models/key_value_cache.hpp>
#include <pocketllm/models/past.hpp>
#include <pocketllm/models/pooling.hpp>
#include <pocketllm/random/perturbed.hpp>
#include <pocketllm/tensor/perturbed_row.hpp>
#include <pocketllm/tensor/tensor.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace pocketllm::models {

/// A model whose tokens see those behind them too and which scores words in their places, or classes, behind
/// a past.
template <class M>
concept BidirectionalModel = FillsCache<M> &&
    requires(M const& model, Batch const& batch, std::span<std::size_t const> rows,
             std::span<std::int32_t const> words, random::Perturbed<random::Gaussian> const& at,
             Runtime& runtime, Bottom const& bottom, Past const& past) {
  { model.word_scores(batch, rows, words, at, runtime, bottom, past) } -> std::same_as<Lanes<float>>;
  { model.class_scores(batch, at, runtime, bottom, past) } -> std::same_as<Lanes<float>>;
  { model.pooled(batch, Pooling::mean, at, runtime, bottom, past) } -> std::same_as<Lanes<float>>;
};
static_assert(!BidirectionalModel<KeyValueCache>);

/// A model with a trained prefix, of either kind: it is used as the model is, which does not know of it. The
/// prefix takes positions, as with the `peft` package, whose name and layout its one tensor has:
/// prompt_embeddings [tokens, layers * 2 * width], of each layer the keys and then the values.
template <class Model>
requires TextGenerator<Model> || BidirectionalModel<Model>
class Prefixed {
public:
  /// The model's own kind.
  using Config = typename Model::Config;

  /// A prefix that begins with the tokens `start`. All tensors of the model are frozen. Throws Error when
  /// there are no tokens, or no positions left behind them.
  Prefixed(Model model, std::span<std::int32_t const> start, Runtime& runtime)
      : Prefixed(std::move(model), start.size()) {
    begin(start, runtime);
  }

  /// A prefix of `tokens` tokens that has no values yet: begin() and prefix() give it some.
  Prefixed(Model model, std::size_t tokens) : model_(std::move(model)), config_(model_.config()) {
    require(tokens != 0, "a prefix has at least one token");
    require(tokens < config_.max_tokens(), "a prefix of ", tokens,
            " tokens leaves no position; the model has ", config_.max_tokens());
    config_.positions -= tokens;
    KeyValueCache const shape = model_.make_cache(0);
    layers_ = shape.layers();
    width_ = shape.width();
    prefix_ = {"prompt_embeddings", {tokens, layers_ * 2 * width_}};
    model_.for_each_tensor([](auto& tensor) { tensor.set_trained(false); });
  }

  /// Lets the prefix begin with the keys and values of `start`, real tokens and as many as it has, as in MeZO
  /// (arXiv 2305.17333, appendix E.5): as if they stood in front, without seeing what is behind them. Throws
  /// Error for another number of tokens.
  void begin(std::span<std::int32_t const> start, Runtime& runtime) {
    require(start.size() == prefix_.rows(), "a prefix of ", prefix_.rows(), " tokens cannot begin with ",
            start.size());
    KeyValueCache cache = model_.make_cache(start.size());
    {
      Workspace::Frame const frame(runtime.workspace());
      static_cast<void>(model_.read(cache, start, runtime)); // scores, where there are such
    }
    prefix_.allocate();
    for (std::size_t layer = 0; layer < layers_; ++layer) {
      layers::KeyValues const from = cache.at(layer);
      for (std::size_t row = 0; row < start.size(); ++row) {
        float* const to = prefix_.mutable_data() + row * prefix_.cols() + 2 * layer * width_;
        std::copy_n(from.v.row(0, row), width_, std::copy_n(from.k.row(0, row), width_, to));
      }
    }
  }

  /// The model's, with the positions that the prefix leaves.
  [[nodiscard]] Config const& config() const noexcept { return config_; }
  /// The model without its prefix; all of its tensors are frozen.
  [[nodiscard]] Model const& model() const noexcept { return model_; }
  /// The one tensor that is trained: [tokens, layers * 2 * width].
  [[nodiscard]] tensor::Tensor<float> const& prefix() const noexcept { return prefix_; }
  /// To fill it, for instance from a file of the `peft` package.
  [[nodiscard]] tensor::Tensor<float>& prefix() noexcept { return prefix_; }

  /// As the model's, behind the prefix.
  template <random::Perturbation P>
  requires BidirectionalModel<Model>
  [[nodiscard]] Lanes<float> word_scores(Batch const& batch, std::span<std::size_t const> rows,
                                         std::span<std::int32_t const> words, random::Perturbed<P> const& at,
                                         Runtime& runtime) const {
    return model_.word_scores(batch, rows, words, at, runtime, {}, past(at, runtime));
  }
  /// As the model's, behind the prefix.
  template <random::Perturbation P>
  requires BidirectionalModel<Model>
  [[nodiscard]] Lanes<float> class_scores(Batch const& batch, random::Perturbed<P> const& at,
                                          Runtime& runtime) const {
    return model_.class_scores(batch, at, runtime, {}, past(at, runtime));
  }
  /// As the model's, behind the prefix, which is no token that is pooled.
  template <random::Perturbation P>
  requires BidirectionalModel<Model>
  [[nodiscard]] Lanes<float> pooled(Batch const& batch, Pooling pooling, random::Perturbed<P> const& at,
                                    Runtime& runtime) const {
    return model_.pooled(batch, pooling, at, runtime, {}, past(at, runtime));
  }

  /// As the model's, behind the prefix.
  template <random::Perturbation P>
  requires TextGenerator<Model>
  [[nodiscard]] Lanes<float> log_probabilities(CausalBatch const& batch, std::span<Target const> targets,
                                               random::Perturbed<P> const& at, Runtime& runtime) const {
    return model_.log_probabilities(batch, targets, at, runtime, past(at, runtime));
  }

  /// As the model's, behind the prefix.
  template <random::Perturbation P>
  requires TextGenerator<Model>
  [[nodiscard]] std::vector<std::int32_t> likeliest_words(CausalBatch const& batch,
                                                          std::span<std::size_t const> rows,
                                                          random::Perturbed<P> const& at,
                                                          Runtime& runtime) const {
    Workspace::Frame const frame(runtime.workspace());
    return model_.likeliest_words(batch, rows, at, runtime, past(at, runtime));
  }

  /// A cache in which the prefix stands, with room for `capacity` tokens behind it.
  [[nodiscard]] KeyValueCache make_cache(std::size_t capacity) const requires TextGenerator<Model> {
    KeyValueCache cache = model_.make_cache(capacity + prefix_.rows());
    Past const past = cache.extend(prefix_.rows());
    for (std::size_t layer = 0; layer < layers_; ++layer) {
      for (std::size_t row = 0; row < prefix_.rows(); ++row) {
        float const* const from = prefix_.row(row) + 2 * layer * width_;
        std::copy_n(from, width_, past.own[layer].first.row(0, row));
        std::copy_n(from + width_, width_, past.own[layer].second.row(0, row));
      }
    }
    cache.commit(prefix_.rows());
    return cache;
  }
  /// As the model's. `cache` must come from this object's make_cache: there the prefix stands.
  [[nodiscard]] Lanes<float> read(KeyValueCache& cache, std::span<std::int32_t const> ids,
                                  Runtime& runtime) const requires TextGenerator<Model> {
    return model_.read(cache, ids, runtime);
  }

  /// Calls f(tensor) for the model's tensors and for the prefix.
  template <class F>
  void for_each_tensor(F&& f) {
    model_.for_each_tensor(f);
    f(prefix_);
  }
  /// The same for tensors that are only read.
  template <class F>
  void for_each_tensor(F&& f) const {
    model_.for_each_tensor(f);
    f(prefix_);
  }

private:
  /// The prefix at all points, in the workspace: [lanes, tokens, width] for keys and values of each layer.
  template <random::Perturbation P>
  [[nodiscard]] Past past(random::Perturbed<P> const& at, Runtime& runtime) const {
    Past past{prefix_.rows()};
    for (std::size_t part = 0; part < 2 * layers_; ++part) {
      Lanes<float> const rows = take_lanes(runtime.workspace(), at.lanes(), prefix_.rows(), width_);
      for (std::size_t row = 0; row < rows.rows; ++row) {
        tensor::perturbed_row(prefix_, at, {row, part * width_, width_}, rows.row(0, row),
                              rows.lane_stride());
      }
      if (part % 2 == 0) {
        past.before.push_back({rows, rows});
      } else {
        past.before.back().v = rows;
      }
    }
    return past;
  }

  Model model_;
  Config config_;
  std::size_t layers_ = 0, width_ = 0;
  tensor::Tensor<float> prefix_;
};

} // namespace pocketllm::models
