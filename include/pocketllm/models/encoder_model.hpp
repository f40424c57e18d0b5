// SPDX-License-Identifier: Apache-2.0
// Embeddings, encoder and a head: BERT and RoBERTa, which differ in names and positions only.
#pragma once

#include <pocketllm/models/embeddings.hpp>
#include <pocketllm/models/encoder.hpp>
#include <pocketllm/models/encoder_config.hpp>
#include <pocketllm/models/encoder_heads.hpp>
#include <pocketllm/models/frozen_bottom.hpp>
#include <pocketllm/models/gather.hpp>
#include <pocketllm/models/key_value_cache.hpp>
#include <pocketllm/models/pooling.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pocketllm::models {

/// A model with matrices stored as T; vectors (biases, LayerNorm) are floats. Activations live in the
/// workspace of the runtime: a function that returns some needs a Workspace::Frame around it at its caller.
///
/// What lies below the lowest trained layer is computed once for all points. Functions that score or pool
/// also take it, from bottom(), possibly of an earlier step: the bits are the same.
///
/// The last argument of functions of a batch is what stands before each of its sequences, for instance a
/// trained prefix. It takes positions, and under it each layer is another one: there is no bottom then.
template <EncoderFamily Family, layers::Weights T>
class EncoderModel {
public:
  /// Sizes and heads, as config.json has them.
  using Config = EncoderModelConfig<Family>;
  static constexpr EncoderNames names = Family::names; ///< for messages, and of tensors

  /// Tensors have names and shapes, and no values yet; io::load makes a model with those of a directory.
  explicit EncoderModel(Config const& config)
      : config_(config), embeddings_(prefix() + "embeddings", config),
        encoder_(prefix() + "encoder.layer", config.encoder) {
    if (config.classes != 0 || (config.headless && config.pooler)) {
      class_head_.emplace(config);
    } else if (!config.headless) {
      masked_head_.emplace(config);
    }
  }

  /// As given to the constructor.
  [[nodiscard]] Config const& config() const noexcept { return config_; }

  /// The hidden state of every token behind the last layer, [lanes, tokens, width]. `observe(i, X)` sees the
  /// states before layer i and behind the last one.
  template <random::Perturbation P, class Observer = NoObserver>
  [[nodiscard]] Lanes<float> hidden(Batch const& batch, random::Perturbed<P> const& at, Runtime& runtime,
                                    Observer&& observe = {}, Past const& past = {}) const {
    Lanes<float> const x = embed(batch, past, at, runtime);
    encoder_(x, batch, past, at, runtime, observe);
    return x;
  }

  /// Scores of the words `words` at the tokens `rows` (indices into batch.ids()): [lanes, rows, words]. All
  /// words of the vocabulary when `words` is empty. Throws Error when the model has no masked-language-model
  /// head.
  template <random::Perturbation P>
  [[nodiscard]] Lanes<float> word_scores(Batch const& batch, std::span<std::size_t const> rows,
                                         std::span<std::int32_t const> words, random::Perturbed<P> const& at,
                                         Runtime& runtime, Bottom const& bottom = {},
                                         Past const& past = {}) const {
    require(masked_head_.has_value(), "this ", names.title, " has ",
            config_.classes != 0 ? "a classification head and " : "", "no masked-language-model head");
    std::size_t const outputs = words.empty() ? config_.vocabulary : words.size();
    Lanes<float> const scores = take_lanes(runtime.workspace(), at.lanes(), rows.size(), outputs);
    Workspace::Frame const frame(runtime.workspace());
    Lanes<float> const x = hidden_at(batch, rows, at, runtime, bottom, past);
    Lanes<float> const h = take_lanes(runtime.workspace(), x.lanes, x.rows, x.cols);
    tensor::products(tensor::pack(Lanes<float const>(x), runtime),
                     {masked_head_->dense.into(h, simd::Activation::gelu)}, at, runtime);
    masked_head_->norm(h, {}, at, runtime);
    auto const& decoder = masked_head_->decoder ? *masked_head_->decoder : embeddings_.words.weight;
    if (words.empty()) {
      tensor::product(Lanes<float const>(h), decoder, &masked_head_->bias, at, scores, runtime);
    } else {
      score_selected(h, decoder, masked_head_->bias, words, at, scores, runtime);
    }
    return scores;
  }

