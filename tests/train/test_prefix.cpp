// SPDX-License-Identifier: Apache-2.0
// Prefix tuning: what the prefix begins as, what a step trains, and points.
#include "temporary_folder.hpp"
#include "toy_causal.hpp"
#include <pocketllm/models/prefixed.hpp>
#include <pocketllm/optimize/estimator.hpp>
#include <pocketllm/optimize/update_rule.hpp>
#include <pocketllm/train/next_token.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

using namespace pocketllm;
using Model = models::Prefixed<models::Opt<float>>;
using Ids = std::vector<std::int32_t>;

static_assert(train::CausalLanguageModel<Model> && train::CausalLanguageModel<models::Opt<f16>>);
static_assert(!train::CausalLanguageModel<models::Roberta<float>>);
static_assert(train::Objective<train::NextTokenLoss, Model>);
static_assert(models::TextGenerator<Model> && models::TextGenerator<models::Opt<float>>);

namespace {

Ids const start{2, 40, 50, 60};

Model make_model(Runtime& runtime) { return {toy::load_opt(), start, runtime}; }

/// The texts, each with `before` in front.
train::NextTokenLoss::Batch texts(Ids const& before) {
  std::vector<train::NextTokenExample> examples;
  for (Ids const& text : {Ids{7, 8, 9, 10}, Ids{30, 4}, Ids{5, 6, 5, 6, 5, 6, 5}}) {
    examples.push_back({before, before.size() + 1});
    examples.back().ids.insert(examples.back().ids.end(), text.begin(), text.end());
  }
  std::vector<std::size_t> const all{0, 1, 2};
  return train::NextTokenLoss{}.batch(examples, all);
}

template <class M, random::Perturbation P>
std::vector<float> log_p(M const& model, train::NextTokenLoss::Batch const& batch,
                         random::Perturbed<P> const& at, Runtime& runtime) {
  Workspace::Frame const frame(runtime.workspace());
  Lanes<float> const found = model.log_probabilities(batch.tokens, batch.targets, at, runtime);
  return {found.data, found.data + found.lanes * found.rows};
}

} // namespace

TEST_CASE("a prefix begins as the tokens that it was made of, in front of every text") {
  Runtime runtime(2);
  Model const model = make_model(runtime);
  CHECK(log_p(model, texts({}), random::unperturbed(), runtime) ==
        log_p(toy::load_opt(), texts(start), random::unperturbed(), runtime));
  CHECK(model.config().max_tokens() == 16);
  Ids const prompt{7, 8};
  Ids whole = start;
  whole.insert(whole.end(), prompt.begin(), prompt.end());
  CHECK(models::generate(model, prompt, {.max_tokens = 6}, runtime) ==
        models::generate(toy::load_opt(), whole, {.max_tokens = 6}, runtime));
  CHECK(models::generate(model, prompt, {}, runtime).size() == 14); // to the last position
}

TEST_CASE("a step trains the prefix and nothing else") {
  Runtime runtime(2);
  Model model = make_model(runtime);
  std::vector<float> const before(model.prefix().values().begin(), model.prefix().values().end());
  auto const batch = texts({});
  optimize::TwoPoint const estimator{.epsilon = 1e-1F};
  optimize::Sgd update{.learning_rate = 1e-2F};
  random::Gaussian const perturbation;
  train::NextTokenLoss const objective;
  float const first = objective(model, batch, random::unperturbed(), runtime).at(0);
  for (std::uint64_t step = 0; step < 60; ++step) {
    auto const points = estimator.points(step);
    auto const losses = objective(model, batch, random::perturb(perturbation, points), runtime);
    update(model, perturbation, estimator.gradient(points, losses), runtime);
  }
  CHECK(objective(model, batch, random::unperturbed(), runtime).at(0) < first - 0.1F);
  CHECK(!std::equal(before.begin(), before.end(), model.prefix().values().begin()));
  auto const fresh = toy::load_opt();
  std::vector<float> unchanged, weights;
  fresh.for_each_tensor(
      [&](auto const& w) { unchanged.insert(unchanged.end(), w.values().begin(), w.values().end()); });
  model.model().for_each_tensor(
      [&](auto const& w) { weights.insert(weights.end(), w.values().begin(), w.values().end()); });
  CHECK(weights == unchanged);
}

TEST_CASE("a prefix at several points is the prefix perturbed in memory") {
  Runtime runtime(2);
  Model const model = make_model(runtime);
  auto const batch = texts({});
  random::Gaussian const perturbation;
  auto const lanes = log_p(model, batch, random::perturb(perturbation, toy::some_points), runtime);
  std::size_t const targets = batch.targets.size();
  for (std::size_t l = 0; l < toy::some_points.size(); ++l) {
    Model twin = make_model(runtime);
    std::vector<random::Point> const term{toy::some_points[l]};
    tensor::update(twin.prefix(), perturbation, term, 1.0F, runtime);
    auto const expected = log_p(twin, batch, random::unperturbed(), runtime);
    std::span<float const> const found = std::span(lanes).subspan(l * targets, targets);
    CHECK(golden::relative_error(found, expected) < 1e-6);
  }
}

TEST_CASE("a prefix of no tokens, or of too many, is an error") {
  Runtime runtime(1);
  CHECK(test::error_of([&] { Model const none(toy::load_opt(), Ids{}, runtime); }) ==
        "a prefix has at least one token");
  CHECK(test::error_of([&] { Model const full(toy::load_opt(), Ids(20, 5), runtime); }) ==
        "a prefix of 20 tokens leaves no position; the model has 20");
}
