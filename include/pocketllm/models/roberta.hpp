// SPDX-License-Identifier: Apache-2.0
// RoBERTa (Liu et al., arXiv 1907.11692): an encoder with a masked-language-model or a classification head.
#pragma once

#include <pocketllm/models/encoder_model.hpp>

#include <cstddef>
#include <cstdint>

namespace pocketllm::models {

/// Positions count from pad_id + 1; a padding token within a sequence has pad_id and does not count.
struct RobertaFamily {
  /// As transformers writes them.
  static constexpr EncoderNames names{.title = "RoBERTa",
                                      .class_name = "Roberta",
                                      .model_type = "roberta",
                                      .masked_dense = "lm_head.dense",
                                      .masked_norm = "lm_head.layer_norm",
                                      .masked_scores = "lm_head",
                                      .pooler = "classifier.dense",
                                      .class_scores = "classifier.out_proj"};
  static constexpr std::int32_t pad_id = 1;   ///< where config.json has no pad_token_id
  static constexpr bool skips_padding = true; ///< padding tokens all have the position pad_id
  /// pad + 1: the rows of the position table up to there stand for no token.
  [[nodiscard]] static constexpr std::size_t first_position(std::int32_t pad) noexcept {
    return static_cast<std::size_t>(pad) + 1; // pad may be the largest number there is
  }
};
static_assert(EncoderFamily<RobertaFamily>);

/// Sizes and heads as config.json of a RoBERTa has them.
using RobertaConfig = EncoderModelConfig<RobertaFamily>;

/// A RoBERTa with matrices stored as T.
template <layers::Weights T>
using Roberta = EncoderModel<RobertaFamily, T>;
static_assert(HasBottom<Roberta<float>>);

} // namespace pocketllm::models
