// SPDX-License-Identifier: Apache-2.0
// Prefix tuning of either kind of model: what the prefix begins as, what a step trains, and points.
#include "temporary_folder.hpp"
#include "toy_causal.hpp"
#include <pocketllm/models/prefixed.hpp>
#include <pocketllm/optimize/estimator.hpp>
#include <pocketllm/optimize/update_rule.hpp>
#include <pocketllm/train/evaluate.hpp>
#include <pocketllm/train/frozen_bottom.hpp>
#include <pocketllm/train/masked_prompt.hpp>
#include <pocketllm/train/next_token.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>
#include <span>
#include <string>
#include <vector>

namespace test_prefix {

using namespace pocketllm;
using Model = models::Prefixed<models::Opt<float>>;
using Encoder = models::Prefixed<models::Roberta<float>>;
using Ids = std::vector<std::int32_t>;

static_assert(train::CausalLanguageModel<Model> && train::CausalLanguageModel<models::Opt<f16>>);
static_assert(!train::CausalLanguageModel<models::Roberta<float>>);
static_assert(train::Objective<train::NextTokenLoss, Model>);
static_assert(models::TextGenerator<Model> && models::TextGenerator<models::Opt<float>>);
static_assert(train::Objective<toy::Prompt, Encoder> && !train::MaskedLanguageModel<Model>);
static_assert(!train::CausalLanguageModel<Encoder> && !train::TakesBottom<toy::Prompt, Encoder>);

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

std::vector<float> copy_of(tensor::Tensor<float> const& w) { return {w.values().begin(), w.values().end()}; }

/// All weights of a model without its prefix.
template <class M>
std::vector<float> numbers_of(M const& model) {
  std::vector<float> all;
  model.for_each_tensor([&](auto const& w) { all.insert(all.end(), w.values().begin(), w.values().end()); });
  return all;
}

/// Whether 60 steps on the batch make its loss smaller by 0.1, and move the prefix and nothing else.
template <class M, class Objective>
void check_training(M& model, Objective const& objective, typename Objective::Batch const& batch,
                    float learning_rate, Runtime& runtime) {
  auto const before = copy_of(model.prefix());
  auto const frozen = numbers_of(model.model());
  optimize::TwoPoint const estimator{.epsilon = 1e-1F};
  optimize::Sgd update{.learning_rate = learning_rate};
  random::Gaussian const perturbation;
  float const first = objective(model, batch, random::unperturbed(), runtime).at(0);
  for (std::uint64_t step = 0; step < 60; ++step) {
    auto const points = estimator.points(step);
    auto const losses = objective(model, batch, random::perturb(perturbation, points), runtime);
    update(model, perturbation, estimator.gradient(points, losses), runtime);
  }
  CHECK(objective(model, batch, random::unperturbed(), runtime).at(0) < first - 0.1F);
  CHECK(copy_of(model.prefix()) != before);
  CHECK(numbers_of(model.model()) == frozen);
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
  check_training(model, train::NextTokenLoss{}, texts({}), 1e-2F, runtime);
}

TEST_CASE("so it does before a masked language model") {
  Runtime runtime(2);
  Encoder model(toy::load_model(), start, runtime);
  toy::Prompt const objective{toy::tokenizer, "{text} is:{mask}", std::vector<std::string>{"a", "b"},
                              model.config().max_tokens()};
  auto const examples = toy::make_examples(objective);
  std::vector<std::size_t> indices(examples.size());
  std::iota(indices.begin(), indices.end(), std::size_t{0});
  check_training(model, objective, objective.batch(examples, indices), 1e-1F, runtime);
  auto const result = train::evaluate(objective, model, std::span<toy::Prompt::Example const>(examples), 3,
                                      runtime, random::Gaussian{});
  CHECK(result.predictions.size() == examples.size());
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
  Model other(toy::load_opt(), 3);
  CHECK(test::error_of([&] { other.begin(start, runtime); }) == "a prefix of 3 tokens cannot begin with 4");
}

} // namespace test_prefix
