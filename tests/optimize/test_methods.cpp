// SPDX-License-Identifier: Apache-2.0
// Twenty steps of every estimator, update rule and perturbation against PyTorch, which was given the same z
// and has the buffers that the rules here do without.
#include "golden.hpp"
#include <pocketllm/core/runtime.hpp>
#include <pocketllm/io/load.hpp>
#include <pocketllm/models/roberta.hpp>
#include <pocketllm/optimize/any.hpp>
#include <pocketllm/optimize/hizoo.hpp>
#include <pocketllm/optimize/selection.hpp>
#include <pocketllm/random/any_perturbation.hpp>
#include <pocketllm/random/noise.hpp>
#include <pocketllm/tensor/noise_norm.hpp>
#include <pocketllm/tensor/small_weights.hpp>
#include <pocketllm/tensor/some_layers.hpp>
#include <pocketllm/train/objective.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace test_methods {

using namespace pocketllm;
using golden::Json;
using Model = models::Roberta<float>;
using optimize::AnyEstimator;
using optimize::AnyRule;

namespace {

struct File {
  Json json = io::read_object(golden::path_of("optimize/data/methods.json"));
  golden::Tensors tensors{golden::path_of("optimize/data/methods.safetensors")};

  [[nodiscard]] Model start() const {
    auto model = io::load<Model>(golden::path_of(json.at("model").get<std::string>()));
    std::string patterns;
    for (Json const& pattern : json.at("trained")) {
      patterns += (patterns.empty() ? "" : ",") + pattern.get<std::string>();
    }
    optimize::select_trained(model, patterns);
    return model;
  }
};

AnyEstimator estimator_of(Json const& method) {
  auto const number = [&](char const* key) { return method.at(key).get<std::uint32_t>(); };
  auto const epsilon = method.at("epsilon").get<float>();
  std::uint64_t const seed = number("run_seed"), shared = number("shared");
  auto const kind = method.at("estimator").get<std::string>();
  if (kind == optimize::MultiPoint::name) {
    return optimize::MultiPoint{epsilon,         seed, shared, number("directions"), number("at_start"),
                                number("growth")};
  }
  if (kind == optimize::OneSided::name) {
    return optimize::OneSided{epsilon, seed, shared, number("directions")};
  }
  if (kind == optimize::Fzoo::name) {
    return optimize::Fzoo{epsilon, seed, shared, number("directions"), method.at("centred").get<bool>()};
  }
  if (kind == optimize::Curved::name) {
    return optimize::Curved{epsilon,
                            seed,
                            shared,
                            number("directions"),
                            method.at("curvature_floor").get<float>(),
                            method.at("longest").get<float>()};
  }
  if (kind == optimize::LineSearch::name) {
    return optimize::LineSearch{epsilon, seed, shared, number("directions")};
  }
  REQUIRE(kind == optimize::TwoPoint::name);
  return optimize::TwoPoint{epsilon, seed, shared};
}

/// What shapes the directions of a method; null for nothing.
std::unique_ptr<random::Shaper const> shaper_of(Model const& model, Json const& method) {
  if (auto const share = method.at("smallest").get<float>(); share != 0.0F) {
    return std::make_unique<tensor::SmallWeights>(model, share);
  }
  if (auto const layers = method.at("layers").get<std::size_t>(); layers != 0) {
    return std::make_unique<tensor::SomeLayers>(model, layers);
  }
  return nullptr;
}

AnyRule rule_of(Json const& method) {
  auto const number = [&](char const* key) { return method.at(key).get<float>(); };
  auto const history = method.at("history").get<std::uint32_t>();
  float const rate = number("learning_rate"), decay = number("weight_decay");
  auto const kind = method.at("update").get<std::string>();
  if (kind == optimize::Momentum::name) {
    return optimize::Momentum{rate, decay, number("beta"), history};
  }
  if (kind == optimize::Adam::name) {
    return optimize::Adam{rate, decay, number("beta"), number("beta2"), number("floor"), history};
  }
  if (kind == optimize::Sign::name) {
    return optimize::Sign{rate, decay};
  }
  REQUIRE(kind == optimize::Sgd::name);
  return optimize::Sgd{rate, decay};
}

using Losses = std::vector<std::vector<float>>;

/// Runs a method with these parts; the losses of each step.
template <class E, class U>
Losses run(Model& model, File const& file, Json const& method, random::AnyPerturbation const& perturbation,
           E const& estimator, U& rule, Runtime& runtime) {
  Losses found;
  for (Json const& step : method.at("steps")) {
    golden::Examples const batch(file.json.at("examples"), step.at("batch").get<std::vector<std::size_t>>());
    auto const points = estimator.points(found.size());
    Workspace::Frame const frame(runtime.workspace());
    auto const scores = model.word_scores(batch.tokens, batch.masks, batch.words,
                                          random::perturb(perturbation, std::span(points)), runtime);
    found.push_back(train::mean_cross_entropy(scores, batch.labels));
    auto const gradient = estimator.gradient(points, found.back());
    CHECK(gradient.size() <= estimator.slopes());
    if constexpr (requires { estimator.seeds(); }) {
      for (std::size_t k = 0; k < gradient.size(); ++k) {
        CHECK(gradient[k].seed == estimator.seeds().seed(found.size() - 1, estimator.slopes(), k));
      }
    }
    rule(model, perturbation, gradient, runtime);
  }
  return found;
}

Losses train_hizoo(Model& model, File const& file, Json const& method, Runtime& runtime) {
  optimize::HessianDiagonal hessian(model);
  random::AnyPerturbation const gaussian;
  optimize::Hizoo rule{method.at("learning_rate").get<float>(), method.at("smoothing").get<float>(), &hessian,
                       gaussian};
  optimize::ThreePoint const estimator{method.at("epsilon").get<float>(),
                                       method.at("run_seed").get<std::uint64_t>()};
  return run(model, file, method, gaussian.shaped_by(hessian), estimator, rule, runtime);
}

/// Runs a method; the losses of each step.
Losses train(Model& model, File const& file, Json const& method, std::size_t threads) {
  Runtime runtime(threads);
  if (method.at("update") == optimize::Hizoo::name) {
    return train_hizoo(model, file, method, runtime);
  }
  random::AnyPerturbation perturbation(method.at("perturbation").get<std::string>(),
                                       method.at("rank").get<std::uint32_t>());
  auto const shaper = shaper_of(model, method);
  if (shaper) {
    perturbation = perturbation.shaped_by(*shaper);
  }
  AnyEstimator estimator = estimator_of(method);
  estimator.clip = method.at("clip").get<float>();
  if (method.at("sphere").get<bool>()) {
    estimator.scale = [&](std::uint64_t seed) {
      return tensor::sphere_scale(model, perturbation, seed, runtime);
    };
  }
  AnyRule rule = rule_of(method);
  return run(model, file, method, perturbation, estimator, rule, runtime);
}

void check_method(File const& file, Json const& method) {
  Model model = file.start();
  Losses const found = train(model, file, method, 1);
  for (std::size_t t = 0; t < found.size(); ++t) {
    CAPTURE(t);
    auto const expected = method.at("steps")[t].at("losses").get<std::vector<float>>();
    CHECK(golden::relative_error(found[t], expected) <= golden::tolerance);
  }
  std::map<std::string, std::vector<float>> before;
  Model const start = file.start();
  start.for_each_tensor([&](auto const& w) { before[w.name()] = {w.values().begin(), w.values().end()}; });
  model.for_each_tensor([&](auto const& w) {
    std::string const name = w.name();
    CAPTURE(name);
    std::vector<float> const values(w.values().begin(), w.values().end());
    if (!w.trained()) {
      CHECK(values == before[name]);
      return;
    }
    CHECK(golden::relative_error(values, file.tensors[method.at("name").get<std::string>() + "/" + name]) <=
          golden::tolerance);
    CHECK(golden::relative_error(values, before[name]) > 50 * golden::tolerance);
  });
  Model again = file.start();
  CHECK(train(again, file, method, 3) == found); // and so to the same bits with other threads
}

} // namespace