  /// One vector for each sequence, [lanes, sequences, width]: what a classification head sees, or the
  /// embedding of a sentence encoder before it is normalised. Throws Error for Pooling::first_token when the
  /// model has no pooler.
  template <random::Perturbation P>
  [[nodiscard]] Lanes<float> pooled(Batch const& batch, Pooling pooling, random::Perturbed<P> const& at,
                                    Runtime& runtime, Bottom const& bottom = {},
                                    Past const& past = {}) const {
    Lanes<float> const y = take_lanes(runtime.workspace(), at.lanes(), batch.size(), config_.encoder.width);
    Workspace::Frame const frame(runtime.workspace());
    if (pooling == Pooling::mean) {
      mean_rows(last_states(batch, at, runtime, bottom, past), batch.offsets(), y, runtime);
      return y;
    }
    require(class_head_ && class_head_->pooler, "this ", names.title, " has no pooler for its first token");
    Lanes<float> const x = hidden_at(batch, batch.offsets().first(batch.size()), at, runtime, bottom, past);
    tensor::products(tensor::pack(Lanes<float const>(x), runtime),
                     {class_head_->pooler->into(y, simd::Activation::tanh)}, at, runtime);
    return y;
  }

  /// Scores of the classes, [lanes, sequences, classes]. Throws Error when the model has no classification
  /// head.
  template <random::Perturbation P>
  [[nodiscard]] Lanes<float> class_scores(Batch const& batch, random::Perturbed<P> const& at,
                                          Runtime& runtime, Bottom const& bottom = {},
                                          Past const& past = {}) const {
    require(class_head_ && class_head_->scores, "this ", names.title, " has ",
            masked_head_ ? "a masked-language-model head and " : "", "no classification head");
    Lanes<float> const scores = take_lanes(runtime.workspace(), at.lanes(), batch.size(), config_.classes);
    Workspace::Frame const frame(runtime.workspace());
    Lanes<float> const h = pooled(batch, config_.pooling, at, runtime, bottom, past);
    tensor::products(tensor::pack(Lanes<float const>(h), runtime), {class_head_->scores->into(scores)}, at,
                     runtime);
    return scores;
  }

  /// The lowest layer with a trained tensor; the number of layers when only the head is trained, or nothing;
  /// none when the embeddings are, which may be tied to the head.
  [[nodiscard]] std::optional<std::size_t> first_trained_layer() const {
    return models::first_trained_layer(encoder_.layers,
                                       [&](auto& f) { Embeddings<T>::visit(embeddings_, f); });
  }
  /// Number of layers of the encoder; embeddings and head are none.
  [[nodiscard]] std::size_t layer_count() const noexcept { return encoder_.layers.size(); }
  /// Numbers of a token's state between two layers.
  [[nodiscard]] std::size_t hidden_width() const noexcept { return config_.encoder.width; }

  /// What embeddings and the first `layers` layers, with the weights as they are, make of a batch. Of all
  /// layers, only the tokens `rows` if there are any. `perturbation` makes no noise here.
  template <random::Perturbation P>
  [[nodiscard]] Bottom bottom(Batch const& batch, std::size_t layers, std::span<std::size_t const> rows,
                              P const& perturbation, Runtime& runtime) const {
    require(layers <= encoder_.layers.size(), "this ", names.title, " has ", encoder_.layers.size(),
            " layers, not ", layers);
    auto const at = random::unperturbed(perturbation);
    if (layers == encoder_.layers.size() && !rows.empty()) {
      Lanes<float> const y = take_lanes(runtime.workspace(), 1, rows.size(), config_.encoder.width);
      Workspace::Frame const frame(runtime.workspace());
      encoder_.at_rows(embed(batch, {}, at, runtime), rows, y, batch, {}, at, runtime);
      return {layers, y, true};
    }
    Lanes<float> const x = embed(batch, {}, at, runtime);
    encoder_.range(0, layers, x, batch, {}, at, runtime);
    return {layers, x};
  }

  /// A cache for up to `capacity` tokens of one sequence. Throws Error when there are no positions for so
  /// many.
  [[nodiscard]] KeyValueCache make_cache(std::size_t capacity) const {
    return detail::make_cache(config_.encoder, config_.max_tokens(), capacity);
  }

  /// Reads `ids` as one sequence into a cache. Throws Error unless that is empty: a token sees those behind
  /// it too, so that there is no reading on.
  void read(KeyValueCache& cache, std::span<std::int32_t const> ids, Runtime& runtime) const {
    require(cache.size() == 0, "this ", names.title, " reads all tokens at once; the cache has ",
            cache.size(), " already; use an empty one");
    Batch batch;
    batch.add(ids);
    Workspace::Frame const frame(runtime.workspace());
    static_cast<void>(hidden(batch, random::unperturbed(), runtime, NoObserver{}, cache.extend(ids.size())));
    cache.commit(ids.size());
  }

  /// The layer that scores classes. Throws Error when there is none.
  [[nodiscard]] layers::Linear<T>& class_layer() {
    require(class_head_ && class_head_->scores, "this ", names.title, " has no classification head");
    return *class_head_->scores;
  }

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

