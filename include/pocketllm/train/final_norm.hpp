// SPDX-License-Identifier: Apache-2.0
// The last LayerNorm of a causal model, trained by its exact slope: the scores of words are linear in its
// gain and bias, so the slope is made of what a forward pass has. What is below is computed once.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/core/runtime.hpp>
#include <pocketllm/layers/layer_norm.hpp>
#include <pocketllm/models/causal_batch.hpp>
#include <pocketllm/models/frozen_bottom.hpp>
#include <pocketllm/models/gather.hpp>
#include <pocketllm/models/opt.hpp>
#include <pocketllm/models/vocabulary_slope.hpp>
#include <pocketllm/train/batches.hpp>
#include <pocketllm/train/stop.hpp>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace pocketllm::train {

/// A model whose word scores are word_table() times what final_norm() makes of the last layer's states;
/// final_norm() is null where the model at hand has no such norm, or more behind it.
template <class M>
concept EndsInNorm = models::HasBottom<M, models::CausalBatch> && requires(M& model, M const& read) {
  { model.final_norm() } -> std::same_as<layers::LayerNorm*>;
  { read.final_norm() } -> std::same_as<layers::LayerNorm const*>;
  read.word_table().rows();
};
static_assert(EndsInNorm<models::Opt<float>> && !EndsInNorm<int>);

/// How the last norm is trained: by Adam (Kingma and Ba, arXiv 1412.6980), the rate falling linearly to zero.
struct NormTraining {
  std::uint64_t steps = 300;  ///< of a batch each
  float learning_rate = 0.0F; ///< of the first step; 0 for norm_rate of the model's width
};

/// A rate for a norm of so many numbers, which the score of a word is a sum of: 0.03 for 256, where a third
/// of that and three times as much are about as good (tiny-opt on text messages). No other width was tried.
[[nodiscard]] inline float norm_rate(std::size_t width) noexcept { return 8.0F / static_cast<float>(width); }

namespace detail {

/// Adam for a vector in memory: for the few weights whose slope is known exactly.
class DenseAdam {
public:
  explicit DenseAdam(std::size_t size) : mean_(size), square_(size) {}

  void step(std::span<float> weights, std::span<double const> slopes, double rate) {
    constexpr double first = 0.9, second = 0.999, epsilon = 1e-8; // the paper's
    ++count_;
    double const mean_share = 1.0 - std::pow(first, count_), square_share = 1.0 - std::pow(second, count_);
    for (std::size_t i = 0; i < weights.size(); ++i) {
      mean_[i] = first * mean_[i] + (1.0 - first) * slopes[i];
      square_[i] = second * square_[i] + (1.0 - second) * slopes[i] * slopes[i];
      weights[i] -= static_cast<float>(rate * (mean_[i] / mean_share) /
                                       (std::sqrt(square_[i] / square_share) + epsilon));
    }
  }

private:
  std::vector<double> mean_, square_;
  double count_ = 0.0;
};

} // namespace detail

/// Slopes of a loss in gain and bias of a norm.
struct NormSlopes {
  std::vector<double> gain; ///< [width]
  std::vector<double> bias; ///< [width]
  double loss = 0.0;        ///< mean over the tokens
};

/// The mean of -ln p over the targets, each of a row of its own, and its slopes, from the states of all rows
/// below the norm. Throws Error for a row of two targets, or one that is not there.
template <EndsInNorm Model>
[[nodiscard]] NormSlopes norm_slopes(Model const& model, models::Bottom const& bottom,
                                     std::span<models::Target const> targets, Runtime& runtime) {
  layers::LayerNorm const& norm = *model.final_norm();
  std::size_t const width = norm.weight.size(), count = targets.size();
  Workspace::Frame const frame(runtime.workspace());
  Lanes<float> const unit = take_lanes(runtime.workspace(), 1, count, width);
  std::vector<std::size_t> const rows = models::rows_of(targets);
  require(rows.size() == count, "a token of the batch has more than one target");
  models::copy_rows(bottom.states, rows, unit);
  layers::LayerNorm plain("", width, norm.epsilon); // of gain 1
  models::detail::fix(plain.weight, 1.0F), models::detail::fix(plain.bias, 0.0F);
  plain(unit, {}, random::unperturbed(), runtime);
  Lanes<float> const h = take_lanes(runtime.workspace(), 1, count, width);
  layers::for_each_row(h, runtime, [&](std::size_t, std::size_t r) {
    for (std::size_t k = 0; k < width; ++k) {
      h.row(0, r)[k] = unit.row(0, r)[k] * norm.weight.data()[k] + norm.bias.data()[k];
    }
  });
  std::vector<std::int32_t> ids;
  for (models::Target const& target : targets) {
    ids.push_back(target.id);
  }
  Lanes<float> const slopes = take_lanes(runtime.workspace(), 1, count, width);
  double const share = 1.0 / static_cast<double>(count);
  NormSlopes result{std::vector<double>(width), std::vector<double>(width),
                    share * models::vocabulary_slopes(h, model.word_table(), ids, slopes, runtime)};
  for (std::size_t r = 0; r < count; ++r) {
    for (std::size_t k = 0; k < width; ++k) {
      double const slope = share * static_cast<double>(slopes.row(0, r)[k]);
      result.gain[k] += slope * static_cast<double>(unit.row(0, r)[k]);
      result.bias[k] += slope;
    }
  }
  return result;
}

/// Trains gain and bias of the model's last norm on next tokens. `objective` is an OnFrozenBottom of a
/// NextTokenLoss, whose cache keeps the states below the norm; nothing but the norm may be selected for
/// training (optimize::select_trained). Throws Error where something else is, where the model has no such
/// norm, and for a loss that is not a finite number; the norm is then as it was before that step. Gives the
/// number of steps that were done before `stop`.
template <EndsInNorm Model, class Objective>
std::uint64_t train_final_norm(Model& model, Objective const& objective,
                               std::span<typename Objective::Example const> examples, BatchOrder order,
                               NormTraining const& options, StopCondition const& stop, Runtime& runtime) {
  layers::LayerNorm* const norm = model.final_norm();
  require(norm != nullptr, "the model has no LayerNorm right before its words' scores");
  require(model.first_trained_layer() == model.layer_count(),
          "layers below the last norm are selected for training; select its gain and bias alone");
  std::size_t const width = norm->weight.size();
  auto const first_rate =
      static_cast<double>(options.learning_rate != 0.0F ? options.learning_rate : norm_rate(width));
  detail::DenseAdam gain(width), bias(width);
  std::uint64_t step = 0;
  for (; step < options.steps && !stop.requested(); ++step) {
    auto const batch = objective.batch(examples, order.batch(step));
    Workspace::Frame const frame(runtime.workspace());
    auto const slopes = norm_slopes(model, objective.states(model, batch, random::Gaussian{}, runtime),
                                    batch.targets, runtime);
    require(std::isfinite(slopes.loss), "step ", step + 1,
            " of the last norm: the loss is not a finite number; try a tenth of the rate");
    double const rate = first_rate * (1.0 - static_cast<double>(step) / static_cast<double>(options.steps));
    gain.step({norm->weight.mutable_data(), width}, slopes.gain, rate);
    bias.step({norm->bias.mutable_data(), width}, slopes.bias, rate);
  }
  return step;
}

} // namespace pocketllm::train
