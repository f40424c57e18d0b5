// SPDX-License-Identifier: Apache-2.0
// Teacher forcing: a model that reads from left to right predicts each token from the true ones before it.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/models/causal_batch.hpp>
#include <pocketllm/models/key_value_cache.hpp>
#include <pocketllm/train/objective.hpp>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

namespace pocketllm::train {

/// A model that gives ln of the probabilities of tokens, each behind those that it sees.
template <class M>
concept CausalLanguageModel = requires(M const& model, models::CausalBatch const& batch,
                                       std::span<models::Target const> targets,
                                       random::Perturbed<random::Gaussian> const& at, Runtime& runtime) {
  { model.log_probabilities(batch, targets, at, runtime) } -> std::same_as<Lanes<float>>;
};

namespace detail {
struct CausalExample {
  template <random::Perturbation P>
  Lanes<float> log_probabilities(models::CausalBatch const&, std::span<models::Target const>,
                                 random::Perturbed<P> const&, Runtime&) const {
    return {};
  }
};
} // namespace detail
static_assert(CausalLanguageModel<detail::CausalExample> && !CausalLanguageModel<int>);

/// A text's tokens, of which those from `first` on are to be predicted; first >= 1.
struct NextTokenExample {
  std::vector<std::int32_t> ids; ///< with framing
  std::size_t first = 1;         ///< number of the first one to predict; those before are only read
};

/// Throws Error for an example, number `index` of some, without a token to predict.
inline void require_token_to_predict(NextTokenExample const& example, std::size_t index) {
  require(example.first >= 1 && example.first < example.ids.size(), "example ", index, ": ",
          example.ids.size(), " tokens, of which none from number ", example.first,
          " on can be predicted from one before");
}

/// The mean of -ln p over all tokens to be predicted in a batch, each counting the same.
class NextTokenLoss {
public:
  /// The same for all objectives that derive from this one.
  using Example = NextTokenExample;
  /// Some examples, ready for the model.
  struct Batch {
    models::CausalBatch tokens;          ///< a sequence for each example, without its last token
    std::vector<models::Target> targets; ///< the tokens to predict, example after example
    std::vector<std::size_t> ends;       ///< targets up to and with each example's
  };

  /// Nothing is predicted from a text's last token, so it is not among the batch's. Throws Error for an
  /// example without a token to predict.
  [[nodiscard]] Batch batch(std::span<Example const> examples, std::span<std::size_t const> indices) const {
    Batch batch;
    for (std::size_t const index : indices) {
      Example const& example = examples[index];
      require_token_to_predict(example, index);
      std::size_t const begin = batch.tokens.tokens();
      batch.tokens.add(std::span(example.ids).first(example.ids.size() - 1));
      for (std::size_t i = example.first; i < example.ids.size(); ++i) {
        batch.targets.push_back({begin + i - 1, example.ids[i]});
      }
      batch.ends.push_back(batch.targets.size());
    }
    return batch;
  }

  /// The mean loss at each point. A models::Bottom of the batch may be given.
  template <CausalLanguageModel Model, random::Perturbation P, class... Bottom>
  [[nodiscard]] std::vector<float> operator()(Model const& model, Batch const& batch,
                                              random::Perturbed<P> const& at, Runtime& runtime,
                                              Bottom const&... bottom) const {
    Workspace::Frame const frame(runtime.workspace());
    Lanes<float const> const log_p =
        model.log_probabilities(batch.tokens, batch.targets, at, runtime, bottom...);
    std::vector<float> losses;
    for (std::size_t l = 0; l < log_p.lanes; ++l) {
      double const sum = std::accumulate(log_p.row(l, 0), log_p.row(l, 0) + log_p.rows, 0.0);
      losses.push_back(static_cast<float>(-sum / static_cast<double>(log_p.rows)));
    }
    return losses;
  }
};

static_assert(Objective<NextTokenLoss, detail::CausalExample>);
static_assert(!Objective<NextTokenLoss, int>);

/// How well the tokens of some texts are predicted.
struct TokenEvaluation {
  std::vector<double> log_probabilities; ///< of each example, the sum over its tokens
  std::vector<std::size_t> tokens;       ///< of each example, how many were predicted
  double loss = 0.0;                     ///< mean of -ln p over all tokens

  /// e^loss: among how many equally likely tokens the model would be as uncertain.
  [[nodiscard]] double perplexity() const noexcept { return std::exp(loss); }
};

/// Evaluates all examples with the weights as they are, `batch_size` of similar length at a time. The model
/// is only read. Throws Error for a batch size of 0.
template <CausalLanguageModel Model, random::Perturbation P = random::Gaussian>
[[nodiscard]] TokenEvaluation evaluate_tokens(Model const& model, std::span<NextTokenExample const> examples,
                                              std::size_t batch_size, Runtime& runtime,
                                              P const& perturbation = {}) {
  require(batch_size > 0, "a batch size of 0; ask for at least 1 example");
  std::vector<std::size_t> order(examples.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return examples[a].ids.size() < examples[b].ids.size();
  });
  TokenEvaluation result{std::vector<double>(examples.size()), std::vector<std::size_t>(examples.size()),
                         0.0};
  std::size_t all = 0;
  for (std::size_t begin = 0; begin < order.size(); begin += batch_size) {
    auto const indices = std::span(order).subspan(begin, std::min(batch_size, order.size() - begin));
    auto const batch = NextTokenLoss{}.batch(examples, indices);
    Workspace::Frame const frame(runtime.workspace());
    Lanes<float const> const log_p =
        model.log_probabilities(batch.tokens, batch.targets, random::unperturbed(perturbation), runtime);
    for (std::size_t i = 0, from = 0; i < indices.size(); from = batch.ends[i], ++i) {
      float const* const values = log_p.row(0, 0);
      double const sum = std::accumulate(values + from, values + batch.ends[i], 0.0);
      result.log_probabilities[indices[i]] = sum;
      result.tokens[indices[i]] = batch.ends[i] - from;
      result.loss -= sum;
      all += batch.ends[i] - from;
    }
  }
  result.loss /= static_cast<double>(std::max<std::size_t>(1, all));
  return result;
}

} // namespace pocketllm::train
