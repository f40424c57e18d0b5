// SPDX-License-Identifier: Apache-2.0
// RoBERTa against transformers, and what must not change its bits: threads, neighbours in the batch.
#include "models/roberta_case.hpp"
#include <pocketllm/tensor/update.hpp>

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace test_roberta {

using namespace pocketllm;
using roberta::Examples;
using roberta::Json;
using roberta::Outputs;

TEST_CASE("hidden states, logits, label words and losses are those of transformers") {
  for (std::string const name : roberta::cases) {
    CAPTURE(name);
    auto const model = roberta::load<float>(name);
    golden::Tensors const tensors(roberta::folder(name) / "golden.safetensors");
    for (Json const& batch : roberta::batches(name)) {
      roberta::check_parity(model, tensors, batch);
    }
  }
}

TEST_CASE("the number of threads changes no bit") {
  for (std::string const name : roberta::cases) {
    CAPTURE(name);
    auto const model = roberta::load<float>(name);
    Runtime one(1), three(3);
    std::vector<random::Point> const points{{5, 0.01F}, random::origin};
    auto const at = random::perturb(random::Gaussian{}, points);
    Examples const examples(roberta::batches(name).back());
    CHECK(roberta::run(model, examples, at, one) == roberta::run(model, examples, at, three));
  }
}

TEST_CASE("a sequence has the same bits alone as among others") {
  for (std::string const name : {"odd", "classifier"}) {
    CAPTURE(name);
    auto const model = roberta::load<float>(name);
    Json const json = roberta::batches(name).back();
    Examples const together(json);
    Runtime runtime(1);
    auto const all = roberta::run(model, together, runtime).states.back();
    std::size_t const width = model.config().encoder.width;
    for (std::size_t s = 0; s < together.tokens.size(); ++s) {
      auto const alone = roberta::run(model, Examples(json, {s}), runtime).states.back();
      CHECK(std::equal(alone.begin(), alone.end(),
                       all.begin() + static_cast<std::ptrdiff_t>(together.tokens.offsets()[s] * width)));
    }
  }
}

TEST_CASE("a step of a shape that was seen before allocates no activations") {
  auto const model = roberta::load<float>("tied");
  Json const batches = roberta::batches("tied");
  Examples const small(batches.front()), large(batches.back());
  std::vector<random::Point> const points{{1, 1e-3F}, {1, -1e-3F}};
  auto const at = random::perturb(random::Gaussian{}, points);
  Runtime runtime(2);
  auto const step = [&](Examples const& examples) {
    Workspace::Frame const frame(runtime.workspace());
    static_cast<void>(model.word_scores(examples.tokens, examples.masks, examples.words, at, runtime));
  };
  step(large);
  std::size_t const allocations = runtime.workspace().allocations();
  CHECK(allocations > 0);
  for (int i = 0; i < 3; ++i) {
    step(large);
    step(small);
  }
  CHECK(runtime.workspace().allocations() == allocations);
}

TEST_CASE("a copy of a model keeps its weights when the other is updated") {
  auto model = roberta::load<float>("tied");
  auto const copy = model;
  Examples const examples(roberta::batches("tied").front());
  Runtime runtime(1);
  Outputs const before = roberta::run(model, examples, runtime);
  std::vector<random::Point> const terms{{3, 0.1F}};
  model.for_each_tensor([&](auto& w) { tensor::update(w, random::Gaussian{}, terms, 1.0F, runtime); });
  CHECK(roberta::run(copy, examples, runtime) == before);
  CHECK(roberta::run(model, examples, runtime).losses != before.losses);
}

} // namespace test_roberta
