// SPDX-License-Identifier: Apache-2.0
#include "temporary_folder.hpp"
#include "toy_prompt.hpp"
#include <pocketllm/core/runtime.hpp>
#include <pocketllm/train/evaluate.hpp>
#include <pocketllm/train/trainer.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace test_trainer {

using namespace pocketllm;
using train::Outcome;
using Reason = train::Outcome::Reason;
using Weights = std::vector<float>;

namespace {

/// What happens in the objective's evaluations.
struct Events {
  std::uint64_t calls = 0;
  std::uint64_t nan_at = UINT64_MAX, throw_at = UINT64_MAX, stop_at = UINT64_MAX;
  train::StopFlag* flag = nullptr;
  std::vector<std::size_t> tokens; ///< of each batch
};

/// A user's own objective: the prompt's, with things going wrong at certain steps.
struct Watched {
  using Example = toy::Prompt::Example;
  using Batch = toy::Prompt::Batch;
  toy::Prompt prompt = toy::make_prompt();
  Events* events = nullptr;

  [[nodiscard]] Batch batch(std::span<Example const> examples, std::span<std::size_t const> indices) const {
    return prompt.batch(examples, indices);
  }
  template <random::Perturbation P>
  [[nodiscard]] std::vector<float> operator()(toy::Model const& model, Batch const& batch,
                                              random::Perturbed<P> const& at, Runtime& runtime) const {
    std::uint64_t const step = events->calls++;
    events->tokens.push_back(batch.tokens.tokens());
    std::vector<float> losses = prompt(model, batch, at, runtime);
    require(step != events->throw_at, "the objective's own error");
    if (step == events->nan_at) {
      losses.back() = std::numeric_limits<float>::quiet_NaN();
    }
    if (step == events->stop_at) {
      events->flag->request();
    }
    return losses;
  }
};
static_assert(train::Objective<Watched, toy::Model>);
static_assert(!train::Objective<toy::Model, toy::Model>);

/// A user's own estimator: the mean of two one-sided differences.
struct TwoOneSided {
  float epsilon = 1e-3F;
  [[nodiscard]] std::vector<random::Point> points(std::uint64_t step) const {
    return {random::origin, {2 * step + 1, epsilon}, {2 * step + 2, epsilon}};
  }
  [[nodiscard]] optimize::Gradient gradient(std::span<random::Point const> at,
                                            std::span<float const> losses) const {
    return {{at[1].seed, (losses[1] - losses[0]) / (2 * epsilon)},
            {at[2].seed, (losses[2] - losses[0]) / (2 * epsilon)}};
  }
};

/// A user's own perturbation: uniform with variance 1, in blocks of four, one element a word.
struct Uniform {
  static constexpr std::string_view name = "uniform";
  template <class A>
  void fill(random::Stream stream, std::size_t row, std::size_t block, std::size_t count, float* out) const {
    random::fill_independent<A>(stream, row, block, count, out, [](simd::u32<A> word, simd::u32<A>) {
      simd::f32<A> const unit = simd::convert<A>(simd::shift_right<A, 8>(word)); // below 2^24
      return simd::fma<A>(unit, simd::splat<A>(0x1p-23F * 1.7320508F), simd::splat<A>(-1.7320508F));
    });
  }
};

/// A user's own update rule: steps of one length, whatever the slope.
struct SignSgd {
  float learning_rate = 0.0F;
  template <tensor::HasTensors M, random::Perturbation P>
  void operator()(M& model, P const& perturbation, optimize::Gradient gradient, Runtime& runtime) const {
    for (optimize::Slope& slope : gradient) {
      slope.slope = slope.slope > 0.0F ? 1.0F : -1.0F;
    }
    optimize::Sgd{learning_rate, 0.0F}(model, perturbation, gradient, runtime);
  }
};

/// A small run; each member may be changed before `go`.
template <class P = random::Gaussian, class E = optimize::TwoPoint, class U = optimize::Sgd>
struct Experiment {
  E estimator{};
  U rule{};
  std::uint64_t steps = 12, first = 0;
  float rate = 3e-3F;
  std::size_t threads = 1, batch = 4;
  Events events{};
  toy::Model model = toy::load_model();

  Outcome go(train::StopCondition const& stop = {}, train::StepCallback const& after_step = {}) {
    Runtime runtime(threads);
    return go(runtime, stop, after_step);
  }
  Outcome go(Runtime& runtime, train::StopCondition const& stop, train::StepCallback const& after_step) {
    Watched objective;
    objective.events = &events;
    toy::Examples const examples = toy::make_examples(objective.prompt);
    std::vector<std::size_t> lengths;
    for (auto const& example : examples) {
      lengths.push_back(example.ids.size());
    }
    train::BatchOrder order(lengths, {.batch_size = batch, .seed = 1});
    train::Trainer trainer(model, objective, std::span<Watched::Example const>(examples), P{}, estimator,
                           rule, optimize::Schedule{optimize::Schedule::Shape::linear, rate, steps}, order,
                           runtime);
    return trainer.run(first, stop, after_step);
  }
  [[nodiscard]] Weights weights() const { return toy::weights_of(model); }
  [[nodiscard]] double loss() const {
    toy::Prompt const prompt = toy::make_prompt();
    toy::Examples const examples = toy::make_examples(prompt);
    Runtime runtime(1);
    return train::evaluate(prompt, model, std::span<toy::Prompt::Example const>(examples), 4, runtime).loss;
  }
};

/// The weights after `steps` steps of a schedule for 12.
Weights weights_after(std::uint64_t steps) {
  Experiment run;
  train::StopFlag flag;
  if (steps != 12) {
    run.events.stop_at = steps - 1;
    run.events.flag = &flag;
  }
  Outcome const outcome = run.go(flag);
  REQUIRE(outcome.next_step == steps);
  return run.weights();
}

} // namespace

