// SPDX-License-Identifier: Apache-2.0
// A model as a sentence encoder: its head, if it has one, is left out.
#pragma once

#include "load_model.hpp"
#include <pocketllm/pocketllm.hpp>

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace examples {

/// Whether the directory holds a BERT; RoBERTa else. Throws Error for other models.
inline bool is_bert(std::filesystem::path const& directory) {
  namespace io = pocketllm::io;
  io::require_model_directory(directory);
  std::filesystem::path const file = directory / io::config_file;
  std::string const type = pocketllm::models::read_string(io::read_object(file), "model_type", "roberta");
  pocketllm::require(type == "bert" || type == "roberta", file.string(), ": model_type is \"", type,
                     "\"; supported are \"bert\" and \"roberta\"");
  return type == "bert";
}

/// The name of an objective on pairs of texts in a journal's header: the run trained an encoder alone.
inline constexpr char const* pair_objective = "pair-similarity";

/// The encoder alone of a directory, with a pooler if that is asked for.
template <class Model>
[[nodiscard]] Model load_encoder(std::filesystem::path const& directory, bool pooler = false,
                                 Weights weights = Weights::read) {
  namespace io = pocketllm::io;
  auto config = Model::Config::from_json(io::read_object(directory / io::config_file));
  config.classes = 0;
  config.headless = true;
  config.pooler = pooler;
  Model model(config);
  if (weights == Weights::read) {
    io::fill(model, io::Checkpoint::open(directory));
  } else {
    pocketllm::tensor::borrow_zeros(model);
  }
  return model;
}

/// <a, b> of two embeddings of length 1.
[[nodiscard]] inline double cosine(std::span<float const> a, std::span<float const> b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0, std::plus<>(),
                            [](float x, float y) { return static_cast<double>(x) * static_cast<double>(y); });
}

/// Model and tokenizer of a directory.
template <class Model>
class SentenceEncoder {
public:
  SentenceEncoder(std::filesystem::path const& directory, std::size_t max_tokens)
      : model_(load_encoder<Model>(directory)), tokenizer_(pocketllm::text::load_tokenizer(directory)),
        max_tokens_(std::min(max_tokens, model_.config().max_tokens())) {}

  /// The mean of the tokens' states, of length 1.
  [[nodiscard]] std::vector<float> operator()(std::string const& text, pocketllm::Runtime& runtime) const {
    namespace pl = pocketllm;
    pl::models::Batch batch;
    batch.add(pl::text::encode_sentence(tokenizer_, std::span(&text, 1), max_tokens_).ids);
    pl::Workspace::Frame const frame(runtime.workspace());
    pl::Lanes<float> const mean =
        model_.pooled(batch, pl::models::Pooling::mean, pl::random::unperturbed(), runtime);
    pl::models::normalize_rows(mean, runtime);
    return {mean.row(0, 0), mean.row(0, 0) + mean.cols};
  }

private:
  Model model_;
  pocketllm::text::AnyTokenizer tokenizer_;
  std::size_t max_tokens_;
};

} // namespace examples
