// SPDX-License-Identifier: Apache-2.0
#include "temporary_folder.hpp"
#include "toy_prompt.hpp"
#include <pocketllm/core/runtime.hpp>
#include <pocketllm/train/evaluate.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

namespace test_evaluate {

using namespace pocketllm;
using Indices = std::vector<std::size_t>;

namespace {

/// Says what the examples hold, without a model.
struct Oracle {
  struct Example {
    std::vector<int> ids; ///< only their number counts
    std::vector<float> scores;
    std::size_t label = 0;
  };
  struct Batch {
    std::vector<Example> examples;
    Indices labels;
  };
  std::vector<std::size_t>* batch_sizes = nullptr;

  [[nodiscard]] std::size_t classes() const { return 3; }
  [[nodiscard]] Batch batch(std::span<Example const> examples, std::span<std::size_t const> indices) const {
    Batch batch;
    for (std::size_t const index : indices) {
      batch.examples.push_back(examples[index]);
      batch.labels.push_back(examples[index].label);
    }
    return batch;
  }
  template <random::Perturbation P>
  [[nodiscard]] Lanes<float> scores(int, Batch const& batch, random::Perturbed<P> const& at,
                                    Runtime& runtime) const {
    batch_sizes->push_back(batch.labels.size());
    CHECK(at.lanes() == 1);
    Lanes<float> const scores{runtime.workspace().take(batch.labels.size() * 3).data(), 1,
                              batch.labels.size(), 3};
    for (std::size_t r = 0; r < scores.rows; ++r) {
      std::copy_n(batch.examples[r].scores.begin(), 3, scores.row(0, r));
    }
    return scores;
  }
};

std::vector<Oracle::Example> const asked{{{1, 1, 1}, {0.0F, 2.0F, 1.0F}, 1},
                                         {{1}, {3.0F, 3.0F, 0.0F}, 1},
                                         {{1, 1}, {0.0F, 5.0F, 5.0F}, 2},
                                         {{1}, {4.0F, 4.0F, 4.0F}, 2},
                                         {{1, 1, 1}, {-1.0F, -2.0F, 0.0F}, 0}};

} // namespace

TEST_CASE("answers come in the order of the examples, in batches of any size") {
  double loss = 0.0;
  for (Oracle::Example const& example : asked) {
    double sum = 0.0;
    for (float const score : example.scores) {
      sum += std::exp(static_cast<double>(score - example.scores[example.label]));
    }
    loss += std::log(sum) / 5.0;
  }
  std::vector<Indices> const batches{{1, 1, 1, 1, 1}, {2, 2, 1}, {3, 2}, {4, 1}, {5}, {5}};
  for (std::size_t size = 1; size <= 6; ++size) {
    CAPTURE(size);
    Indices sizes;
    Runtime runtime(1);
    train::Evaluation const found =
        train::evaluate(Oracle{&sizes}, 0, std::span<Oracle::Example const>(asked), size, runtime);
    CHECK(sizes == batches[size - 1]);
    CHECK(found.labels == Indices{1, 1, 2, 2, 0});
    CHECK(found.predictions == Indices{1, 0, 1, 0, 2}); // the first one of equal scores
    CHECK(found.loss == doctest::Approx(loss).epsilon(1e-12));
    REQUIRE(found.scores.size() == 15);
    for (std::size_t i = 0; i < 5; ++i) {
      CHECK(std::equal(asked[i].scores.begin(), asked[i].scores.end(),
                       found.scores.begin() + static_cast<std::ptrdiff_t>(3 * i)));
    }
  }
}

TEST_CASE("no examples, and batches of none") {
  Indices sizes;
  Runtime runtime(1);
  train::Evaluation const none =
      train::evaluate(Oracle{&sizes}, 0, std::span<Oracle::Example const>(), 4, runtime);
  CHECK((none.labels.empty() && none.scores.empty() && none.loss == 0.0 && sizes.empty()));
  CHECK(test::error_of([&] {
          static_cast<void>(
              train::evaluate(Oracle{&sizes}, 0, std::span<Oracle::Example const>(asked), 0, runtime));
        }) == "a batch size of 0; ask for at least 1 example");
}

TEST_CASE("a model's answers do not depend on batches or threads") {
  toy::Prompt const prompt = toy::make_prompt();
  toy::Examples const examples = toy::make_examples(prompt);
  toy::Model const model = toy::load_model();
  Runtime one(1), two(2);
  auto const evaluate = [&](std::size_t batch, Runtime& runtime) {
    return train::evaluate(prompt, model, std::span<toy::Prompt::Example const>(examples), batch, runtime);
  };
  train::Evaluation const single = evaluate(1, one);
  CHECK(single.predictions.size() == examples.size());
  for (std::size_t const batch : {2U, 4U, 11U, 100U}) {
    for (Runtime* const runtime : {&one, &two}) {
      train::Evaluation const found = evaluate(batch, *runtime);
      CHECK(found.labels == single.labels);
      CHECK(found.scores == single.scores);
      CHECK(found.predictions == single.predictions);
      CHECK(found.loss == doctest::Approx(single.loss).epsilon(1e-12));
    }
  }
}

} // namespace test_evaluate
