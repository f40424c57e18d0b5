// SPDX-License-Identifier: Apache-2.0
// OPT (Zhang et al., arXiv 2205.01068): a decoder that predicts the next token.
#pragma once

#include <pocketllm/layers/embedding.hpp>
#include <pocketllm/models/decoder.hpp>
#include <pocketllm/models/encoder.hpp>
#include <pocketllm/models/frozen_bottom.hpp>
#include <pocketllm/models/key_value_cache.hpp>
#include <pocketllm/models/opt_config.hpp>
#include <pocketllm/models/vocabulary_head.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pocketllm::models {

/// OPT with matrices stored as T; vectors (biases, LayerNorm) are floats. Activations live in the workspace
/// of the runtime: a function that returns some needs a Workspace::Frame around it at its caller.
template <layers::Weights T>
class Opt {
public:
  /// Sizes and variants, as config.json has them.
  using Config = OptConfig;

  /// Tensors have names and shapes, and no values yet; io::load makes a model with those of a directory.
  explicit Opt(Config const& config)
      : config_(config), words_("model.decoder.embed_tokens", config.vocabulary, config.embedding_width),
        positions_("model.decoder.embed_positions", config.positions + Config::position_offset,
                   config.decoder.width),
        decoder_("model.decoder.layers", config.decoder) {
    if (config.embedding_width != config.decoder.width) {
      project_in_.emplace("model.decoder.project_in", config.decoder.width, config.embedding_width, false);
      project_out_.emplace("model.decoder.project_out", config.embedding_width, config.decoder.width, false);
    }
    if (config.final_norm) {
      norm_.emplace(detail::make_norm("model.decoder.final_layer_norm", config.decoder));
    }
    if (!config.tied_head) {
      head_.emplace("lm_head", config.vocabulary, config.embedding_width);
    }
  }

  /// As given to the constructor.
  [[nodiscard]] Config const& config() const noexcept { return config_; }

  /// What the head sees of every token, [lanes, tokens, embedding width]. `observe(i, X)` sees the states
  /// before layer i.
  template <random::Perturbation P, class Observer = NoObserver>
  [[nodiscard]] Lanes<float> hidden(CausalBatch const& batch, random::Perturbed<P> const& at,
                                    Runtime& runtime, Past const& past = {}, Observer&& observe = {}) const {
    Workspace& workspace = runtime.workspace();
    Lanes<float> const y = take_lanes(workspace, at.lanes(), batch.tokens(), config_.embedding_width);
    Workspace::Frame const frame(workspace);
    Lanes<float> const x = embed(batch, past, at, runtime);
    decoder_(x, batch, past, at, runtime, observe);
    leave(x, y, at, runtime);
    return y;
  }

  /// ln of the probability of each target, [lanes, targets, 1]. Scores of all words are never held at once,
  /// and the last layer is computed for the targets' rows only. What lies below the lowest trained layer is
  /// computed once for all points, unless there is a past, or given.
  template <random::Perturbation P>
  [[nodiscard]] Lanes<float> log_probabilities(CausalBatch const& batch, std::span<Target const> targets,
                                               random::Perturbed<P> const& at, Runtime& runtime,
                                               Past const& past = {}, Bottom const& bottom = {}) const {
    Lanes<float> const out = take_lanes(runtime.workspace(), at.lanes(), targets.size(), 1);
    Workspace::Frame const frame(runtime.workspace());
    std::vector<std::size_t> const rows = rows_of(targets);
    Lanes<float> const h = hidden_at(batch, rows, at, runtime, past, bottom);
    models::log_probabilities(Lanes<float const>(h), rows, word_table(), targets, at, out, runtime);
    return out;
  }

  /// The same without a past, from a bottom of the batch.
  template <random::Perturbation P>
  [[nodiscard]] Lanes<float> log_probabilities(CausalBatch const& batch, std::span<Target const> targets,
                                               random::Perturbed<P> const& at, Runtime& runtime,
                                               Bottom const& bottom) const {
    return log_probabilities(batch, targets, at, runtime, Past{}, bottom);
  }

