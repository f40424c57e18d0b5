// SPDX-License-Identifier: Apache-2.0
// RoBERTa (Liu et al., arXiv 1907.11692): an encoder with a masked-language-model or a classification head.
#pragma once

#include <pocketllm/layers/embedding.hpp>
#include <pocketllm/models/config.hpp>
#include <pocketllm/models/encoder.hpp>
#include <pocketllm/models/gather.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pocketllm::models {

/// What config.json says of a RoBERTa.
struct RobertaConfig {
  EncoderShape encoder;
  std::size_t vocabulary = 0;
  std::size_t positions = 0; ///< rows of the position table; the first pad_id + 1 stand for no token
  std::size_t token_types = 1;
  std::int32_t pad_id = 1;
  bool tied_head = true;   ///< the decoder of the head is the embedding table
  std::size_t classes = 0; ///< 0 for a masked-language-model head, else the outputs of a classification head

  /// From the content of config.json. A missing key means what it means to transformers' RobertaConfig.
  /// Throws Error that names the key.
  [[nodiscard]] static RobertaConfig from_json(nlohmann::json const& json) {
    expect_string(json, "model_type", "roberta");
    expect_string(json, "hidden_act", "gelu");
    expect_string(json, "position_embedding_type", "absolute");
    require(!read_flag(json, "is_decoder", false), "is_decoder is true; only encoders are supported");
    RobertaConfig c;
    c.encoder.width = read_size(json, "hidden_size");
    c.encoder.heads = read_size(json, "num_attention_heads");
    require(c.encoder.width % c.encoder.heads == 0, "num_attention_heads (", c.encoder.heads,
            ") does not divide hidden_size (", c.encoder.width, ")");
    c.encoder.layers = read_size(json, "num_hidden_layers");
    c.encoder.feed_forward = read_size(json, "intermediate_size");
    c.encoder.norm_epsilon = read_number(json, "layer_norm_eps", 1e-12F);
    c.vocabulary = read_size(json, "vocab_size");
    c.positions = read_size(json, "max_position_embeddings");
    c.token_types = read_size(json, "type_vocab_size", 2);
    c.pad_id = read_id(json, "pad_token_id", 1);
    std::size_t const unused = static_cast<std::size_t>(c.pad_id) + 1;
    require(c.positions > unused, "max_position_embeddings (", c.positions,
            ") leaves no position behind pad_token_id + 1 (", unused, ")");
    c.tied_head = read_flag(json, "tie_word_embeddings", true);
    c.classes = count_classes(json);
    return c;
  }

  /// The longest sequence that has positions.
  [[nodiscard]] std::size_t max_tokens() const noexcept {
    return positions - static_cast<std::size_t>(pad_id) - 1;
  }

private:
  static std::size_t count_classes(nlohmann::json const& json) {
    auto const architectures = json.find("architectures");
    if (architectures == json.end() || !architectures->is_array() || architectures->empty()) {
      return 0;
    }
    std::string const name =
        architectures->front().is_string() ? architectures->front().get<std::string>() : "";
    if (name == "RobertaForSequenceClassification") {
      auto const labels = json.find("id2label");
      if (labels == json.end() || !labels->is_object()) {
        return read_size(json, "num_labels", 2);
      }
      require(!labels->empty(), "id2label names no class");
      return labels->size();
    }
    require(name == "RobertaForMaskedLM", "architectures names ", name,
            "; supported are RobertaForMaskedLM and RobertaForSequenceClassification");
    return 0;
  }
};

/// Dense, gelu, LayerNorm, then a score for every word: the embedding table (or one of its own) and a bias.
template <layers::Weights T>
struct MaskedLanguageHead {
  layers::Linear<T> dense;
  layers::LayerNorm norm;
  tensor::Tensor<float> bias;
  std::optional<tensor::Tensor<layers::table_storage_of<T>>> decoder; ///< absent when tied to the embeddings

  MaskedLanguageHead(std::string const& name, RobertaConfig const& c)
      : dense(name + ".dense", c.encoder.width, c.encoder.width),
        norm(name + ".layer_norm", c.encoder.width, c.encoder.norm_epsilon),
        bias(name + (c.tied_head ? ".bias" : ".decoder.bias"), {c.vocabulary}) {
    if (!c.tied_head) {
      decoder.emplace(name + ".decoder.weight", std::vector<std::size_t>{c.vocabulary, c.encoder.width});
    }
  }

  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    layers::Linear<T>::visit(self.dense, f);
    layers::LayerNorm::visit(self.norm, f);
    f(self.bias);
    if (self.decoder) {
      f(*self.decoder);
    }
  }
};

