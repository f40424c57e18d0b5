// SPDX-License-Identifier: Apache-2.0
// Classification by candidates: the text that a model finds likeliest behind the prompt is the class.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/text/causal_prompt.hpp>
#include <pocketllm/text/prompt_template.hpp>
#include <pocketllm/text/quote.hpp>
#include <pocketllm/text/tokenizer.hpp>
#include <pocketllm/train/next_token.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pocketllm::train {

/// MeZO's objective for OPT (arXiv 2305.17333, appendix D): a candidate's score is the mean of ln p over its
/// tokens, the loss the cross-entropy of softmax over the scores, mean over the batch. The prompt is computed
/// once for all its candidates. The tokenizer must outlive the objective.
template <text::Tokenizer Tokenizer>
class CandidateChoice {
public:
  /// A prompt and what may follow it.
  struct Example {
    std::vector<std::int32_t> ids;                     ///< the prompt
    std::vector<std::vector<std::int32_t>> candidates; ///< what each adds to it, by class; one id at least
    std::size_t label = 0;                             ///< index of the right candidate
  };
  /// Some examples, ready for the model.
  struct Batch {
    models::CausalBatch tokens;          ///< each prompt, and behind it its candidates without their last ids
    std::vector<models::Target> targets; ///< all ids of all candidates, example after example
    std::vector<std::size_t> ends;       ///< targets up to and with each candidate's, example after example
    std::vector<std::size_t> labels;     ///< of the right candidates, by example
  };

  /// `prompt` and `candidates` are templates without {mask}: "{text} It was" and " terrible", " great". A
  /// candidate that begins with neither a space nor a line end, behind a prompt that ends with neither, gets
  /// a space. Prompts are cut so that the longest candidate ends within `max_tokens`. Throws Error for fewer
  /// than two candidates, for an empty one and for two that are the same.
  CandidateChoice(Tokenizer const& tokenizer, std::string_view prompt,
                  std::span<std::string const> candidates, std::size_t max_tokens)
      : tokenizer_(&tokenizer), prompt_(prompt, text::MaskSlot::optional), max_tokens_(max_tokens) {
    text::require_no_mask(prompt_, prompt);
    require(candidates.size() >= 2, "a choice needs at least two candidates, not ", candidates.size());
    auto const blank = [](char c) { return c == ' ' || c == '\n' || c == '\t'; };
    bool const spaced = prompt.empty() || blank(prompt.back());
    std::vector<std::string> texts; // " great" and "great" may become the same
    for (std::string const& candidate : candidates) {
      require(!candidate.empty() && candidate != " ", "candidate ", text::quote(candidate),
              " is empty; give a text for each");
      std::string text = (spaced || blank(candidate.front()) ? "" : " ") + candidate;
      require(std::find(texts.begin(), texts.end(), text) == texts.end(), "candidate ",
              text::quote(candidate),
              " stands for two classes, which could not be told apart; choose another for one of them");
      candidates_.emplace_back(text, text::MaskSlot::optional);
      text::require_no_mask(candidates_.back(), candidate);
      texts.push_back(std::move(text));
    }
  }

  /// The prompt and its candidates with their fields, by name, filled in.
  [[nodiscard]] Example encode(std::span<text::Field const> fields, std::size_t label) const {
    require(label < candidates_.size(), "class ", label, " has no candidate; there are ", candidates_.size());
    std::vector<std::string> texts;
    for (text::PromptTemplate const& candidate : candidates_) {
      texts.push_back(candidate.fill(fields));
    }
    auto joined = text::join_candidates(*tokenizer_, prompt_, fields, texts, max_tokens_);
    return {std::move(joined.prompt), std::move(joined.candidates), label};
  }

  /// The template of the prompts.
  [[nodiscard]] text::PromptTemplate const& prompt() const noexcept { return prompt_; }
  /// Number of candidates, of which each stands for a class.
  [[nodiscard]] std::size_t classes() const noexcept { return candidates_.size(); }

  /// Those of `examples` with the numbers `indices`, in the order of these.
  [[nodiscard]] Batch batch(std::span<Example const> examples, std::span<std::size_t const> indices) const {
    Batch batch;
    for (std::size_t const index : indices) {
      Example const& example = examples[index];
      std::size_t const prompt = batch.tokens.size();
      batch.tokens.add(example.ids);
      std::size_t const last = batch.tokens.tokens() - 1;
      for (std::vector<std::int32_t> const& candidate : example.candidates) {
        batch.targets.push_back({last, candidate.front()});
        for (std::size_t i = 1; i < candidate.size(); ++i) {
          batch.targets.push_back({batch.tokens.tokens() + i - 1, candidate[i]});
        }
        if (candidate.size() > 1) { // nothing is predicted from the last token
          batch.tokens.add_behind(prompt, std::span(candidate).first(candidate.size() - 1));
        }
        batch.ends.push_back(batch.targets.size());
      }
      batch.labels.push_back(example.label);
    }
    return batch;
  }

  /// The mean of ln p of each candidate, [lanes, examples, candidates], in the runtime's workspace: the
  /// caller holds a frame. A models::Bottom of the batch may be given.
  template <CausalLanguageModel Model, random::Perturbation P, class... Bottom>
  [[nodiscard]] Lanes<float> scores(Model const& model, Batch const& batch, random::Perturbed<P> const& at,
                                    Runtime& runtime, Bottom const&... bottom) const {
    Lanes<float> const scores = take_lanes(runtime.workspace(), at.lanes(), batch.labels.size(), classes());
    Workspace::Frame const frame(runtime.workspace());
    Lanes<float const> const log_p =
        model.log_probabilities(batch.tokens, batch.targets, at, runtime, bottom...);
    for (std::size_t l = 0; l < log_p.lanes; ++l) {
      float const* const values = log_p.row(l, 0);
      for (std::size_t i = 0, from = 0; i < batch.ends.size(); from = batch.ends[i], ++i) {
        double const sum = std::accumulate(values + from, values + batch.ends[i], 0.0);
        scores.row(l, i / classes())[i % classes()] =
            static_cast<float>(sum / static_cast<double>(batch.ends[i] - from));
      }
    }
    return scores;
  }

  /// The mean loss at each point.
  template <CausalLanguageModel Model, random::Perturbation P, class... Bottom>
  [[nodiscard]] std::vector<float> operator()(Model const& model, Batch const& batch,
                                              random::Perturbed<P> const& at, Runtime& runtime,
                                              Bottom const&... bottom) const {
    Workspace::Frame const frame(runtime.workspace());
    return mean_cross_entropy(scores(model, batch, at, runtime, bottom...), batch.labels);
  }

private:
  Tokenizer const* tokenizer_;
  text::PromptTemplate prompt_;
  std::vector<text::PromptTemplate> candidates_;
  std::size_t max_tokens_;
};

} // namespace pocketllm::train