TEST_CASE("twenty steps of each method are PyTorch's") {
  File const file;
  REQUIRE(file.json.at("methods").size() == 12);
  for (Json const& method : file.json.at("methods")) {
    auto const name = method.at("name").get<std::string>();
    CAPTURE(name);
    check_method(file, method);
  }
}

TEST_CASE(
    "equal losses teach FZOO nothing, and estimators refuse losses that are not those of their points") {
  optimize::Fzoo const fzoo{.directions = 3};
  for (optimize::Slope const& slope : fzoo.gradient(fzoo.points(4), std::vector<float>{2.0F, 2.0F, 2.0F})) {
    CHECK(slope.slope == 0.0F);
  }
  CHECK_THROWS_AS(static_cast<void>(fzoo.gradient(fzoo.points(4), std::vector<float>{2.0F})), Error);
  optimize::MultiPoint const multi{.directions = 2};
  CHECK_THROWS_AS(static_cast<void>(multi.gradient(multi.points(0), std::vector<float>{1, 2, 3})), Error);
  optimize::OneSided const one{};
  CHECK_THROWS_AS(static_cast<void>(one.gradient(one.points(0), std::vector<float>{1})), Error);
}

TEST_CASE("seeds share their upper half for as many steps as asked for") {
  SeedRule const rule{9, 3};
  auto const upper = [&](std::uint64_t step) { return rule.seed(step, 2, 1) >> 32; };
  CHECK((upper(0) == upper(2) && upper(3) == upper(5)));
  CHECK(upper(2) != upper(3));
  CHECK(rule.seed(0, 2, 0) != rule.seed(0, 2, 1));
  CHECK(SeedRule{9, 1}.seed(4, 2, 1) == split_mix(9, 9));
}

