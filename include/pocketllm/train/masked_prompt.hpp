// SPDX-License-Identifier: Apache-2.0
// Classification by a prompt: the word that a masked language model puts into the gap is the class.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/models/batch.hpp>
#include <pocketllm/text/label_word.hpp>
#include <pocketllm/text/prompt_template.hpp>
#include <pocketllm/text/quote.hpp>
#include <pocketllm/text/tokenizer.hpp>
#include <pocketllm/train/objective.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pocketllm::train {

/// A model that scores words in the place of a mask.
template <class M>
concept MaskedLanguageModel = requires(M const& model, models::Batch const& batch,
                                       std::span<std::size_t const> rows, std::span<std::int32_t const> words,
                                       random::Perturbed<random::Gaussian> const& at, Runtime& runtime) {
  { model.word_scores(batch, rows, words, at, runtime) } -> std::same_as<Lanes<float>>;
};
static_assert(!MaskedLanguageModel<int>);

/// MeZO's objective for RoBERTa (arXiv 2305.17333, appendix D): cross-entropy over the label words' scores at
/// the mask of a prompt, mean over the batch. The tokenizer must outlive the objective.
template <text::Tokenizer Tokenizer>
class MaskedPrompt {
public:
  /// A rendered example.
  struct Example {
    std::vector<std::int32_t> ids; ///< with framing
    std::size_t mask = 0;          ///< its place among the ids
    std::size_t label = 0;         ///< index of the class
  };
  /// Some examples, ready for the model.
  struct Batch {
    models::Batch tokens;            ///< a sequence for each example
    std::vector<std::size_t> masks;  ///< row of each example's mask among all tokens
    std::vector<std::size_t> labels; ///< class indices, one for each example
  };

  /// `prompt` is a template with one {mask} (text/prompt_template.hpp); `words` holds a label word for each
  /// class, each a single token. Prompts are cut to `max_tokens`. Throws Error for a word of several tokens
  /// and for one of two classes.
  MaskedPrompt(Tokenizer const& tokenizer, std::string_view prompt, std::span<std::string const> words,
               std::size_t max_tokens)
      : tokenizer_(&tokenizer), template_(prompt), max_tokens_(max_tokens) {
    require(template_.mask_count() == 1, "the template has ", template_.mask_count(),
            " masks; write {mask} once");
    require(words.size() >= 2, "a classifier needs at least two label words, not ", words.size());
    for (std::string const& word : words) {
      std::int32_t const id = text::label_word_id(tokenizer, word, template_.mask_follows_space());
      require(std::find(words_.begin(), words_.end(), id) == words_.end(), "label word ", text::quote(word),
              " stands for two classes, which could not be told apart; choose another for one of them");
      words_.push_back(id);
    }
  }

  /// The prompt with its fields, by name, filled in.
  [[nodiscard]] Example encode(std::span<text::Field const> fields, std::size_t label) const {
    require(label < words_.size(), "class ", label, " has no label word; there are ", words_.size());
    text::Prompt prompt = template_.render(*tokenizer_, fields, max_tokens_);
    return {std::move(prompt.ids), prompt.mask_positions.front(), label};
  }

  /// The template of the prompts.
  [[nodiscard]] text::PromptTemplate const& prompt() const noexcept { return template_; }
  /// Number of label words, one for each class.
  [[nodiscard]] std::size_t classes() const noexcept { return words_.size(); }
  /// Token ids of the label words, by class.
  [[nodiscard]] std::span<std::int32_t const> words() const noexcept { return words_; }

  /// Those of `examples` with the numbers `indices`, in the order of these.
  [[nodiscard]] Batch batch(std::span<Example const> examples, std::span<std::size_t const> indices) const {
    Batch batch;
    for (std::size_t const index : indices) {
      Example const& example = examples[index];
      batch.masks.push_back(batch.tokens.tokens() + example.mask);
      batch.labels.push_back(example.label);
      batch.tokens.add(example.ids);
    }
    return batch;
  }

  /// The token of each example that the model's head looks at.
  [[nodiscard]] static std::span<std::size_t const> head_rows(auto const&, Batch const& batch) {
    return batch.masks;
  }

  /// Scores of the classes, [lanes, examples, classes], in the runtime's workspace: the caller holds a frame.
  /// A models::Bottom of the batch may be given.
  template <MaskedLanguageModel Model, random::Perturbation P, class... Bottom>
  [[nodiscard]] Lanes<float> scores(Model const& model, Batch const& batch, random::Perturbed<P> const& at,
                                    Runtime& runtime, Bottom const&... bottom) const {
    return model.word_scores(batch.tokens, batch.masks, words_, at, runtime, bottom...);
  }

  /// The mean loss at each point.
  template <MaskedLanguageModel Model, random::Perturbation P, class... Bottom>
  [[nodiscard]] std::vector<float> operator()(Model const& model, Batch const& batch,
                                              random::Perturbed<P> const& at, Runtime& runtime,
                                              Bottom const&... bottom) const {
    Workspace::Frame const frame(runtime.workspace());
    return mean_cross_entropy(scores(model, batch, at, runtime, bottom...), batch.labels);
  }

private:
  Tokenizer const* tokenizer_;
  text::PromptTemplate template_;
  std::vector<std::int32_t> words_;
  std::size_t max_tokens_;
};

} // namespace pocketllm::train
