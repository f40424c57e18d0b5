// SPDX-License-Identifier: Apache-2.0
// What config.json says of an encoder model, and in what BERT and RoBERTa differ.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/models/config.hpp>
#include <pocketllm/models/encoder.hpp>
#include <pocketllm/models/pooling.hpp>

#include <nlohmann/json.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace pocketllm::models {

/// The names that a family has for itself and for the tensors of its heads.
struct EncoderNames {
  std::string_view title;         ///< for messages: "BERT"
  std::string_view class_name;    ///< how transformers' classes begin: "Bert"
  std::string_view model_type;    ///< of config.json, and the first part of the encoder's names: "bert"
  std::string_view masked_dense,  ///< dense layer of the masked-language-model head
      masked_norm;                ///< and the LayerNorm behind it
  std::string_view masked_scores; ///< before ".bias" and ".decoder"
  std::string_view pooler;        ///< dense layer on the first token
  std::string_view class_scores;  ///< the layer behind it
};

/// A kind of encoder model. `first_position(pad_id)` is the position of the first token; `skips_padding` says
/// that padding tokens within a sequence have the position pad_id and do not count.
template <class F>
concept EncoderFamily = requires(std::int32_t pad_id) {
  { F::names } -> std::convertible_to<EncoderNames>;
  { F::pad_id } -> std::convertible_to<std::int32_t>;
  { F::skips_padding } -> std::convertible_to<bool>;
  { F::first_position(pad_id) } -> std::same_as<std::size_t>;
};
static_assert(!EncoderFamily<EncoderNames>);

/// Sizes and heads of an encoder model. There is a classification head if `classes` is not 0, else a
/// masked-language-model head unless `headless`.
template <EncoderFamily F>
struct EncoderModelConfig {
  EncoderShape encoder;       ///< of the layers; its width is that of the embeddings too
  std::size_t vocabulary = 0; ///< rows of the word table
  std::size_t positions =
      0; ///< rows of the position table; those before the first position stand for no token
  std::size_t token_types = 1;     ///< rows of the type table
  std::int32_t pad_id = F::pad_id; ///< from which families count positions, see first_position
  bool tied_head = true;           ///< the decoder of the masked-language-model head is the embedding table
  std::size_t classes = 0;         ///< outputs of the classification head
  Pooling pooling = Pooling::first_token; ///< what the classification head sees
  bool headless = false;                  ///< hidden states only
  bool pooler = false;                    ///< of a headless model: with the dense layer for the first token

  /// From the content of config.json. A missing key means what it means to transformers. Throws Error that
  /// names the key.
  [[nodiscard]] static EncoderModelConfig from_json(nlohmann::json const& json) {
    expect_string(json, "model_type", std::string(F::names.model_type));
    expect_string(json, "hidden_act", "gelu");
    expect_string(json, "position_embedding_type", "absolute");
    require(!read_flag(json, "is_decoder", false), "is_decoder is true; only encoders are supported");
    EncoderModelConfig c;
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
    c.pad_id = read_id(json, "pad_token_id", F::pad_id);
    require(c.positions > c.unused_positions(), "max_position_embeddings (", c.positions,
            ") leaves no position behind pad_token_id + 1 (", c.unused_positions(), ")");
    c.tied_head = read_flag(json, "tie_word_embeddings", true);
    c.read_head(json);
    return c;
  }

  /// The longest sequence that has positions.
  [[nodiscard]] std::size_t max_tokens() const noexcept { return positions - unused_positions(); }

private:
  [[nodiscard]] std::size_t unused_positions() const noexcept { return F::first_position(pad_id); }

  /// What stands behind the family's own name in "BertForMaskedLM" and so on.
  [[nodiscard]] static std::string_view kind_of(std::string_view architecture) {
    return architecture.starts_with(F::names.class_name) ? architecture.substr(F::names.class_name.size())
                                                         : "";
  }

  void read_head(nlohmann::json const& json) {
    if (std::string const found = read_string(json, pooling_key, ""); !found.empty()) {
      pooling = parse_pooling(found);
      classes = count_classes(json);
      return;
    }
    auto const architectures = json.find("architectures");
    if (architectures == json.end() || !architectures->is_array() || architectures->empty()) {
      return;
    }
    std::string const name =
        architectures->front().is_string() ? architectures->front().get<std::string>() : "";
    std::string_view const kind = kind_of(name);
    if (kind == "ForSequenceClassification") {
      classes = count_classes(json);
    } else if (kind == "Model") {
      headless = true;
    } else {
      require(
          kind == "ForMaskedLM" || kind == "ForPreTraining", "architectures names ", name,
          "; supported are ...ForMaskedLM, ...ForPreTraining, ...ForSequenceClassification and ...Model of ",
          F::names.title);
    }
  }

  [[nodiscard]] static std::size_t count_classes(nlohmann::json const& json) {
    auto const labels = json.find("id2label");
    if (labels == json.end() || !labels->is_object()) {
      return read_size(json, "num_labels", 2);
    }
    require(!labels->empty(), "id2label names no class");
    return labels->size();
  }
};

} // namespace pocketllm::models
