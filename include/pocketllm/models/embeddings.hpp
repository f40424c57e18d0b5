// SPDX-License-Identifier: Apache-2.0
// The embeddings of BERT and RoBERTa: norm(word + token type + position).
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/layers/embedding.hpp>
#include <pocketllm/layers/layer_norm.hpp>
#include <pocketllm/models/batch.hpp>
#include <pocketllm/models/encoder_config.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace pocketllm::models {

/// Three tables and a norm; tensors are called `name`.word_embeddings.weight and so on.
template <layers::Weights T>
struct Embeddings {
  layers::Embedding<T> words, ///< [vocabulary, width]; the masked-language-model head may be tied to it
      positions,              ///< [positions, width], those before the first token's among them
      types;                  ///< [token types, width]
  layers::LayerNorm norm;     ///< of the sum of the three

  /// Of the sizes in `c`; the tensors have no values yet.
  template <EncoderFamily F>
  Embeddings(std::string const& name, EncoderModelConfig<F> const& c)
      : words(name + ".word_embeddings", c.vocabulary, c.encoder.width),
        positions(name + ".position_embeddings", c.positions, c.encoder.width),
        types(name + ".token_type_embeddings", c.token_types, c.encoder.width),
        norm(name + ".LayerNorm", c.encoder.width, c.encoder.norm_epsilon) {}

  /// X [lanes, tokens, width] for the tokens of the batch.
  template <random::Perturbation P>
  void operator()(Batch const& batch, std::vector<std::int32_t> const& position_ids,
                  random::Perturbed<P> const& at, Lanes<float> x, Runtime& runtime) const {
    words(batch.ids(), at, x, false, runtime);
    types(batch.types(), at, x, true, runtime);
    positions(position_ids, at, x, true, runtime);
    norm(x, {}, at, runtime);
  }

  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    layers::Embedding<T>::visit(self.words, f);
    layers::Embedding<T>::visit(self.positions, f);
    layers::Embedding<T>::visit(self.types, f);
    layers::LayerNorm::visit(self.norm, f);
  }
};

/// The position of every token of the batch, behind `before` tokens that stand before each sequence. Throws
/// Error for a sequence that is too long.
template <EncoderFamily F>
[[nodiscard]] std::vector<std::int32_t> position_ids(Batch const& batch, EncoderModelConfig<F> const& config,
                                                     std::size_t before = 0) {
  std::vector<std::int32_t> positions;
  positions.reserve(batch.tokens());
  for (std::size_t s = 0; s < batch.size(); ++s) {
    std::size_t const tokens = before + batch.ids(s).size();
    if (tokens > config.max_tokens()) {
      fail("sequence ", s, " has ", tokens, " tokens",
           before == 0 ? "" : concat(", ", before, " that stand before it among them"),
           "; the model has positions for ", config.max_tokens());
    }
    std::size_t next = F::first_position(config.pad_id) + before; // always below config.positions
    for (std::int32_t const id : batch.ids(s)) {
      bool const skipped = F::skips_padding && id == config.pad_id;
      positions.push_back(skipped ? config.pad_id : static_cast<std::int32_t>(next++));
    }
  }
  return positions;
}

} // namespace pocketllm::models
