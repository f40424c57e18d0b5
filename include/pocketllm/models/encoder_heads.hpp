// SPDX-License-Identifier: Apache-2.0
// What stands behind the encoder of BERT and RoBERTa: scores of words, or of classes.
#pragma once

#include <pocketllm/layers/layer_norm.hpp>
#include <pocketllm/layers/linear.hpp>
#include <pocketllm/models/encoder_config.hpp>

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace pocketllm::models {

/// Dense, gelu, LayerNorm, then a score for every word: the embedding table (or one of its own) and a bias.
template <layers::Weights T>
struct MaskedLanguageHead {
  layers::Linear<T> dense;                                            ///< [width, width]
  layers::LayerNorm norm;                                             ///< behind dense and gelu
  tensor::Tensor<float> bias;                                         ///< [vocabulary]: of the words' scores
  std::optional<tensor::Tensor<layers::table_storage_of<T>>> decoder; ///< absent when tied to the embeddings

  /// Of the sizes in `c`; the tensors have no values yet.
  template <EncoderFamily F>
  explicit MaskedLanguageHead(EncoderModelConfig<F> const& c)
      : dense(std::string(F::names.masked_dense), c.encoder.width, c.encoder.width),
        norm(std::string(F::names.masked_norm), c.encoder.width, c.encoder.norm_epsilon),
        bias(std::string(F::names.masked_scores) + (c.tied_head ? ".bias" : ".decoder.bias"),
             {c.vocabulary}) {
    if (!c.tied_head) {
      decoder.emplace(std::string(F::names.masked_scores) + ".decoder.weight",
                      std::vector<std::size_t>{c.vocabulary, c.encoder.width});
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

/// Dense and tanh on the first token where that is what is pooled, and a score for every class.
template <layers::Weights T>
struct ClassHead {
  std::optional<layers::Linear<T>> pooler; ///< [width, width]; absent where no first token is pooled
  std::optional<layers::Linear<T>> scores; ///< absent from a headless model with a pooler

  /// Of the sizes in `c`; the tensors have no values yet.
  template <EncoderFamily F>
  explicit ClassHead(EncoderModelConfig<F> const& c) {
    std::size_t const width = c.encoder.width;
    if (c.classes == 0 || c.pooling == Pooling::first_token) {
      pooler.emplace(std::string(F::names.pooler), width, width);
    }
    if (c.classes != 0) {
      // out_proj is a name behind a pooler: what is pooled in another way has a plain layer
      std::string_view const own = c.pooling == Pooling::first_token ? F::names.class_scores : "classifier";
      scores.emplace(std::string(own), c.classes, width);
    }
  }

  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    if (self.pooler) {
      layers::Linear<T>::visit(*self.pooler, f);
    }
    if (self.scores) {
      layers::Linear<T>::visit(*self.scores, f);
    }
  }
};

} // namespace pocketllm::models
