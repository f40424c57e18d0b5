// SPDX-License-Identifier: Apache-2.0
// How alike two texts are: the cosine of their embeddings is to be what a person said.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/models/batch.hpp>
#include <pocketllm/models/pooling.hpp>
#include <pocketllm/text/sentence.hpp>
#include <pocketllm/text/tokenizer.hpp>
#include <pocketllm/train/objective.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <numeric>
#include <span>
#include <string>
#include <vector>

namespace pocketllm::train {

/// A model that makes one vector of a sequence.
template <class M>
concept SentenceModel = requires(M const& model, models::Batch const& batch,
                                 random::Perturbed<random::Gaussian> const& at, Runtime& runtime) {
  { model.pooled(batch, models::Pooling::mean, at, runtime) } -> std::same_as<Lanes<float>>;
};
static_assert(!SentenceModel<int>);

/// Mean over pairs of (cos(a, b) - score)^2, the embeddings being means over tokens, as
/// sentence-transformers' CosineSimilarityLoss (Reimers and Gurevych, arXiv 1908.10084). The tokenizer must
/// outlive the objective.
template <text::Tokenizer Tokenizer>
class PairSimilarity {
public:
  /// The tokens of two texts, and how alike they are.
  struct Example {
    std::vector<std::int32_t> ids, ///< of the first text, with framing
        second;                    ///< of the second text, with framing
    float score = 0.0F;            ///< from -1, the opposite, to 1, the same
  };
  /// Some pairs, ready for the model.
  struct Batch {
    models::Batch tokens;      ///< both texts of the first pair, then of the second
    std::vector<float> scores; ///< of the examples; half as many as there are texts
  };

  /// Texts are cut to `max_tokens` ids, framing included.
  PairSimilarity(Tokenizer const& tokenizer, std::size_t max_tokens)
      : tokenizer_(&tokenizer), max_tokens_(max_tokens) {}

  /// Throws Error for a score outside [-1, 1].
  [[nodiscard]] Example encode(std::string const& first, std::string const& second, float score) const {
    require(score >= -1.0F && score <= 1.0F, "a score of ", score, "; a cosine is between -1 and 1");
    return {text::encode_sentence(*tokenizer_, std::span(&first, 1), max_tokens_).ids,
            text::encode_sentence(*tokenizer_, std::span(&second, 1), max_tokens_).ids, score};
  }

  /// Those of `examples` with the numbers `indices`, in the order of these.
  [[nodiscard]] Batch batch(std::span<Example const> examples, std::span<std::size_t const> indices) const {
    Batch batch;
    for (std::size_t const index : indices) {
      batch.tokens.add(examples[index].ids);
      batch.tokens.add(examples[index].second);
      batch.scores.push_back(examples[index].score);
    }
    return batch;
  }

  /// The cosine of each pair at each point, one lane behind the other.
  template <SentenceModel Model, random::Perturbation P, class... Bottom>
  [[nodiscard]] std::vector<float> cosines(Model const& model, Batch const& batch,
                                           random::Perturbed<P> const& at, Runtime& runtime,
                                           Bottom const&... bottom) const {
    Workspace::Frame const frame(runtime.workspace());
    Lanes<float> const x = model.pooled(batch.tokens, models::Pooling::mean, at, runtime, bottom...);
    models::normalize_rows(x, runtime);
    std::vector<float> cosines;
    for (std::size_t l = 0; l < x.lanes; ++l) {
      for (std::size_t i = 0; i < x.rows; i += 2) {
        cosines.push_back(static_cast<float>(std::inner_product(
            x.row(l, i), x.row(l, i) + x.cols, x.row(l, i + 1), 0.0, std::plus<>(),
            [](float a, float b) { return static_cast<double>(a) * static_cast<double>(b); })));
      }
    }
    return cosines;
  }

  /// The mean loss at each point. A models::Bottom of the batch may be given.
  template <SentenceModel Model, random::Perturbation P, class... Bottom>
  [[nodiscard]] std::vector<float> operator()(Model const& model, Batch const& batch,
                                              random::Perturbed<P> const& at, Runtime& runtime,
                                              Bottom const&... bottom) const {
    std::vector<float> const found = cosines(model, batch, at, runtime, bottom...);
    std::size_t const pairs = batch.scores.size();
    std::vector<float> losses;
    for (std::size_t l = 0; l < at.lanes(); ++l) {
      double sum = 0.0;
      for (std::size_t i = 0; i < pairs; ++i) {
        double const difference =
            static_cast<double>(found[l * pairs + i]) - static_cast<double>(batch.scores[i]);
        sum += difference * difference;
      }
      losses.push_back(static_cast<float>(sum / static_cast<double>(pairs)));
    }
    return losses;
  }

private:
  Tokenizer const* tokenizer_;
  std::size_t max_tokens_;
};

/// Spearman's rank correlation: Pearson's of the ranks, equal values having the mean of their ranks. NaN when
/// all values of a side are equal. Throws Error when their numbers differ or there are fewer than two.
[[nodiscard]] inline double spearman(std::span<float const> a, std::span<float const> b) {
  require(a.size() == b.size() && a.size() >= 2, "a rank correlation of ", a.size(), " and ", b.size(),
          " values");
  auto const ranks = [](std::span<float const> values) {
    std::vector<std::size_t> order(values.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::sort(order.begin(), order.end(),
              [&](std::size_t i, std::size_t j) { return values[i] < values[j]; });
    std::vector<double> rank(values.size());
    for (std::size_t first = 0; first < order.size();) {
      std::size_t end = first + 1;
      while (end < order.size() && values[order[end]] == values[order[first]]) {
        ++end;
      }
      for (std::size_t i = first; i < end; ++i) {
        rank[order[i]] =
            0.5 * static_cast<double>(first + end - 1) - 0.5 * static_cast<double>(values.size() - 1);
      }
      first = end;
    }
    return rank; // of mean zero
  };
  std::vector<double> const x = ranks(a), y = ranks(b);
  return std::inner_product(x.begin(), x.end(), y.begin(), 0.0) /
         std::sqrt(std::inner_product(x.begin(), x.end(), x.begin(), 0.0) *
                   std::inner_product(y.begin(), y.end(), y.begin(), 0.0));
}

} // namespace pocketllm::train
