// SPDX-License-Identifier: Apache-2.0
// The last LayerNorm by its exact slope: that of differences of the loss, and lower losses.
#include "toy_causal.hpp"
#include <pocketllm/core/runtime.hpp>
#include <pocketllm/optimize/selection.hpp>
#include <pocketllm/train/causal_text.hpp>
#include <pocketllm/train/final_norm.hpp>
#include <pocketllm/train/frozen_bottom.hpp>
#include <pocketllm/train/next_token.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace test_final_norm {

using namespace pocketllm;

namespace {

std::vector<train::NextTokenExample> some_texts() {
  std::vector<train::NextTokenExample> examples;
  for (auto const* const text : {"to be or not to be", "be that", "no, not that", "or be it"}) {
    examples.push_back({toy::causal_tokenizer.encode_framed(text), 1});
  }
  return examples;
}

using Kept = train::OnFrozenBottom<train::NextTokenLoss>;
train::NextTokenLoss const loss;

models::Opt<float> with_norm_selected() {
  auto model = toy::load_opt();
  (void)optimize::select_trained(model, "model.decoder.final_layer_norm.*");
  return model;
}

/// Trains as many steps with a cache of so many bytes: the losses of all texts before and after.
struct Result {
  double before, after;
  std::vector<float> gain, bias;
  friend bool operator==(Result const&, Result const&) = default;
};
Result run(std::size_t bytes, std::size_t threads, std::uint64_t steps = 30) {
  auto model = with_norm_selected();
  auto const examples = some_texts();
  Runtime runtime(threads);
  train::BottomCache cache(bytes);
  auto const evaluate = [&] {
    return train::evaluate_tokens(model, std::span<train::NextTokenExample const>(examples), 4, runtime).loss;
  };
  Result result{evaluate(), 0.0, {}, {}};
  CHECK(train::train_final_norm(model, Kept(loss, cache), std::span<train::NextTokenExample const>(examples),
                                train::BatchOrder({1, 1, 1, 1}, {.batch_size = 2, .seed = 1}), {steps, 0.05F},
                                train::StopCondition(), runtime) == steps);
  result.after = evaluate();
  result.gain.assign(model.final_norm()->weight.values().begin(), model.final_norm()->weight.values().end());
  result.bias.assign(model.final_norm()->bias.values().begin(), model.final_norm()->bias.values().end());
  return result;
}

} // namespace

TEST_CASE("slopes of the last norm are differences of the model's loss") {
  auto model = with_norm_selected();
  auto const examples = some_texts();
  Runtime runtime(2);
  Workspace::Frame const frame(runtime.workspace());
  std::vector<std::size_t> const all{0, 1, 2, 3};
  auto const batch = loss.batch(examples, all);
  auto const bottom = model.bottom(batch.tokens, model.layer_count(), {}, random::Gaussian{}, runtime);
  auto const slopes = train::norm_slopes(model, bottom, batch.targets, runtime);
  auto const at = [&](tensor::Tensor<float>& vector, std::size_t i, float by) {
    float const kept = vector.data()[i];
    vector.mutable_data()[i] = kept + by;
    double const value =
        static_cast<double>(loss(model, batch, random::unperturbed(random::Gaussian{}), runtime).at(0));
    vector.mutable_data()[i] = kept;
    return value;
  };
  auto& norm = *model.final_norm();
  CHECK(std::abs(slopes.loss - at(norm.weight, 0, 0.0F)) < 1e-5);
  constexpr float step = 0.05F; // in floats, a loss near 4 is known to 5e-7
  double error = 0.0, size = 0.0;
  for (std::size_t i = 0; i < norm.weight.size(); ++i) {
    double const gain = (at(norm.weight, i, step) - at(norm.weight, i, -step)) / (2.0 * step);
    double const bias = (at(norm.bias, i, step) - at(norm.bias, i, -step)) / (2.0 * step);
    error = std::max({error, std::abs(gain - slopes.gain[i]), std::abs(bias - slopes.bias[i])});
    size = std::max({size, std::abs(gain), std::abs(bias)});
  }
  CHECK(error < 2e-3 * size);
}

TEST_CASE(
    "steps on the last norm lower the loss, the same bits with states kept, made anew and any threads") {
  Result const kept = run(1'000'000, 1);
  CHECK(kept.after < 0.8 * kept.before);
  CHECK(run(0, 2) == kept);
  CHECK(run(2'000, 3) == kept); // some of the texts
}

TEST_CASE("the last norm is not trained with other weights, nor to a loss that is no number") {
  auto model = toy::load_opt();
  auto const examples = some_texts();
  Runtime runtime(1);
  train::BottomCache cache(0);
  auto const run_once = [&](models::Opt<float>& of, train::StopCondition const& stop = {}) {
    return train::train_final_norm(of, Kept(loss, cache), std::span<train::NextTokenExample const>(examples),
                                   train::BatchOrder({1, 1, 1, 1}, {.batch_size = 2, .seed = 1}), {2, 0.05F},
                                   stop, runtime);
  };
  CHECK_THROWS_WITH_AS(run_once(model),
                       "layers below the last norm are selected for training; select its gain and bias alone",
                       Error);
  (void)optimize::select_trained(model, "model.decoder.final_layer_norm.*");
  model.final_norm()->bias.mutable_data()[0] = std::numeric_limits<float>::quiet_NaN();
  std::vector<float> const gain(model.final_norm()->weight.values().begin(),
                                model.final_norm()->weight.values().end());
  CHECK_THROWS_WITH_AS(run_once(model),
                       "step 1 of the last norm: the loss is not a finite number; try a tenth of the rate",
                       Error);
  CHECK(std::equal(gain.begin(), gain.end(), model.final_norm()->weight.data()));
  auto behind = io::load<models::Opt<float>>(golden::path_of("models/data/opt_post"));
  CHECK(behind.final_norm() == nullptr);
  CHECK_THROWS_WITH_AS(run_once(behind), "the model has no LayerNorm right before its words' scores", Error);
  train::StopFlag flag;
  flag.request();
  CHECK(run_once(model, train::StopCondition(flag)) == 0);
}

} // namespace test_final_norm
