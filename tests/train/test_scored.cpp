// SPDX-License-Identifier: Apache-2.0
// Losses without a gradient, of a classifier's answers.
#include "temporary_folder.hpp"
#include "toy_prompt.hpp"
#include <pocketllm/optimize/multi_point.hpp>
#include <pocketllm/optimize/update_rule.hpp>
#include <pocketllm/train/evaluate.hpp>
#include <pocketllm/train/scored.hpp>

#include <doctest/doctest.h>

#include <numeric>
#include <vector>

namespace test_scored {

using namespace pocketllm;

namespace {

struct Case {
  toy::Model model = toy::load_model();
  toy::Prompt prompt = toy::make_prompt();
  toy::Examples examples = toy::make_examples(prompt);
  toy::Prompt::Batch batch = whole();
  Runtime runtime{1};

  toy::Prompt::Batch whole() const {
    std::vector<std::size_t> all(examples.size());
    std::iota(all.begin(), all.end(), std::size_t{0});
    return prompt.batch(examples, all);
  }
  train::Metrics metrics() {
    auto const answers =
        train::evaluate(prompt, model, std::span<toy::Prompt::Example const>(examples), 7, runtime);
    return train::compute_metrics(answers.labels, answers.predictions, 2);
  }
  float at_origin(train::LossFunction const& loss) {
    return train::Scored(prompt, loss)(model, batch, random::unperturbed(), runtime).at(0);
  }
};

} // namespace

TEST_CASE("losses of answers are those of the evaluation, and cross-entropy is the objective's own") {
  Case c;
  auto const metrics = c.metrics();
  REQUIRE(metrics.accuracy > 0.0);
  REQUIRE(metrics.accuracy < 1.0);
  CHECK(c.at_origin(train::loss_function("accuracy")) == doctest::Approx(1.0 - metrics.accuracy));
  CHECK(c.at_origin(train::loss_function("macro-f1")) == doctest::Approx(1.0 - metrics.macro_f1));
  std::vector<random::Point> const points{{1, 0.1F}, {1, -0.1F}, random::origin};
  auto const at = random::perturb(random::Gaussian{}, points);
  train::Scored const scored(c.prompt, train::loss_function("cross-entropy"));
  CHECK(scored(c.model, c.batch, at, c.runtime) == c.prompt(c.model, c.batch, at, c.runtime));
  CHECK_THROWS_WITH_AS(static_cast<void>(train::loss_function("f1")), doctest::Contains("no loss called f1"),
                       Error);
}

TEST_CASE("a user's own loss sees each point's answers") {
  Case c;
  std::vector<std::vector<std::size_t>> seen;
  train::Scored const scored(c.prompt, [&](train::Answers const& answers) {
    seen.push_back(answers.predictions);
    CHECK(answers.labels.size() == c.examples.size());
    return static_cast<float>(seen.size());
  });
  std::vector<random::Point> const points{random::origin, {3, 1.0F}};
  CHECK(scored(c.model, c.batch, random::perturb(random::Gaussian{}, points), c.runtime) ==
        std::vector<float>{1.0F, 2.0F});
  REQUIRE(seen.size() == 2);
  CHECK(seen[0] != seen[1]);
}

TEST_CASE("macro-F1 itself can be trained, which has no gradient") {
  Case c;
  train::Scored const scored(c.prompt, train::macro_f1_loss);
  optimize::MultiPoint const estimator{.epsilon = 0.03F, .seed = 1, .directions = 8};
  optimize::Sgd const update{.learning_rate = 1e-2F};
  double const before = c.metrics().macro_f1;
  for (std::uint64_t step = 0; step < 60; ++step) {
    auto const points = estimator.points(step);
    auto const losses =
        scored(c.model, c.batch, random::perturb(random::Gaussian{}, std::span(points)), c.runtime);
    update(c.model, random::Gaussian{}, estimator.gradient(points, losses), c.runtime);
  }
  CHECK(c.metrics().macro_f1 > before + 0.1);
}

} // namespace test_scored
