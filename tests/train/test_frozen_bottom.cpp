// SPDX-License-Identifier: Apache-2.0
// Training from the kept states of frozen layers: the losses and the weights of a run that computes
// everything anew, at each point by itself.
#include "temporary_folder.hpp"
#include "toy_causal.hpp"
#include <pocketllm/core/runtime.hpp>
#include <pocketllm/models/bert.hpp>
#include <pocketllm/models/class_head.hpp>
#include <pocketllm/optimize/selection.hpp>
#include <pocketllm/train/candidate_choice.hpp>
#include <pocketllm/train/causal_text.hpp>
#include <pocketllm/train/classification_head.hpp>
#include <pocketllm/train/evaluate.hpp>
#include <pocketllm/train/frozen_bottom.hpp>
#include <pocketllm/train/pair_similarity.hpp>
#include <pocketllm/train/trainer.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace test_frozen_bottom {

using namespace pocketllm;
using train::BottomCache;
using train::OnFrozenBottom;

namespace {

/// Whatever is shared or kept, this does without: each point is evaluated alone.
template <class Inner>
struct PointByPoint {
  using Example = typename Inner::Example;
  using Batch = typename Inner::Batch;
  Inner const& inner;

  [[nodiscard]] Batch batch(std::span<Example const> examples, std::span<std::size_t const> indices) const {
    return inner.batch(examples, indices);
  }
  template <class Model, random::Perturbation P>
  [[nodiscard]] std::vector<float> operator()(Model const& model, Batch const& batch,
                                              random::Perturbed<P> const& at, Runtime& runtime) const {
    std::vector<float> losses;
    for (auto const& point : at.points) {
      losses.push_back(
          inner(model, batch, random::perturb(at.perturbation, std::span(&point, 1)), runtime).at(0));
    }
    return losses;
  }
};

/// What a run leaves behind.
struct Result {
  std::vector<float> losses, weights;
  friend bool operator==(Result const&, Result const&) = default;
};

/// 12 steps of 4 examples.
template <class Model, class Objective>
Result run(Model model, Objective const& objective, std::vector<typename Objective::Example> const& examples,
           std::size_t threads) {
  Runtime runtime(threads);
  std::vector<std::size_t> lengths;
  for (auto const& example : examples) {
    lengths.push_back(example.ids.size());
  }
  train::Trainer trainer(model, objective, std::span<typename Objective::Example const>(examples),
                         random::Gaussian{}, optimize::TwoPoint{1e-2F, 3},
                         optimize::Sgd{.learning_rate = 1.0F},
                         optimize::Schedule{optimize::Schedule::Shape::constant, 1e-2F, 12, 0},
                         train::BatchOrder(lengths, {.batch_size = 4, .seed = 1}), runtime);
  Result result;
  trainer.run(0, train::StopCondition(), [&](train::StepReport const& step) {
    result.losses.push_back(step.loss);
    return true;
  });
  model.for_each_tensor([&](auto const& w) {
    for (std::size_t i = 0; i < w.size(); ++i) {
      result.weights.push_back(to_float(w.data()[i]));
    }
  });
  return result;
}

/// Runs with caches of several sizes against one without, with what is kept in the largest as `bytes`.
template <class Model, class Objective>
void check_runs(Model model, Objective const& objective,
                std::vector<typename Objective::Example> const& examples, std::string const& trained,
                std::size_t bytes) {
  CAPTURE(trained);
  optimize::select_trained(model, trained);
  Result const expected = run(model, PointByPoint<Objective>{objective}, examples, 1);
  REQUIRE(expected.losses.size() == 12);
  CHECK(OnFrozenBottom<Objective>::bytes(objective, model, examples) == bytes);
  CHECK(expected.losses.front() != expected.losses.back());
  for (std::size_t const threads : {1U, 2U}) {
    CHECK(run(model, objective, examples, threads) == expected);
    for (std::size_t const budget : {std::size_t{0}, std::size_t{1}, bytes / 2, bytes}) {
      CAPTURE(budget);
      BottomCache cache(budget);
      CHECK(run(model, OnFrozenBottom(objective, cache), examples, threads) == expected);
      BottomCache in_file(budget, std::filesystem::temp_directory_path());
      CHECK(run(model, OnFrozenBottom(objective, in_file), examples, threads) == expected);
      CHECK(in_file.bytes() == cache.bytes());
      CHECK(cache.bytes() <= budget);
      CHECK((cache.examples() == 0) == (budget <= 1));
      CHECK((cache.examples() == examples.size()) == (budget == bytes));
      CHECK((cache.bytes() == bytes) == (budget == bytes));
    }
  }
}

std::size_t tokens_of(auto const& examples) {
  std::size_t tokens = 0;
  for (auto const& example : examples) {
    tokens += example.ids.size();
  }
  return tokens;
}

template <tensor::WeightStorage T>
void check_prompt() {
  auto const model = io::load<models::Roberta<T>>(golden::path_of("models/data/tied"));
  toy::Prompt const prompt = toy::make_prompt();
  auto const examples = toy::make_examples(prompt);
  std::size_t const width = model.config().encoder.width, layers = model.config().encoder.layers;
  std::size_t const all = tokens_of(examples) * width * sizeof(float);
  std::string const last = concat("*.layer.", layers - 1, ".*");
  REQUIRE(layers >= 2);
  check_runs(model, prompt, examples, last + ",lm_head.*", all);
  check_runs(model, prompt, examples, "*.layer.0.output.*", all);
  check_runs(model, prompt, examples, "lm_head.*", examples.size() * width * sizeof(float));
}

} // namespace

