// SPDX-License-Identifier: Apache-2.0
// Language modelling: texts, and answers to questions, as tokens to be predicted.
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
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pocketllm::train {

/// Plain text, of which every token is predicted: one example a text, or windows over a long one. The
/// tokenizer must outlive the objective.
template <text::Tokenizer Tokenizer>
class CausalText : public NextTokenLoss {
public:
  /// A window has at most `max_tokens` tokens, of which the first `overlap` behind the framing were predicted
  /// in the window before and are only read. Throws Error when that leaves none to predict.
  explicit CausalText(Tokenizer const& tokenizer, std::size_t max_tokens, std::size_t overlap = 0)
      : tokenizer_(&tokenizer), max_tokens_(max_tokens), overlap_(overlap) {
    std::size_t const framing = tokenizer.framing().before.size();
    require(max_tokens > overlap + std::max<std::size_t>(framing, 1), "windows of ", max_tokens,
            " tokens with an overlap of ", overlap, " leave nothing to predict; make them longer");
  }

  /// The beginning of the text, as far as a window reaches. Without tokens to predict when it is empty.
  [[nodiscard]] Example encode(std::string_view text) const {
    std::vector<std::int32_t> ids = tokenizer_->encode_framed(text);
    ids.resize(std::min(ids.size(), max_tokens_));
    return {std::move(ids), 1};
  }

  /// Windows over the whole text; each of its tokens but one without framing before it is predicted once.
  [[nodiscard]] std::vector<Example> windows(std::string_view text) const {
    std::vector<std::int32_t> const ids = tokenizer_->encode(text), before = tokenizer_->framing().before;
    std::size_t const room = max_tokens_ - before.size();
    std::vector<Example> examples;
    for (std::size_t begin = 0, done = 0; done < ids.size(); begin += room - overlap_) {
      std::size_t const end = std::min(ids.size(), begin + room);
      Example example{before, std::max<std::size_t>(1, before.size() + done - begin)};
      example.ids.insert(example.ids.end(), ids.begin() + static_cast<std::ptrdiff_t>(begin),
                         ids.begin() + static_cast<std::ptrdiff_t>(end));
      done = end;
      if (example.first < example.ids.size()) {
        examples.push_back(std::move(example));
      }
    }
    return examples;
  }

private:
  Tokenizer const* tokenizer_;
  std::size_t max_tokens_, overlap_;
};

/// Questions and answers, of which the answers' tokens are predicted and the questions' only read. The
/// tokenizer must outlive the objective.
template <text::Tokenizer Tokenizer>
class AnswerLoss : public NextTokenLoss {
public:
  /// `question` and `answer` are templates without {mask}, for example "{question}\nAnswer:" and " {answer}";
  /// fields of the question are cut so that both fit `max_tokens`. With `end`, the end-of-text token belongs
  /// to the answer, so that the model learns where it stops. Throws Error when the tokenizer has no such
  /// token.
  AnswerLoss(Tokenizer const& tokenizer, std::string_view question, std::string_view answer,
             std::size_t max_tokens, bool end = true)
      : tokenizer_(&tokenizer), question_(question, text::MaskSlot::optional),
        answer_(answer, text::MaskSlot::optional), max_tokens_(max_tokens), end_(end) {
    text::require_no_mask(question_, question);
    text::require_no_mask(answer_, answer);
    require(!end || tokenizer.special_tokens().eos.has_value(),
            "the tokenizer has no end-of-text token to end an answer with");
  }

  /// The question with its answer. Throws Error when the answer does not fit.
  [[nodiscard]] Example encode(std::span<text::Field const> fields) const {
    std::vector<std::string> const answers{answer_.fill(fields)};
    std::size_t const extra = end_ ? 1 : 0;
    require(max_tokens_ > extra, "answers of at most ", max_tokens_, " tokens");
    auto joined = text::join_candidates(*tokenizer_, question_, fields, answers, max_tokens_ - extra);
    Example example{std::move(joined.prompt), 0};
    example.first = example.ids.size();
    example.ids.insert(example.ids.end(), joined.candidates[0].begin(), joined.candidates[0].end());
    if (end_) {
      example.ids.push_back(*tokenizer_->special_tokens().eos);
    }
    return example;
  }

  /// The question alone, for generation: room is left for `answer_tokens`.
  [[nodiscard]] std::vector<std::int32_t> encode_question(std::span<text::Field const> fields,
                                                          std::size_t answer_tokens) const {
    require(answer_tokens < max_tokens_, "an answer of ", answer_tokens, " tokens leaves no room for the ",
            "question among ", max_tokens_);
    return tokenizer_->encode_framed(
        text::without_last_space(question_.fill(*tokenizer_, fields, max_tokens_ - answer_tokens)));
  }

  /// The template of the questions.
  [[nodiscard]] text::PromptTemplate const& question() const noexcept { return question_; }
  /// The template of the answers.
  [[nodiscard]] text::PromptTemplate const& answer() const noexcept { return answer_; }

private:
  Tokenizer const* tokenizer_;
  text::PromptTemplate question_, answer_;
  std::size_t max_tokens_;
  bool end_;
};

} // namespace pocketllm::train