TEST_CASE("training lowers the loss, and reports every step") {
  Experiment run;
  run.steps = 300;
  double const before = run.loss();
  std::uint64_t reports = 0;
  float last_rate = 1.0F;
  Outcome const outcome = run.go({}, [&](train::StepReport const& report) {
    CHECK(report.step == reports++);
    CHECK(report.learning_rate < last_rate); // as the schedule says
    last_rate = report.learning_rate;
    CHECK((report.seconds > 0.0 && report.loss > 0.0F));
    CHECK(report.gradient.size() == 1);
    return true;
  });
  CHECK(outcome.reason == Reason::finished);
  CHECK(outcome.next_step == 300);
  CHECK(reports == 300);
  CHECK(run.loss() < 0.5 * before);
}

TEST_CASE("the weights have the same bits with two threads") {
  Experiment run;
  run.threads = 2;
  run.go();
  CHECK(run.weights() == weights_after(12));
  CHECK(run.weights() != Experiment<>{}.weights());
}

TEST_CASE("a run that is continued has the bits of one that was not interrupted") {
  Experiment run;
  train::StopFlag flag;
  run.events.stop_at = 4;
  run.events.flag = &flag;
  Outcome const outcome = run.go(flag);
  CHECK(outcome.reason == Reason::stopped);
  CHECK(outcome.next_step == 5); // the step during which it was asked is finished
  run.first = outcome.next_step;
  CHECK(run.go().reason == Reason::finished);
  CHECK(run.weights() == weights_after(12));

  Events const seen = run.events;
  run.first = 12;
  Outcome const done = run.go();
  CHECK((done.reason == Reason::finished && done.next_step == 12));
  CHECK(run.events.calls == seen.calls);
}

TEST_CASE("a request from before the run, and the callback's") {
  Experiment run;
  train::StopFlag flag;
  flag.request();
  Outcome const none = run.go(flag);
  CHECK((none.reason == Reason::stopped && none.next_step == 0));
  CHECK(run.events.calls == 0);
  Outcome const some = run.go({}, [](train::StepReport const& report) { return report.step != 2; });
  CHECK((some.reason == Reason::stopped && some.next_step == 3));
  CHECK(run.weights() == weights_after(3));
}

TEST_CASE("a loss that is not a number ends the run with the weights of the step before") {
  Experiment run;
  run.events.nan_at = 3;
  std::uint64_t reports = 0;
  Outcome const outcome = run.go({}, [&](auto const&) { return ++reports != 100; });
  CHECK(outcome.reason == Reason::diverged);
  CHECK(outcome.next_step == 3);
  CHECK(reports == 3);
  CHECK(run.weights() == weights_after(3));
}

TEST_CASE("a slope or a rate that is not a number never reaches the weights") {
  for (bool const slope : {true, false}) {
    CAPTURE(slope);
    Experiment run;
    Weights const before = run.weights();
    run.estimator.epsilon = slope ? 0.0F : 1e-3F;
    run.rate = slope ? 1e-3F : std::numeric_limits<float>::infinity();
    Outcome const outcome = run.go();
    CHECK((outcome.reason == Reason::diverged && outcome.next_step == 0));
    CHECK(run.weights() == before);
  }
}

TEST_CASE("an error in the objective leaves the weights alone") {
  Experiment run;
  run.events.throw_at = 3;
  CHECK(test::error_of([&] { run.go(); }) == "the objective's own error");
  CHECK(run.weights() == weights_after(3));
}

TEST_CASE("estimator, perturbation and update rule may be the user's own") {
  static_assert(optimize::Estimator<TwoOneSided> && random::Perturbation<Uniform> &&
                optimize::UpdateRule<SignSgd, toy::Model, Uniform>);
  Experiment<Uniform, TwoOneSided, SignSgd> run;
  run.steps = 200;
  run.rate = 1e-3F;
  double const before = run.loss();
  CHECK(run.go({}, [](train::StepReport const& report) { return report.gradient.size() == 2; }).reason ==
        Reason::finished);
  CHECK(run.loss() < 0.7 * before);
}

TEST_CASE("memory for activations grows with the largest batch only") {
  Experiment run;
  run.steps = 60;
  run.batch = 3;
  Runtime runtime(2);
  std::vector<std::size_t> allocations;
  run.go(runtime, {}, [&](auto const&) {
    allocations.push_back(runtime.workspace().allocations());
    return true;
  });
  REQUIRE(allocations.size() == 60);
  std::size_t largest = run.events.tokens[0], fitting = 0;
  for (std::size_t step = 1; step < 60; ++step) {
    if (run.events.tokens[step] <= largest) {
      CHECK(allocations[step] == allocations[step - 1]);
      ++fitting;
    }
    largest = std::max(largest, run.events.tokens[step]);
  }
  CHECK(fitting > 50);
  CHECK(largest > run.events.tokens[0]); // batches did differ
}

} // namespace test_trainer