  /// As EncoderModel's (models/encoder_model.hpp). The final norm belongs to the head, and bottom() has the
  /// states of all tokens.
  [[nodiscard]] std::optional<std::size_t> first_trained_layer() const {
    return models::first_trained_layer(decoder_.layers, [&](auto& f) { visit_below(*this, f); });
  }
  /// Number of layers of the decoder; embeddings and final norm are none.
  [[nodiscard]] std::size_t layer_count() const noexcept { return decoder_.layers.size(); }
  /// Numbers of a token's state between two layers, which may be more than a word has in the table.
  [[nodiscard]] std::size_t hidden_width() const noexcept { return config_.decoder.width; }
  /// What embeddings and the first `layers` layers make of a batch: all tokens, whichever rows are asked for.
  /// Throws Error when there are not so many layers.
  template <random::Perturbation P>
  [[nodiscard]] Bottom bottom(CausalBatch const& batch, std::size_t layers,
                              std::span<std::size_t const> /*rows*/, P const& perturbation,
                              Runtime& runtime) const {
    require(layers <= layer_count(), "this OPT has ", layer_count(), " layers, not ", layers);
    auto const at = random::unperturbed(perturbation);
    Lanes<float> const x = embed(batch, {}, at, runtime);
    decoder_.range(0, layers, x, batch, {}, at, runtime);
    return {layers, x};
  }

  /// Scores of all words behind the tokens `rows`, ascending: [lanes, rows, vocabulary].
  template <random::Perturbation P>
  [[nodiscard]] Lanes<float> word_scores(CausalBatch const& batch, std::span<std::size_t const> rows,
                                         random::Perturbed<P> const& at, Runtime& runtime,
                                         Past const& past = {}) const {
    Lanes<float> const scores = take_lanes(runtime.workspace(), at.lanes(), rows.size(), config_.vocabulary);
    Workspace::Frame const frame(runtime.workspace());
    Lanes<float> const h = hidden_at(batch, rows, at, runtime, past);
    tensor::product(Lanes<float const>(h), word_table(), nullptr, at, scores, runtime);
    return scores;
  }

  /// The word with the highest score behind each of the tokens `rows`, ascending: [lanes * rows], lane after
  /// lane. Scores of all words are never held at once.
  template <random::Perturbation P>
  [[nodiscard]] std::vector<std::int32_t>
  likeliest_words(CausalBatch const& batch, std::span<std::size_t const> rows, random::Perturbed<P> const& at,
                  Runtime& runtime, Past const& past = {}) const {
    Workspace::Frame const frame(runtime.workspace());
    Lanes<float> const h = hidden_at(batch, rows, at, runtime, past);
    return models::likeliest_words(Lanes<float const>(h), word_table(), at, runtime);
  }

  /// A cache for reading up to `capacity` tokens of one sequence. Throws Error when there are no positions
  /// for so many.
  [[nodiscard]] KeyValueCache make_cache(std::size_t capacity) const {
    return detail::make_cache(config_.decoder, config_.max_tokens(), capacity);
  }

  /// Reads `ids` on from what is in the cache. Scores of all words for what follows, [1, 1, vocabulary].
  [[nodiscard]] Lanes<float> read(KeyValueCache& cache, std::span<std::int32_t const> ids,
                                  Runtime& runtime) const {
    CausalBatch batch;
    batch.add(ids);
    std::vector<std::size_t> const last{ids.size() - 1};
    Lanes<float> const scores =
        word_scores(batch, last, random::unperturbed(), runtime, cache.extend(ids.size()));
    cache.commit(ids.size());
    return scores;
  }

  /// The norm right before the words' scores, for training it alone (train/final_norm.hpp); null where there
  /// is none with weights, or a projection behind it.
  [[nodiscard]] layers::LayerNorm const* final_norm() const noexcept {
    return norm_ && config_.decoder.norm_weights && !project_out_ ? &*norm_ : nullptr;
  }
  /// The same, to be trained.
  [[nodiscard]] layers::LayerNorm* final_norm() noexcept {
    return const_cast<layers::LayerNorm*>(std::as_const(*this).final_norm());
  }
  /// The matrix [vocabulary, embedding width] whose rows, times a token's vector, are the words' scores.
  [[nodiscard]] auto const& word_table() const noexcept { return head_ ? head_->weight : words_.weight; }

  /// Calls f(tensor) once for every weight.
  template <class F>
  void for_each_tensor(F&& f) {
    visit(*this, f);
  }
  /// The same for tensors that are only read.
  template <class F>
  void for_each_tensor(F&& f) const {
    visit(*this, f);
  }

  /// Tensors of a file that this model has no use for: copies of tied ones.
  [[nodiscard]] bool ignores(std::string_view name) const {
    return config_.tied_head && name == "lm_head.weight";
  }

