// SPDX-License-Identifier: Apache-2.0
// The sizes and variants of an OPT, as its config.json has them.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/models/config.hpp>
#include <pocketllm/models/decoder.hpp>

#include <nlohmann/json.hpp>

#include <cstddef>
#include <cstdint>
#include <string>

namespace pocketllm::models {

/// What config.json says of an OPT.
struct OptConfig {
  DecoderShape decoder;            ///< of the layers
  std::size_t vocabulary = 0;      ///< rows of the word table
  std::size_t positions = 0;       ///< the longest context; the position table has two rows more
  std::size_t embedding_width = 0; ///< of a word in the table; projected where it is not the decoder's width
  bool final_norm = true;          ///< a LayerNorm behind the last layer
  bool tied_head = true;           ///< the head is the embedding table
  std::int32_t eos_id = 2;         ///< `</s>`, which OPT also begins a text with

  /// Rows of the position table that stand for no position.
  static constexpr std::size_t position_offset = 2;

  /// From the content of config.json. A missing key means what it means to transformers' OPTConfig. Throws
  /// Error that names the key.
  [[nodiscard]] static OptConfig from_json(nlohmann::json const& json) {
    expect_string(json, "model_type", "opt");
    expect_string(json, "activation_function", "relu");
    check_architecture(json);
    OptConfig c;
    c.decoder.width = read_size(json, "hidden_size", 768);
    c.decoder.heads = read_size(json, "num_attention_heads", 12);
    require(c.decoder.width % c.decoder.heads == 0, "num_attention_heads (", c.decoder.heads,
            ") does not divide hidden_size (", c.decoder.width, ")");
    c.decoder.layers = read_size(json, "num_hidden_layers", 12);
    c.decoder.feed_forward = read_size(json, "ffn_dim", 3072);
    c.decoder.norm_first = read_flag(json, "do_layer_norm_before", true);
    c.decoder.bias = read_flag(json, "enable_bias", true);
    c.decoder.norm_weights = read_flag(json, "layer_norm_elementwise_affine", true);
    c.vocabulary = read_size(json, "vocab_size", 50272);
    c.positions = read_size(json, "max_position_embeddings", 2048);
    c.embedding_width = read_size(json, "word_embed_proj_dim", c.decoder.width);
    c.final_norm = c.decoder.norm_first && !read_flag(json, "_remove_final_layer_norm", false);
    c.tied_head = read_flag(json, "tie_word_embeddings", true);
    c.eos_id = read_id(json, "eos_token_id", 2);
    return c;
  }

  /// The longest sequence that has positions.
  [[nodiscard]] std::size_t max_tokens() const noexcept { return positions; }

private:
  static void check_architecture(nlohmann::json const& json) {
    auto const architectures = json.find("architectures");
    if (architectures == json.end() || !architectures->is_array() || architectures->empty()) {
      return;
    }
    std::string const name =
        architectures->front().is_string() ? architectures->front().get<std::string>() : "";
    require(name == "OPTForCausalLM" || name == "OPTModel", "architectures names ", name,
            "; supported are OPTForCausalLM and OPTModel");
  }
};

} // namespace pocketllm::models