/// Dense, tanh, dense on the first token of a sequence.
template <layers::Weights T>
struct FirstTokenHead {
  layers::Linear<T> dense, output;

  FirstTokenHead(std::string const& name, std::size_t width, std::size_t classes)
      : dense(name + ".dense", width, width), output(name + ".out_proj", classes, width) {}

  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    layers::Linear<T>::visit(self.dense, f);
    layers::Linear<T>::visit(self.output, f);
  }
};

/// RoBERTa with matrices stored as T, or as layers::Lora<T> says; vectors (biases, LayerNorm) are floats.
/// Activations live in the workspace of the runtime: a function that returns some needs a Workspace::Frame
/// around it at its caller.
template <layers::Weights T>
class Roberta {
public:
  using Config = RobertaConfig;

  explicit Roberta(Config const& config)
      : config_(config),
        words_("roberta.embeddings.word_embeddings", config.vocabulary, config.encoder.width),
        positions_("roberta.embeddings.position_embeddings", config.positions, config.encoder.width),
        types_("roberta.embeddings.token_type_embeddings", config.token_types, config.encoder.width),
        norm_("roberta.embeddings.LayerNorm", config.encoder.width, config.encoder.norm_epsilon),
        encoder_("roberta.encoder.layer", config.encoder) {
    if (config.classes == 0) {
      masked_head_.emplace("lm_head", config);
    } else {
      class_head_.emplace("classifier", config.encoder.width, config.classes);
    }
  }

  [[nodiscard]] Config const& config() const noexcept { return config_; }

  /// The hidden state of every token behind the last layer, [lanes, tokens, width]. `observe(i, X)` sees the
  /// states before layer i and behind the last one.
  template <random::Perturbation P, class Observer = NoObserver>
  [[nodiscard]] Lanes<float> hidden(Batch const& batch, random::Perturbed<P> const& at, Runtime& runtime,
                                    Observer&& observe = {}) const {
    Lanes<float> const x = embed(batch, at, runtime);
    encoder_(x, batch, at, runtime, observe);
    return x;
  }

  /// Scores of the words `words` at the tokens `rows` (indices into batch.ids()): [lanes, rows, words]. All
  /// words of the vocabulary when `words` is empty. Throws Error when the model has no masked-language-model
  /// head.
  template <random::Perturbation P>
  [[nodiscard]] Lanes<float> word_scores(Batch const& batch, std::span<std::size_t const> rows,
                                         std::span<std::int32_t const> words, random::Perturbed<P> const& at,
                                         Runtime& runtime) const {
    require(masked_head_.has_value(),
            "this RoBERTa has a classification head and no masked-language-model head");
    std::size_t const outputs = words.empty() ? config_.vocabulary : words.size();
    Lanes<float> const scores = take_lanes(runtime.workspace(), at.lanes(), rows.size(), outputs);
    Workspace::Frame const frame(runtime.workspace());
    Lanes<float> const x = hidden_at(batch, rows, at, runtime);
    Lanes<float> const h = take_lanes(runtime.workspace(), x.lanes, x.rows, x.cols);
    tensor::products(tensor::pack(Lanes<float const>(x), runtime),
                     {masked_head_->dense.into(h, simd::Activation::gelu)}, at, runtime);
    masked_head_->norm(h, {}, at, runtime);
    auto const& decoder = masked_head_->decoder ? *masked_head_->decoder : words_.weight;
    if (words.empty()) {
      tensor::product(Lanes<float const>(h), decoder, &masked_head_->bias, at, scores, runtime);
    } else {
      score_selected(h, decoder, masked_head_->bias, words, at, scores, runtime);
    }
    return scores;
  }

  /// Scores of the classes, [lanes, sequences, classes]. Throws Error when the model has no classification
  /// head.
  template <random::Perturbation P>
  [[nodiscard]] Lanes<float> class_scores(Batch const& batch, random::Perturbed<P> const& at,
                                          Runtime& runtime) const {
    require(class_head_.has_value(),
            "this RoBERTa has a masked-language-model head and no classification head");
    Lanes<float> const scores = take_lanes(runtime.workspace(), at.lanes(), batch.size(), config_.classes);
    Workspace::Frame const frame(runtime.workspace());
    Lanes<float> const x = hidden_at(batch, batch.offsets().first(batch.size()), at, runtime);
    Lanes<float> const h = take_lanes(runtime.workspace(), x.lanes, x.rows, x.cols);
    tensor::products(tensor::pack(Lanes<float const>(x), runtime),
                     {class_head_->dense.into(h, simd::Activation::tanh)}, at, runtime);
    tensor::products(tensor::pack(Lanes<float const>(h), runtime), {class_head_->output.into(scores)}, at,
                     runtime);
    return scores;
  }

