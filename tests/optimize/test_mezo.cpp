// SPDX-License-Identifier: Apache-2.0
// Fifty steps of MeZO against PyTorch, which was given the same z.
#include "golden.hpp"
#include <pocketllm/core/runtime.hpp>
#include <pocketllm/io/load.hpp>
#include <pocketllm/models/opt.hpp>
#include <pocketllm/models/roberta.hpp>
#include <pocketllm/optimize/estimator.hpp>
#include <pocketllm/optimize/schedule.hpp>
#include <pocketllm/optimize/selection.hpp>
#include <pocketllm/optimize/update_rule.hpp>
#include <pocketllm/train/next_token.hpp>
#include <pocketllm/train/objective.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace test_mezo {

using namespace pocketllm;
using golden::Json;
using Roberta = models::Roberta<float>;
using Opt = models::Opt<float>;

namespace {

/// What a step found.
struct Step {
  std::uint64_t seed = 0;
  float rate = 0.0F, plus = 0.0F, minus = 0.0F, slope = 0.0F;
  friend bool operator==(Step const&, Step const&) = default;
};

std::string joined(Json const& patterns) {
  std::string list;
  for (Json const& pattern : patterns) {
    list += list.empty() ? "" : ",";
    list += pattern.get<std::string>();
  }
  return list;
}

template <class Model>
Model start_of(Json const& run) {
  auto model = io::load<Model>(golden::path_of(run.at("model").get<std::string>()));
  optimize::select_trained(model, joined(run.at("trained")));
  return model;
}

/// The loss of a masked prompt, or of all tokens behind the first of each sequence, at each point.
template <random::Perturbation P>
std::vector<float> losses_of(Roberta const& model, golden::Examples const& batch,
                             random::Perturbed<P> const& at, Runtime& runtime) {
  Workspace::Frame const frame(runtime.workspace());
  return pocketllm::train::mean_cross_entropy(
      model.word_scores(batch.tokens, batch.masks, batch.words, at, runtime), batch.labels);
}
template <random::Perturbation P>
std::vector<float> losses_of(Opt const& model, golden::Examples const& batch, random::Perturbed<P> const& at,
                             Runtime& runtime) {
  std::vector<pocketllm::train::NextTokenExample> examples;
  std::vector<std::size_t> indices;
  for (std::size_t s = 0; s < batch.tokens.size(); ++s) {
    indices.push_back(s);
    examples.push_back({{batch.tokens.ids(s).begin(), batch.tokens.ids(s).end()}, 1});
  }
  pocketllm::train::NextTokenLoss const objective;
  return objective(model, objective.batch(examples, indices), at, runtime);
}

/// The run that the golden file describes.
template <class Model, random::Perturbation P>
std::vector<Step> train(Model& model, Json const& run, P const& perturbation, std::size_t threads) {
  optimize::TwoPoint const estimator{run.at("epsilon").get<float>(), run.at("run_seed").get<std::uint64_t>()};
  optimize::Sgd update{.learning_rate = 0.0F, .weight_decay = run.at("weight_decay").get<float>()};
  optimize::Schedule const schedule{optimize::Schedule::parse(run.at("schedule").get<std::string>()),
                                    run.at("learning_rate").get<float>(), run.at("steps").size()};
  Runtime runtime(threads);
  std::vector<Step> found;
  for (Json const& step : run.at("steps")) {
    golden::Examples const batch(run.at("examples"), step.at("batch").get<std::vector<std::size_t>>());
    auto const points = estimator.points(found.size());
    auto const losses = losses_of(model, batch, random::perturb(perturbation, points), runtime);
    auto const gradient = estimator.gradient(points, losses);
    update.learning_rate = schedule.at(found.size());
    update(model, perturbation, gradient, runtime);
    found.push_back(
        {gradient.at(0).seed, update.learning_rate, losses.at(0), losses.at(1), gradient.at(0).slope});
  }
  return found;
}

/// Losses within `tolerance`. A slope is a difference of two losses over 2 epsilon, so its error is bounded
/// by those of the losses and not relative to itself: `tolerance` in each allows (plus + minus) tolerance /
/// (2 epsilon). Most of a late loss's error comes from the weights and is common to both points, so a fifth
/// of that is asked for.
void check_steps(std::vector<Step> const& found, Json const& run) {
  REQUIRE(found.size() == 50);
  double const epsilon = run.at("epsilon").get<double>();
  for (std::size_t t = 0; t < found.size(); ++t) {
    CAPTURE(t);
    Json const& expected = run.at("steps")[t];
    auto const number = [&](char const* key) { return expected.at(key).get<double>(); };
    CHECK(found[t].seed == expected.at("seed").get<std::uint64_t>());
    CHECK(static_cast<double>(found[t].rate) == doctest::Approx(number("rate")).epsilon(1e-6));
    CHECK(golden::relative_error(static_cast<double>(found[t].plus), number("plus")) <= golden::tolerance);
    CHECK(golden::relative_error(static_cast<double>(found[t].minus), number("minus")) <= golden::tolerance);
    double const bound = (number("plus") + number("minus")) * golden::tolerance / (2.0 * epsilon);
    CHECK(std::abs(static_cast<double>(found[t].slope) - number("slope")) <= bound / 5.0);
  }
}

/// Trained tensors are the golden ones within `tolerance`, and moved much further than that; the others keep
/// their bits.
template <class Model>
void check_weights(Model const& model, Json const& run, std::string const& name) {
  golden::Tensors const expected(golden::path_of("optimize/data/" + name + ".safetensors"));
  std::map<std::string, std::vector<float>> before;
  start_of<Model>(run).for_each_tensor([&](auto const& w) {
    before[w.name()] = {w.values().begin(), w.values().end()};
  });
  std::size_t trained = 0;
  model.for_each_tensor([&](auto const& w) {
    std::string const tensor = w.name();
    CAPTURE(tensor);
    std::vector<float> const values(w.values().begin(), w.values().end());
    if (!w.trained()) {
      CHECK(values == before[tensor]);
      return;
    }
    ++trained;
    CHECK(golden::relative_error(values, expected[tensor]) <= golden::tolerance);
    CHECK(golden::relative_error(values, before[tensor]) > 50 * golden::tolerance);
  });
  CHECK(trained == expected.size());
}

template <class Model, random::Perturbation P>
void check_run(std::string const& name, P const& perturbation) {
  Json const run = io::read_object(golden::path_of("optimize/data/" + name + ".json"));
  Model model = start_of<Model>(run);
  std::vector<Step> const found = train(model, run, perturbation, 1);
  check_steps(found, run);
  check_weights(model, run, name);

  Model again = start_of<Model>(run);
  CHECK(train(again, run, perturbation, 3) == found); // and so to the same bits with other threads
}

} // namespace

TEST_CASE("fifty Gaussian steps on all weights, with weight decay, are PyTorch's") {
  check_run<Roberta>("mezo_gaussian", random::Gaussian{});
}

TEST_CASE("fifty Rademacher steps on some weights, with a linear schedule, are PyTorch's") {
  check_run<Roberta>("mezo_rademacher", random::Rademacher{});
}

TEST_CASE("fifty Gaussian steps of OPT on text, with weight decay, are PyTorch's") {
  check_run<Opt>("mezo_opt", random::Gaussian{});
}

} // namespace test_mezo
