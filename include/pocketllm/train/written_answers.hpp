// SPDX-License-Identifier: Apache-2.0
// Answers that a model writes to questions, compared with the expected ones: as an evaluation, and as a loss,
// which has no gradient.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/core/runtime.hpp>
#include <pocketllm/models/generate.hpp>
#include <pocketllm/models/generate_batch.hpp>
#include <pocketllm/random/perturbed.hpp>
#include <pocketllm/text/tokenizer.hpp>
#include <pocketllm/train/answer_match.hpp>
#include <pocketllm/train/next_token.hpp>
#include <pocketllm/train/objective.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pocketllm::train {

/// Where written answers end, which follows from the expected ones of some examples: at the end-of-text
/// token, with the line unless some expected answer has several, and behind a few tokens more than the
/// longest of them has. The tokenizer must outlive it.
template <text::Tokenizer Tokenizer>
class AnswerForm {
public:
  static constexpr std::size_t more = 8; ///< tokens that a written answer may have beyond the longest one
  static constexpr std::size_t most =
      256; ///< tokens that it has at most: one that does not end costs them all

  /// Knows of no answer yet: `add` the examples whose answers tell where to end.
  explicit AnswerForm(Tokenizer const& tokenizer) : tokenizer_(&tokenizer) {}

  /// Takes the answers of some examples into account.
  void add(std::span<NextTokenExample const> examples) {
    for (NextTokenExample const& example : examples) {
      longest_ = std::max(longest_, example.ids.size() - example.first);
      lines_ = lines_ || expected(example).find('\n') != std::string::npos;
    }
  }

  /// The prompt of an example: the ids before its answer.
  [[nodiscard]] static std::span<std::int32_t const> question(NextTokenExample const& example) {
    return std::span(example.ids).first(example.first);
  }
  /// The answer of an example as a text, without an end-of-text token at its end.
  [[nodiscard]] std::string expected(NextTokenExample const& example) const {
    std::span<std::int32_t const> ids = std::span(example.ids).subspan(example.first);
    bool const ended = !ids.empty() && ids.back() == tokenizer_->special_tokens().eos;
    return tokenizer_->decode(ids.first(ids.size() - (ended ? 1 : 0)));
  }

  /// The text of tokens that a model has written: of the last of them only what is in the line.
  [[nodiscard]] std::string written(std::span<std::int32_t const> ids) const {
    std::string const text = tokenizer_->decode(ids);
    return lines_ ? text : text.substr(0, text.find('\n'));
  }

  /// Tokens that a written answer has at most: `more` than the longest, and no more than `most`.
  [[nodiscard]] std::size_t max_tokens() const noexcept { return std::min(longest_ + more, most); }

  /// How they are generated: greedily.
  [[nodiscard]] models::GenerateOptions options() const {
    models::GenerateOptions options{.max_tokens = max_tokens(), .eos = tokenizer_->special_tokens().eos};
    if (!lines_) {
      options.on_token = [tokenizer = tokenizer_](std::int32_t id) {
        return std::string(tokenizer->decode(std::span(&id, 1))).find('\n') == std::string::npos;
      };
    }
    return options;
  }

private:
  Tokenizer const* tokenizer_;
  std::size_t longest_ = 0; ///< tokens of an expected answer
  bool lines_ = false;      ///< whether one of them has more than one line
};

/// Written answers beside the expected ones, in the order of the examples.
struct AnswerEvaluation {
  std::vector<std::string> expected, ///< the answers of the examples
      written;                       ///< what the model has written
  std::vector<AnswerMatch> matches;  ///< of each written answer
  AnswerMatch mean = {};             ///< over the examples; 0 where there are none
};