TEST_CASE("an update along shaped directions is by the noise that the points had, of low rank too") {
  File const file;
  Runtime runtime(2);
  for (std::string const kind : {"gaussian", "rademacher", "low-rank"}) {
    CAPTURE(kind);
    Model model = file.start();
    tensor::SmallWeights const small(model, 0.5F);
    auto const perturbation = random::AnyPerturbation(kind).shaped_by(small);
    std::map<std::string, std::vector<float>> expected;
    std::size_t moved = 0, kept = 0;
    model.for_each_tensor([&](tensor::Tensor<float> const& w) {
      std::vector<float>& values = expected[w.name()];
      values.assign(w.values().begin(), w.values().end());
      std::vector<float> z(w.cols());
      for (std::size_t row = 0; w.trained() && row < w.rows(); ++row) {
        random::fill_row<simd::native>(perturbation, {9, w.key(), w.shape().size() == 1}, row, 0, w.cols(),
                                       z.data());
        for (std::size_t i = 0; i < z.size(); ++i) {
          values[row * z.size() + i] += 0.5F * z[i];
          (z[i] == 0.0F ? kept : moved) += 1;
        }
      }
    });
    CHECK(static_cast<double>(moved) / static_cast<double>(moved + kept) ==
          doctest::Approx(0.5).epsilon(0.1));
    optimize::make_move(model, perturbation, {.terms = {{9, 0.5F}}}, runtime);
    model.for_each_tensor([&](auto const& w) {
      CHECK(golden::relative_error({w.values().begin(), w.values().end()}, expected[w.name()]) < 1e-6);
    });
  }
}

TEST_CASE("of a tensor that begins at zero all weights are small, also when they have moved") {
  File const file;
  Runtime runtime;
  Model model = file.start();
  model.for_each_tensor([](tensor::Tensor<float>& w) { std::fill_n(w.mutable_data(), w.size(), 0.0F); });
  tensor::SmallWeights const small(model, 0.5F);
  auto const perturbation = random::AnyPerturbation("rademacher").shaped_by(small);
  for (float const expected : {0.5F, 1.0F}) {
    optimize::make_move(model, perturbation, {.terms = {{9, 0.5F}}}, runtime);
    model.for_each_tensor([&](tensor::Tensor<float> const& w) {
      CHECK(std::ranges::all_of(
          w.values(), [&](float value) { return std::abs(value) == (w.trained() ? expected : 0.0F); }));
    });
  }
}

