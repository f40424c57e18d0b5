// SPDX-License-Identifier: Apache-2.0
// Classification by a head: a linear layer on one vector of the text, for any number of classes.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/models/batch.hpp>
#include <pocketllm/models/pooling.hpp>
#include <pocketllm/text/sentence.hpp>
#include <pocketllm/text/tokenizer.hpp>
#include <pocketllm/train/objective.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace pocketllm::train {

/// A model that scores the classes of whole sequences.
template <class M>
concept SequenceClassifier = requires(M const& model, models::Batch const& batch,
                                      random::Perturbed<random::Gaussian> const& at, Runtime& runtime) {
  { model.class_scores(batch, at, runtime) } -> std::same_as<Lanes<float>>;
};
static_assert(!SequenceClassifier<int>);

/// Cross-entropy over the scores of the classes, mean over the batch. Texts, or pairs of texts, are read
/// without a prompt. The tokenizer must outlive the objective.
template <text::Tokenizer Tokenizer>
class ClassificationHead {
public:
  /// The tokens of a text or a pair of texts.
  struct Example {
    std::vector<std::int32_t> ids, ///< with framing
        types;                     ///< token types, one for each id
    std::size_t label = 0;         ///< index of the class
  };
  /// Some examples, ready for the model.
  struct Batch {
    models::Batch tokens;            ///< a sequence for each example, with token types
    std::vector<std::size_t> labels; ///< class indices, one for each example
  };

  /// Throws Error for fewer than two classes.
  ClassificationHead(Tokenizer const& tokenizer, std::size_t classes, std::size_t max_tokens)
      : tokenizer_(&tokenizer), classes_(classes), max_tokens_(max_tokens) {
    require(classes >= 2, "a classifier needs at least two classes, not ", classes);
  }

  /// One text or a pair.
  [[nodiscard]] Example encode(std::span<std::string const> texts, std::size_t label) const {
    require(label < classes_, "there is no class ", label, "; there are ", classes_);
    text::FramedText framed = text::encode_sentence(*tokenizer_, texts, max_tokens_);
    return {std::move(framed.ids), std::move(framed.types), label};
  }

  /// Number of scores that the model must give a text.
  [[nodiscard]] std::size_t classes() const noexcept { return classes_; }

  /// Those of `examples` with the numbers `indices`, in the order of these.
  [[nodiscard]] Batch batch(std::span<Example const> examples, std::span<std::size_t const> indices) const {
    Batch batch;
    for (std::size_t const index : indices) {
      batch.tokens.add(examples[index].ids, examples[index].types);
      batch.labels.push_back(examples[index].label);
    }
    return batch;
  }

  /// The token of each example that the model's head looks at; none when it is the mean of all.
  template <class Model>
  [[nodiscard]] static std::span<std::size_t const> head_rows(Model const& model, Batch const& batch) {
    bool const first = model.config().pooling == models::Pooling::first_token;
    return batch.tokens.offsets().first(first ? batch.tokens.size() : 0);
  }

  /// Scores of the classes, [lanes, examples, classes], in the runtime's workspace: the caller holds a frame.
  /// A models::Bottom of the batch may be given.
  template <SequenceClassifier Model, random::Perturbation P, class... Bottom>
  [[nodiscard]] Lanes<float> scores(Model const& model, Batch const& batch, random::Perturbed<P> const& at,
                                    Runtime& runtime, Bottom const&... bottom) const {
    return model.class_scores(batch.tokens, at, runtime, bottom...);
  }

  /// The mean loss at each point.
  template <SequenceClassifier Model, random::Perturbation P, class... Bottom>
  [[nodiscard]] std::vector<float> operator()(Model const& model, Batch const& batch,
                                              random::Perturbed<P> const& at, Runtime& runtime,
                                              Bottom const&... bottom) const {
    Workspace::Frame const frame(runtime.workspace());
    return mean_cross_entropy(scores(model, batch, at, runtime, bottom...), batch.labels);
  }

private:
  Tokenizer const* tokenizer_;
  std::size_t classes_;
  std::size_t max_tokens_;
};

} // namespace pocketllm::train