  /// Calls f(tensor) once for every weight.
  template <class F>
  void for_each_tensor(F&& f) {
    visit(*this, f);
  }
  template <class F>
  void for_each_tensor(F&& f) const {
    visit(*this, f);
  }

  /// Tensors of a file that this model has no use for: copies of tied ones, tables of indices, and the pooler
  /// that pre-training leaves behind.
  [[nodiscard]] bool ignores(std::string_view name) const {
    bool const tied_copy = config_.tied_head && name == "lm_head.decoder.weight";
    bool const other_head = config_.classes != 0 && name.starts_with("lm_head.");
    return tied_copy || other_head || name == "roberta.embeddings.position_ids" ||
           name.starts_with("roberta.pooler.");
  }

  /// Other names under which a tensor may stand in a file. A head that is not tied has a bias of its own
  /// since transformers 5; before, and when it is tied, decoder.bias was another name of bias.
  [[nodiscard]] std::vector<std::string> aliases(std::string const& name) const {
    if (name == "lm_head.bias") {
      return {"lm_head.decoder.bias"};
    }
    return name == "lm_head.decoder.bias" ? std::vector<std::string>{"lm_head.bias"}
                                          : std::vector<std::string>{};
  }

private:
  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    layers::Embedding<T>::visit(self.words_, f);
    layers::Embedding<T>::visit(self.positions_, f);
    layers::Embedding<T>::visit(self.types_, f);
    layers::LayerNorm::visit(self.norm_, f);
    Encoder<T>::visit(self.encoder_, f);
    if (self.masked_head_) {
      MaskedLanguageHead<T>::visit(*self.masked_head_, f);
    }
    if (self.class_head_) {
      FirstTokenHead<T>::visit(*self.class_head_, f);
    }
  }

  template <random::Perturbation P>
  [[nodiscard]] Lanes<float> embed(Batch const& batch, random::Perturbed<P> const& at,
                                   Runtime& runtime) const {
    Lanes<float> const x = take_lanes(runtime.workspace(), at.lanes(), batch.tokens(), config_.encoder.width);
    words_(batch.ids(), at, x, false, runtime);
    types_(std::vector<std::int32_t>(batch.tokens(), 0), at, x, true, runtime);
    positions_(position_ids(batch), at, x, true, runtime);
    norm_(x, {}, at, runtime);
    return x;
  }

  /// The hidden states of the tokens `rows` only: [lanes, rows.size(), width].
  template <random::Perturbation P>
  [[nodiscard]] Lanes<float> hidden_at(Batch const& batch, std::span<std::size_t const> rows,
                                       random::Perturbed<P> const& at, Runtime& runtime) const {
    Lanes<float> const y = take_lanes(runtime.workspace(), at.lanes(), rows.size(), config_.encoder.width);
    Workspace::Frame const frame(runtime.workspace());
    encoder_.at_rows(embed(batch, at, runtime), rows, y, batch, at, runtime);
    return y;
  }

  /// Positions count from pad_id + 1; a padding token within a sequence has pad_id and does not count.
  [[nodiscard]] std::vector<std::int32_t> position_ids(Batch const& batch) const {
    std::vector<std::int32_t> positions;
    positions.reserve(batch.tokens());
    for (std::size_t s = 0; s < batch.size(); ++s) {
      require(batch.ids(s).size() <= config_.max_tokens(), "sequence ", s, " has ", batch.ids(s).size(),
              " tokens; the model has positions for ", config_.max_tokens());
      std::int32_t next = config_.pad_id;
      for (std::int32_t const id : batch.ids(s)) {
        positions.push_back(id == config_.pad_id ? config_.pad_id : ++next);
      }
    }
    return positions;
  }

  Config config_;
  layers::Embedding<T> words_, positions_, types_;
  layers::LayerNorm norm_;
  Encoder<T> encoder_;
  std::optional<MaskedLanguageHead<T>> masked_head_;
  std::optional<FirstTokenHead<T>> class_head_;
};

} // namespace pocketllm::models