TEST_CASE("losses and weights are those of a run that keeps nothing") {
  check_prompt<float>();
  check_prompt<f16>();
}

TEST_CASE("so they are of a classification head") {
  train::ClassificationHead<toy::Characters> const head(toy::tokenizer, 2, 12);
  std::vector<train::ClassificationHead<toy::Characters>::Example> examples;
  for (std::string const text : {"OO", "XX", "OOO", "XXXXX", "O", "XXXXXXXXX"}) {
    examples.push_back(head.encode(std::vector<std::string>{text}, text.front() == 'X' ? 1 : 0));
  }
  for (auto const pooling : {models::Pooling::mean, models::Pooling::first_token}) {
    auto const folder = golden::path_of("models/data/bert_headless");
    auto config = models::Bert<float>::Config::from_json(io::read_object(folder / "config.json"));
    config.pooler = pooling == models::Pooling::first_token;
    models::Bert<float> base(config);
    io::fill(base, io::Checkpoint::open(folder));
    auto const model = models::with_class_head(std::move(base), 2, pooling);
    std::size_t const vector = config.encoder.width * sizeof(float);
    std::string const last = concat("*.layer.", config.encoder.layers - 1, ".*");
    check_runs(model, head, examples, last + ",classifier.*", tokens_of(examples) * vector);
    check_runs(model, head, examples, "classifier.*",
               (config.pooler ? examples.size() : tokens_of(examples)) * vector);
  }
}

TEST_CASE("so they are of a decoder, on text and on candidates, which may share their prompt") {
  std::size_t const vector = toy::load_opt().config().decoder.width * sizeof(float);
  train::CausalText const text(toy::causal_tokenizer, 8);
  train::CandidateChoice const choice(toy::causal_tokenizer, "{text} IS",
                                      std::vector<std::string>{"A", "BCD"}, 18);
  std::vector<train::NextTokenExample> texts;
  std::vector<decltype(choice)::Example> choices;
  std::size_t text_rows = 0, choice_rows = 0;
  for (std::string const word : {"OO", "X", "OOO", "XXXXX", "OXO"}) {
    texts.push_back(text.encode(word));
    text_rows += word.size(); // and </s>, less the last one
    choices.push_back(choice.encode(std::vector<text::Field>{{"text", word}}, word.front() == 'X' ? 1 : 0));
    choice_rows += choices.back().ids.size();
    for (auto const& candidate : choices.back().candidates) {
      choice_rows += candidate.size() - 1; // the last one is not read
    }
  }
  for (std::string const trained :
       {"*.layers.2.*", "*.layers.1.fc2.bias", "model.decoder.final_layer_norm.*"}) {
    check_runs(toy::load_opt(), text, texts, trained, text_rows * vector);
    check_runs(toy::load_opt(), choice, choices, trained, choice_rows * vector);
  }
}