  /// Other names under which a tensor may stand in a file: without "model." where only the decoder was saved.
  [[nodiscard]] std::vector<std::string> aliases(std::string const& name) const {
    constexpr std::string_view prefix = "model.";
    return name.starts_with(prefix) ? std::vector{name.substr(prefix.size())} : std::vector<std::string>{};
  }

private:
  template <class Self, class F>
  static void visit_below(Self& self, F&& f) {
    layers::Embedding<T>::visit(self.words_, f);
    layers::Embedding<T>::visit(self.positions_, f);
    if (self.project_in_) {
      layers::Linear<T>::visit(*self.project_in_, f);
    }
  }
  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    visit_below(self, f);
    Decoder<T>::visit(self.decoder_, f);
    if (self.norm_ && self.config_.decoder.norm_weights) {
      layers::LayerNorm::visit(*self.norm_, f);
    }
    if (self.project_out_) {
      layers::Linear<T>::visit(*self.project_out_, f);
    }
    if (self.head_) {
      layers::Embedding<T>::visit(*self.head_, f);
    }
  }

  /// X [lanes, tokens, width]: words, projected where that is needed, and positions.
  template <random::Perturbation P>
  [[nodiscard]] Lanes<float> embed(CausalBatch const& batch, Past const& past, random::Perturbed<P> const& at,
                                   Runtime& runtime) const {
    Workspace& workspace = runtime.workspace();
    Lanes<float> const x = take_lanes(workspace, at.lanes(), batch.tokens(), config_.decoder.width);
    if (project_in_) {
      Workspace::Frame const frame(workspace);
      Lanes<float> const words = take_lanes(workspace, at.lanes(), batch.tokens(), config_.embedding_width);
      words_(batch.ids(), at, words, false, runtime);
      tensor::products(tensor::pack(Lanes<float const>(words), runtime), {project_in_->into(x)}, at, runtime);
    } else {
      words_(batch.ids(), at, x, false, runtime);
    }
    positions_(position_ids(batch, past.rows), at, x, true, runtime);
    return x;
  }

  /// Y = X behind the final norm and the projection, where there are such. X is overwritten.
  template <random::Perturbation P>
  void leave(Lanes<float> x, Lanes<float> y, random::Perturbed<P> const& at, Runtime& runtime) const {
    if (norm_) {
      (*norm_)(x, {}, at, runtime);
    }
    if (project_out_) {
      Workspace::Frame const frame(runtime.workspace());
      tensor::products(tensor::pack(Lanes<float const>(x), runtime), {project_out_->into(y)}, at, runtime);
    } else {
      detail::copy(x, y, runtime);
    }
  }

  /// What the head sees of the tokens `rows`, ascending: [lanes, rows.size(), embedding width].
  template <random::Perturbation P>
  [[nodiscard]] Lanes<float> hidden_at(CausalBatch const& batch, std::span<std::size_t const> rows,
                                       random::Perturbed<P> const& at, Runtime& runtime, Past const& past,
                                       Bottom const& given = {}) const {
    Workspace& workspace = runtime.workspace();
    Lanes<float> const y = take_lanes(workspace, at.lanes(), rows.size(), config_.embedding_width);
    Workspace::Frame const frame(workspace);
    Lanes<float> const chosen = take_lanes(workspace, at.lanes(), rows.size(), config_.decoder.width);
    Bottom const bottom = past.empty() ? shared_bottom(*this, batch, rows, at, runtime, given) : Bottom{};
    if (bottom.empty()) {
      decoder_.at_rows(embed(batch, past, at, runtime), rows, chosen, batch, past, at, runtime);
    } else {
      decoder_.at_rows(bottom, rows, chosen, batch, at, runtime);
    }
    leave(chosen, y, at, runtime);
    return y;
  }

  /// Rows of the position table: positions count on from `before` and from the prompt.
  [[nodiscard]] std::vector<std::int32_t> position_ids(CausalBatch const& batch, std::size_t before) const {
    std::vector<std::int32_t> positions;
    positions.reserve(batch.tokens());
    for (std::size_t s = 0; s < batch.size(); ++s) {
      std::size_t const first = before + batch.tokens_before(s), end = first + batch.ids(s).size();
      require(end <= config_.max_tokens(), "sequence ", s, " ends with token ", end,
              " of its context; the model has positions for ", config_.max_tokens());
      for (std::size_t position = first; position < end; ++position) {
        positions.push_back(static_cast<std::int32_t>(position + Config::position_offset));
      }
    }
    return positions;
  }

  Config config_;
  layers::Embedding<T> words_, positions_;
  std::optional<layers::Linear<T>> project_in_, project_out_;
  Decoder<T> decoder_;
  std::optional<layers::LayerNorm> norm_;
  std::optional<layers::Embedding<T>> head_;
};
static_assert(HasBottom<Opt<float>, CausalBatch>);

} // namespace pocketllm::models