/// Lets the model answer the questions of some examples, one after the other, with the weights as they are.
template <models::TextGenerator Model, text::Tokenizer Tokenizer>
[[nodiscard]] AnswerEvaluation evaluate_answers(Model const& model, AnswerForm<Tokenizer> const& form,
                                                std::span<NextTokenExample const> examples,
                                                Runtime& runtime) {
  AnswerEvaluation result;
  auto const count = static_cast<double>(examples.size());
  models::GenerateOptions const options = form.options();
  for (NextTokenExample const& example : examples) {
    result.expected.push_back(form.expected(example));
    result.written.push_back(form.written(models::generate(model, form.question(example), options, runtime)));
    result.matches.push_back(match_answer(result.written.back(), result.expected.back()));
    result.mean.exact += result.matches.back().exact / count;
    result.mean.f1 += result.matches.back().f1 / count;
  }
  return result;
}

/// How good a written answer is beside the expected one: 1 for the best, 0 for the worst.
using AnswerScore = std::function<double(std::string_view written, std::string_view expected)>;

/// The score with one of the names that programs offer. Throws Error for another one.
[[nodiscard]] inline AnswerScore answer_score(std::string_view name) {
  if (name == "exact-match") {
    return [](auto written, auto expected) { return match_answer(written, expected).exact; };
  }
  require(name == "answer-f1", "there is no score of answers called ", name,
          "; there are exact-match and answer-f1");
  return [](auto written, auto expected) { return match_answer(written, expected).f1; };
}

/// The loss 1 - the mean score of the answers that a model writes, greedily, to the questions of a batch. It
/// is flat almost everywhere and jumps: the points need to be further apart than for cross-entropy (a larger
/// epsilon) and the batches larger. A point costs a forward pass where all answers are the expected ones, and
/// up to one for each token of the longest written one where they are not.
template <text::Tokenizer Tokenizer>
class WrittenAnswers {
public:
  /// A question and its answer, of which the answer is what is predicted.
  using Example = NextTokenExample;
  /// Some examples with their answers as texts.
  struct Batch {
    std::vector<Example> examples;     ///< copies of those asked for
    std::vector<std::string> expected; ///< their answers as texts
  };

  /// `form` ends what is written: `add` the examples to it before. `score` must not be empty.
  WrittenAnswers(AnswerForm<Tokenizer> form, AnswerScore score)
      : form_(std::move(form)), score_(std::move(score)) {}

  /// Throws Error for an example without an answer.
  [[nodiscard]] Batch batch(std::span<Example const> examples, std::span<std::size_t const> indices) const {
    Batch batch;
    for (std::size_t const index : indices) {
      require_token_to_predict(examples[index], index);
      batch.examples.push_back(examples[index]);
      batch.expected.push_back(form_.expected(examples[index]));
    }
    return batch;
  }

  /// The loss at each point. They are taken one after the other, since other weights write other texts.
  template <models::GreedyModel Model, random::Perturbation P>
  [[nodiscard]] std::vector<float> operator()(Model const& model, Batch const& batch,
                                              random::Perturbed<P> const& at, Runtime& runtime) const {
    std::vector<models::TextToContinue> texts;
    for (Example const& example : batch.examples) {
      std::size_t const answer = example.ids.size() - example.first;
      texts.push_back({form_.question(example), std::span(example.ids).subspan(example.first, answer - 1)});
    }
    models::GenerateOptions const options = form_.options();
    std::vector<float> losses;
    for (std::size_t l = 0; l < at.lanes(); ++l) {
      auto const point = random::perturb(at.perturbation, at.points.subspan(l, 1));
      auto const written = models::generate_batch(model, texts, options, point, runtime);
      double sum = 0.0;
      for (std::size_t i = 0; i < written.size(); ++i) {
        sum += score_(form_.written(written[i]), batch.expected[i]);
      }
      losses.push_back(static_cast<float>(1.0 - sum / static_cast<double>(written.size())));
    }
    return losses;
  }

private:
  AnswerForm<Tokenizer> form_;
  AnswerScore score_;
};

} // namespace pocketllm::train