TEST_CASE("so they are of a sentence encoder, with two texts an example") {
  train::PairSimilarity const pairs(toy::tokenizer, 12);
  std::vector<decltype(pairs)::Example> examples;
  std::size_t rows = 0;
  for (std::string const text : {"O", "OX", "XXX", "OOXX", "XOOXO"}) {
    examples.push_back(pairs.encode(text, "OX", 0.2F * static_cast<float>(text.size()) - 0.5F));
    rows += text.size() + 6; // <s> and </s> of both, and OX
  }
  auto const model = io::load<models::Bert<float>>(golden::path_of("models/data/bert_headless"));
  check_runs(model, pairs, examples, "*.layer.1.*", rows * model.config().encoder.width * sizeof(float));
}

TEST_CASE("a cache serves evaluations too, and examples that come twice in a batch") {
  auto model = toy::load_model();
  toy::Prompt const prompt = toy::make_prompt();
  toy::Examples const examples = toy::make_examples(prompt);
  optimize::select_trained(model, "lm_head.*");
  Runtime runtime(2);
  auto const expected = train::evaluate(prompt, model, std::span(examples), 4, runtime);
  BottomCache cache(1'000'000);
  OnFrozenBottom const objective(prompt, cache);
  for (int i = 0; i < 2; ++i) {
    auto const found = train::evaluate(objective, model, std::span(examples), 4, runtime);
    CHECK(found.scores == expected.scores);
    CHECK(found.loss == expected.loss);
  }
  CHECK(cache.examples() == examples.size());
  BottomCache other(1'000'000);
  std::vector<std::size_t> const twice{3, 0, 3, 7, 0};
  CHECK(OnFrozenBottom(prompt, other)(model, OnFrozenBottom(prompt, other).batch(examples, twice),
                                      random::unperturbed(), runtime) ==
        prompt(model, prompt.batch(examples, twice), random::unperturbed(), runtime));
  CHECK(other.examples() == 3);
}

TEST_CASE("with trained embeddings nothing is kept; other layers or other examples are noticed") {
  auto model = toy::load_model();
  toy::Prompt const prompt = toy::make_prompt();
  toy::Examples const examples = toy::make_examples(prompt);
  Runtime runtime(1);
  BottomCache cache(1'000'000);
  OnFrozenBottom const objective(prompt, cache);
  std::vector<std::size_t> const indices{0, 3};
  auto const evaluate = [&](toy::Examples const& of) {
    return objective(model, objective.batch(of, indices), random::unperturbed(), runtime);
  };
  CHECK(evaluate(examples) == prompt(model, prompt.batch(examples, indices), random::unperturbed(), runtime));
  CHECK(cache.examples() == 0);
  optimize::select_trained(model, "*.layer.1.*");
  static_cast<void>(evaluate(examples));
  CHECK(cache.examples() == 2);
  toy::Examples const reversed(examples.rbegin(), examples.rend());
  CHECK(test::error_of([&] { evaluate(reversed); }).find("use a cache for each data set") !=
        std::string::npos);
  optimize::select_trained(model, "*.layer.0.*");
  CHECK(test::error_of([&] { evaluate(examples); }) ==
        "states behind 1 layers are kept, and the lowest trained layer is 0 now; use another cache for what "
        "is trained now");
}

} // namespace test_frozen_bottom
