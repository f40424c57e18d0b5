// SPDX-License-Identifier: Apache-2.0
// What bench_step trains, on random tokens: a choice between two words at a mask, or all next tokens.
#pragma once

#include "step_model.hpp"
#include <pocketllm/core/error.hpp>
#include <pocketllm/core/runtime.hpp>
#include <pocketllm/core/split_mix.hpp>
#include <pocketllm/models/batch.hpp>
#include <pocketllm/models/roberta.hpp>
#include <pocketllm/optimize/estimator.hpp>
#include <pocketllm/train/next_token.hpp>
#include <pocketllm/train/objective.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

namespace benchmarks {

/// The loss of train::MaskedPrompt on a batch of random tokens, which needs no tokenizer: the mask is any
/// token in the middle, the label words are any two.
class MaskedTask {
public:
  MaskedTask(pocketllm::models::RobertaConfig const& config, std::size_t sequences, std::size_t tokens) {
    pocketllm::require(tokens <= config.max_tokens(), "--tokens ", tokens, ": the model has positions for ",
                       config.max_tokens());
    std::size_t const first = static_cast<std::size_t>(config.pad_id) + 1; // padding would not be attended to
    pocketllm::require(config.vocabulary > first + 1, "--model: a vocabulary of ", config.vocabulary,
                       " words leaves none to choose from");
    std::size_t const usable = config.vocabulary - first;
    std::uint64_t drawn = 0;
    std::vector<std::int32_t> ids(tokens);
    for (std::size_t s = 0; s < sequences; ++s) {
      for (std::int32_t& id : ids) {
        id = static_cast<std::int32_t>(first + pocketllm::split_mix(/*seed=*/0, drawn++) % usable);
      }
      masks_.push_back(batch_.tokens() + tokens / 2);
      labels_.push_back(s % words_.size());
      batch_.add(ids);
    }
    words_ = {static_cast<std::int32_t>(first), static_cast<std::int32_t>(config.vocabulary - 1)};
  }

  /// The mean loss at each point.
  template <class Model, pocketllm::random::Perturbation P>
  [[nodiscard]] std::vector<float> operator()(Model const& model, pocketllm::random::Perturbed<P> const& at,
                                              pocketllm::Runtime& runtime) const {
    pocketllm::Workspace::Frame const frame(runtime.workspace());
    return pocketllm::train::mean_cross_entropy(model.word_scores(batch_, masks_, words_, at, runtime),
                                                labels_);
  }

  /// Of a forward pass.
  [[nodiscard]] double operations(pocketllm::models::RobertaConfig const& config) const {
    std::size_t const tokens = batch_.tokens() / batch_.size();
    return forward_operations(config, batch_.size(), tokens, words_.size());
  }

private:
  pocketllm::models::Batch batch_;
  std::vector<std::size_t> masks_, labels_;
  std::array<std::int32_t, 2> words_{};
};

/// The loss of train::CausalText on random tokens: `tokens` of each sequence are read, and the one behind
/// each is predicted.
class CausalTask {
public:
  CausalTask(pocketllm::models::OptConfig const& config, std::size_t sequences, std::size_t tokens)
      : sequences_(sequences), tokens_(tokens) {
    pocketllm::require(tokens <= config.max_tokens(), "--tokens ", tokens, ": the model has positions for ",
                       config.max_tokens());
    std::vector<pocketllm::train::NextTokenExample> examples(sequences);
    std::uint64_t drawn = 0;
    for (auto& example : examples) {
      for (std::size_t i = 0; i <= tokens; ++i) {
        example.ids.push_back(
            static_cast<std::int32_t>(pocketllm::split_mix(/*seed=*/0, drawn++) % config.vocabulary));
      }
    }
    std::vector<std::size_t> all(sequences);
    std::iota(all.begin(), all.end(), std::size_t{0});
    batch_ = loss_.batch(examples, all);
  }

  /// The mean loss at each point.
  template <class Model, pocketllm::random::Perturbation P>
  [[nodiscard]] std::vector<float> operator()(Model const& model, pocketllm::random::Perturbed<P> const& at,
                                              pocketllm::Runtime& runtime) const {
    return loss_(model, batch_, at, runtime);
  }

  /// Of a forward pass.
  [[nodiscard]] double operations(pocketllm::models::OptConfig const& config) const {
    return forward_operations(config, sequences_, tokens_);
  }

private:
  pocketllm::train::NextTokenLoss loss_;
  pocketllm::train::NextTokenLoss::Batch batch_;
  std::size_t sequences_, tokens_;
};

/// All points are the weights themselves, and nothing is learnt: what the points cost without noise.
struct WithoutNoise {
  std::size_t lanes = 1;

  [[nodiscard]] std::vector<pocketllm::random::Point> points(std::uint64_t) const {
    return std::vector(lanes, pocketllm::random::origin);
  }
  [[nodiscard]] pocketllm::optimize::Gradient gradient(std::span<pocketllm::random::Point const>,
                                                       std::span<float const>) const {
    return {};
  }
};
static_assert(pocketllm::optimize::Estimator<WithoutNoise>);

} // namespace benchmarks
