// SPDX-License-Identifier: Apache-2.0
#include <pocketllm/tensor/zeros.hpp>
#include <pocketllm/train/memory_budget.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace test_memory_budget {

using namespace pocketllm;

namespace {

/// A run whose weights take 400 bytes as f32, 200 as f16 and 60 as i4, each point of a step 30 and each text
/// 10, with 5 in common.
struct Run {
  std::vector<std::string> asked;
  std::size_t most = 0; ///< of weights and activations that were asked for

  train::MemoryPlan plan(std::size_t budget, train::EvaluatedAtOnce wanted = {4, 8},
                         std::vector<std::string> const& storages = {"f32", "f16", "i4"}) {
    return train::fit_memory(storages, wanted, budget, [&](std::string const& storage) {
      asked.push_back(storage);
      std::size_t const weights = storage == "f32" ? 400 : storage == "f16" ? 200 : 60;
      auto const bytes = [this, weights](std::size_t each) {
        return [this, weights, each](std::size_t count) {
          most = std::max(most, weights + 5 + count * each);
          return 5 + count * each;
        };
      };
      return train::MemoryNeeds{weights, bytes(30), bytes(10)};
    });
  }
};

} // namespace

TEST_CASE("the first storage that fits is taken, and the next ones are not looked at") {
  Run run;
  auto const plan = run.plan(1000);
  CHECK(plan.fits);
  CHECK(plan.use.storage == "f32");
  CHECK(plan.use.weights == 400);
  CHECK(plan.use.activations == 125); // of four points
  CHECK(plan.use.at_once.points == 4);
  CHECK(plan.use.at_once.texts == 8);
  CHECK(plan.refused.empty());
  CHECK(run.asked == std::vector<std::string>{"f32"});
}

TEST_CASE("fewer at once come before another storage") {
  for (std::size_t budget = 435; budget < 560; ++budget) {
    CAPTURE(budget);
    Run run;
    auto const plan = run.plan(budget);
    REQUIRE(plan.fits);
    CHECK(plan.use.storage == "f32");
    // before there are two, what is common to all of them is not known
    std::size_t const most = budget < 470 ? 1 : 4;
    CHECK(plan.use.at_once.points == std::min(most, (budget - 405) / 30));
    CHECK(plan.use.at_once.texts == std::min<std::size_t>(8, (budget - 405) / 10));
    CHECK(plan.use.weights + plan.use.activations <= budget);
    CHECK(run.most <= budget); // nothing was tried that had no room
  }
}

TEST_CASE("a storage whose weights or activations do not fit leaves the choice to the next one") {
  for (std::size_t const budget : {434U, 400U, 399U, 300U}) {
    CAPTURE(budget);
    Run run;
    auto const plan = run.plan(budget);
    REQUIRE(plan.fits);
    CHECK(plan.use.storage == "f16");
    REQUIRE(plan.refused.size() == 1);
    CHECK(plan.refused[0].storage == "f32");
    CHECK(plan.refused[0].weights == 400);
    CHECK(plan.refused[0].activations == (budget < 400 ? 0 : 35)); // asked only where the weights fit
  }
  Run run;
  CHECK(run.plan(100).use.storage == "i4");
}

TEST_CASE("if nothing fits, the plan has what each storage takes at least") {
  Run run;
  auto const plan = run.plan(94, {4, 8}, {"f16", "i4"});
  CHECK_FALSE(plan.fits);
  REQUIRE(plan.refused.size() == 2);
  CHECK(plan.refused[1].storage == "i4");
  CHECK(plan.refused[1].weights == 60);
  CHECK(plan.refused[1].activations == 35);
  CHECK(run.plan(95, {4, 8}, {"f16", "i4"}).fits);
}

TEST_CASE("activations that grow faster than before end the search at what fits") {
  auto const plan = [](std::size_t budget) {
    std::vector<std::string> const storages{"f32"};
    return train::fit_memory(storages, {6, 1}, budget, [](std::string const&) {
      return train::MemoryNeeds{100, [](std::size_t n) { return (n < 5 ? 10 : 12) * n + 10; },
                                [](std::size_t) { return std::size_t{45}; }};
    });
  };
  CHECK(plan(182).use.at_once.points == 6);
  CHECK(plan(182).use.activations == 82);
  CHECK(plan(175).use.at_once.points == 3); // 6 were tried
  CHECK(plan(175).use.activations == 45);   // an evaluation takes more than the step
  CHECK(plan(145).fits);
  CHECK_FALSE(plan(144).fits);
}

TEST_CASE("a run without steps, or without texts to test on, fits by what it has") {
  std::vector<std::string> const storages{"f32"};
  auto const ten = [](std::size_t n) { return 10 * n; };
  auto const steps = train::fit_memory(storages, {4, 4}, 120, [&](std::string const&) {
    return train::MemoryNeeds{100, ten, {}};
  });
  CHECK(steps.fits);
  CHECK(steps.use.at_once.points == 2);
  auto const texts = train::fit_memory(storages, {4, 4}, 130, [&](std::string const&) {
    return train::MemoryNeeds{100, {}, ten};
  });
  CHECK(texts.fits);
  CHECK(texts.use.at_once.texts == 3);
}

namespace {

struct Two {
  tensor::Tensor<float> a{"a", {3, 4}}, b{"b", {5}};
  tensor::Tensor<i8> c{"c", {2, 8}};
  template <class F>
  void for_each_tensor(F&& f) {
    f(a), f(b), f(c);
  }
  template <class F>
  void for_each_tensor(F&& f) const {
    f(a), f(b), f(c);
  }
};

} // namespace

TEST_CASE("weights that are zero, until one is written") {
  Two model;
  model.b.allocate();
  std::fill_n(model.b.mutable_data(), 5, 2.0F);
  tensor::borrow_zeros(model);
  CHECK(std::all_of(model.a.values().begin(), model.a.values().end(), [](float x) { return x == 0.0F; }));
  CHECK(model.b.values().front() == 2.0F); // it had data
  CHECK(std::all_of(model.c.scales().begin(), model.c.scales().end(), [](float x) { return x == 0.0F; }));
  model.a.mutable_data()[1] = 1.0F;
  CHECK(model.a.values()[1] == 1.0F);
  CHECK(model.a.values()[0] == 0.0F);
}

} // namespace test_memory_budget
