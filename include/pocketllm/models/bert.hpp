// SPDX-License-Identifier: Apache-2.0
// BERT (Devlin et al., arXiv 1810.04805) with a masked-language-model or a classification head, or without:
// sentence encoders such as all-MiniLM-L6-v2 are BERTs without a head.
#pragma once

#include <pocketllm/models/encoder_model.hpp>

#include <cstddef>
#include <cstdint>

namespace pocketllm::models {

/// Positions count from 0, padding or not.
struct BertFamily {
  /// As transformers writes them.
  static constexpr EncoderNames names{.title = "BERT",
                                      .class_name = "Bert",
                                      .model_type = "bert",
                                      .masked_dense = "cls.predictions.transform.dense",
                                      .masked_norm = "cls.predictions.transform.LayerNorm",
                                      .masked_scores = "cls.predictions",
                                      .pooler = "bert.pooler.dense",
                                      .class_scores = "classifier"};
  static constexpr std::int32_t pad_id = 0;    ///< where config.json has no pad_token_id
  static constexpr bool skips_padding = false; ///< a padding token takes a position like any other
  /// 0, whatever the id of the padding token.
  [[nodiscard]] static constexpr std::size_t first_position(std::int32_t) noexcept { return 0; }
};
static_assert(EncoderFamily<BertFamily>);

/// Sizes and heads as config.json of a BERT has them.
using BertConfig = EncoderModelConfig<BertFamily>;

/// A BERT with matrices stored as T.
template <layers::Weights T>
using Bert = EncoderModel<BertFamily, T>;

} // namespace pocketllm::models