  /// Tensors of a file that this model has no use for: copies of tied ones, tables of indices, the heads of
  /// pre-training that another head stands in the place of, and the pooler where it is not asked for.
  [[nodiscard]] bool ignores(std::string_view name) const {
    bool const pooler = name.starts_with(names.pooler) && class_head_ && class_head_->pooler;
    if (name.starts_with(prefix())) {
      name.remove_prefix(prefix().size());
    }
    bool const masked = names_masked_head(name);
    bool const tied_copy = config_.tied_head && name == std::string(names.masked_scores) + ".decoder.weight";
    return tied_copy || (name.starts_with("pooler.") && !pooler) || (masked && !masked_head_) ||
           name == "embeddings.position_ids" || (config_.headless && name.starts_with("classifier.")) ||
           name.starts_with("cls.seq_relationship."); // whether two texts follow each other
  }

  /// Other names under which a tensor may stand in a file: without the family's prefix, as headless models
  /// are saved; those that LayerNorm had in TensorFlow; and decoder.bias for the head's bias, or the other
  /// way round (a head that is not tied has one of its own since transformers 5).
  [[nodiscard]] std::vector<std::string> aliases(std::string const& name) const {
    std::vector<std::string> others;
    std::string const scores(names.masked_scores);
    if (name == scores + ".bias" || name == scores + ".decoder.bias") {
      others.push_back(scores + (name == scores + ".bias" ? ".decoder.bias" : ".bias"));
    }
    for (std::string const& found :
         {name, name.starts_with(prefix()) ? name.substr(prefix().size()) : name}) {
      if (found != name) {
        others.push_back(found);
      }
      std::size_t const norm = found.rfind("LayerNorm.");
      if (norm != std::string::npos) {
        others.push_back(found.substr(0, norm) +
                         (found.ends_with("weight") ? "LayerNorm.gamma" : "LayerNorm.beta"));
      }
    }
    return others;
  }

private:
  [[nodiscard]] static std::string prefix() { return std::string(names.model_type) + "."; }

  [[nodiscard]] static bool names_masked_head(std::string_view name) {
    return name.starts_with(names.masked_dense) || name.starts_with(names.masked_norm) ||
           name.starts_with(std::string(names.masked_scores) + ".");
  }

  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    Embeddings<T>::visit(self.embeddings_, f);
    Encoder<T>::visit(self.encoder_, f);
    if (self.masked_head_) {
      MaskedLanguageHead<T>::visit(*self.masked_head_, f);
    }
    if (self.class_head_) {
      ClassHead<T>::visit(*self.class_head_, f);
    }
  }

  template <random::Perturbation P>
  [[nodiscard]] Lanes<float> embed(Batch const& batch, Past const& past, random::Perturbed<P> const& at,
                                   Runtime& runtime) const {
    Lanes<float> const x = take_lanes(runtime.workspace(), at.lanes(), batch.tokens(), config_.encoder.width);
    embeddings_(batch, position_ids(batch, config_, past.rows), at, x, runtime);
    return x;
  }

  /// What all points share of a pass, or is given; empty under a past.
  template <random::Perturbation P>
  [[nodiscard]] Bottom bottom_for(Batch const& batch, std::span<std::size_t const> rows,
                                  random::Perturbed<P> const& at, Runtime& runtime, Bottom const& given,
                                  Past const& past) const {
    return past.empty() ? shared_bottom(*this, batch, rows, at, runtime, given) : Bottom{};
  }

  /// The hidden states of the tokens `rows` only: [lanes, rows.size(), width].
  template <random::Perturbation P>
  [[nodiscard]] Lanes<float> hidden_at(Batch const& batch, std::span<std::size_t const> rows,
                                       random::Perturbed<P> const& at, Runtime& runtime, Bottom const& given,
                                       Past const& past) const {
    Lanes<float> const y = take_lanes(runtime.workspace(), at.lanes(), rows.size(), config_.encoder.width);
    Workspace::Frame const frame(runtime.workspace());
    if (Bottom const bottom = bottom_for(batch, rows, at, runtime, given, past); !bottom.empty()) {
      encoder_.at_rows(bottom, rows, y, batch, at, runtime);
    } else {
      encoder_.at_rows(embed(batch, past, at, runtime), rows, y, batch, past, at, runtime);
    }
    return y;
  }

  /// The hidden states of all tokens behind the last layer: [lanes, tokens, width], or one lane of them.
  template <random::Perturbation P>
  [[nodiscard]] Lanes<float const> last_states(Batch const& batch, random::Perturbed<P> const& at,
                                               Runtime& runtime, Bottom const& given,
                                               Past const& past) const {
    if (Bottom const bottom = bottom_for(batch, {}, at, runtime, given, past); !bottom.empty()) {
      return encoder_.above(bottom, batch, at, runtime);
    }
    return hidden(batch, at, runtime, NoObserver{}, past);
  }

  Config config_;
  Embeddings<T> embeddings_;
  Encoder<T> encoder_;
  std::optional<MaskedLanguageHead<T>> masked_head_;
  std::optional<ClassHead<T>> class_head_;
};

} // namespace pocketllm::models