TEST_CASE("a Hessian that is told of past steps is the one that has made them") {
  File const file;
  Model model = file.start();
  optimize::HessianDiagonal whole(model), told(model);
  random::AnyPerturbation const gaussian;
  Runtime runtime(1);
  optimize::Hizoo made{1e-3F, 0.1F, &whole, gaussian}, remembers{1e-3F, 0.1F, &told, gaussian};
  for (std::uint64_t step = 0; step < 3; ++step) {
    optimize::Gradient const gradient{{step + 1, 0.5F}, {step + 1, 4.0F}};
    made(model, gaussian.shaped_by(whole), gradient, runtime);
    remembers.remember(gradient);
  }
  model.for_each_tensor([&](tensor::Tensor<float> const& w) {
    std::vector<float> one(w.cols()), other(w.cols()), plain(w.cols());
    random::Stream const stream{5, w.key(), w.shape().size() == 1};
    random::fill_row<simd::native>(gaussian.shaped_by(whole), stream, 0, 0, w.cols(), one.data());
    random::fill_row<simd::native>(gaussian.shaped_by(told), stream, 0, 0, w.cols(), other.data());
    random::fill_row<simd::native>(gaussian, stream, 0, 0, w.cols(), plain.data());
    CHECK(one == other);
    CHECK((one != plain) == w.trained());
  });
}

TEST_CASE("a curved step ends where the parabola through three losses is least, within its bounds") {
  optimize::Curved const curved{.epsilon = 0.5F, .directions = 2, .floor = 2.0F, .longest = 0.25F};
  auto const points = curved.points(7);
  REQUIRE(points.size() == 5);
  auto const parabola = [](float slope, float curvature, float x) {
    return 3.0F + slope * x + curvature * x * x / 2.0F;
  };
  auto const lengths = [&](float slope, float curvature) { // the other direction is flat
    auto const gradient =
        curved.gradient(points, std::vector<float>{3.0F, parabola(slope, curvature, 0.5F),
                                                   parabola(slope, curvature, -0.5F), 3.0F, 3.0F});
    REQUIRE(gradient.size() == 2);
    CHECK(gradient[1].slope == 0.0F);
    CHECK((gradient[0].seed == points[1].seed && gradient[1].seed == points[3].seed));
    return gradient[0].slope;
  };
  CHECK(lengths(1.0F, 8.0F) == doctest::Approx(0.125F / 2.0F)); // the mean of two directions
  CHECK(lengths(-1.0F, -8.0F) == doctest::Approx(-0.125F / 2.0F));
  CHECK(lengths(0.25F, 1.0F) == doctest::Approx(0.125F / 2.0F)); // the floor
  CHECK(lengths(4.0F, 8.0F) == doctest::Approx(0.25F / 2.0F));   // the longest
  CHECK(lengths(-4.0F, 8.0F) == doctest::Approx(-0.25F / 2.0F));
  CHECK_THROWS_AS(static_cast<void>(curved.gradient(points, std::vector<float>{1, 2, 3})), Error);
}

TEST_CASE("a line search goes to the least of its losses, and stays where it is if that is there") {
  optimize::LineSearch const search{.shortest = 0.5F, .lengths = 2};
  auto const points = search.points(3);
  REQUIRE(points.size() == 5);
  for (std::size_t least = 0; least < points.size(); ++least) {
    std::vector<float> losses(points.size(), 2.0F);
    losses[least] = 1.0F;
    auto const gradient = search.gradient(points, losses);
    REQUIRE(gradient.size() == 1);
    CHECK(gradient[0].seed == points[1].seed);
    CHECK(gradient[0].slope == 0.0F - points[least].coefficient);
  }
  CHECK_THROWS_AS(static_cast<void>(search.gradient(points, std::vector<float>{1, 2, 3})), Error);
}

} // namespace test_methods
