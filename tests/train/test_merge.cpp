// SPDX-License-Identifier: Apache-2.0
#include "journaled_run.hpp"
#include "temporary_folder.hpp"
#include <pocketllm/train/merge.hpp>

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <string>
#include <vector>

namespace test_merge {

using namespace pocketllm;
namespace fs = std::filesystem;

namespace {

using Weights = std::vector<float>;
using Run = toy::JournaledRun<>;

toy::RunSettings device(std::size_t i, std::uint64_t steps) {
  return {.steps = steps, .batch = 2, .seed = 20 + i, .shard = i, .shards = 3};
}

/// SGD without decay, so that devices may differ in their steps.
optimize::Sgd const plain{};

/// Three processes, each with a third of the examples, begin with `base` and leave d0.journal to d2.journal.
void train_devices(fs::path const& folder, toy::Model const& base, std::array<std::uint64_t, 3> steps) {
  std::array<::pid_t, 3> children{};
  for (std::size_t i = 0; i < 3; ++i) {
    children[i] = ::fork();
    REQUIRE(children[i] >= 0);
    if (children[i] == 0) {
      try {
        Run run(device(i, steps[i]), plain);
        run.model = base;
        run.go(folder / concat("d", i, ".journal"));
        ::_exit(0);
      } catch (Error const&) {
        ::_exit(1);
      }
    }
  }
  for (::pid_t const child : children) {
    int status = 1;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE((WIFEXITED(status) && WEXITSTATUS(status) == 0));
  }
}

std::vector<io::Journal> read_devices(fs::path const& folder) {
  std::vector<io::Journal> journals;
  for (std::size_t i = 0; i < 3; ++i) {
    journals.push_back(io::read_journal(folder / concat("d", i, ".journal")));
  }
  return journals;
}

/// One process that holds all three shards, and three whole models whose mean it takes.
Weights naive_round(toy::Model const& base, std::array<std::uint64_t, 3> steps,
                    std::array<double, 3> const& share) {
  std::vector<double> mean(toy::weights_of(base).size());
  for (std::size_t i = 0; i < 3; ++i) {
    Run run(device(i, steps[i]), plain);
    run.model = base;
    static_cast<void>(run.trainer.run(0, {}, {}));
    Weights const own = toy::weights_of(run.model);
    for (std::size_t k = 0; k < mean.size(); ++k) {
      mean[k] += share[i] * static_cast<double>(own[k]);
    }
  }
  return {mean.begin(), mean.end()};
}

float largest_difference(Weights const& a, Weights const& b) {
  REQUIRE(a.size() == b.size());
  float worst = 0.0F;
  for (std::size_t i = 0; i < a.size(); ++i) {
    worst = std::max(worst, std::abs(a[i] - b[i]));
  }
  return worst;
}

} // namespace

TEST_CASE("the journals of three processes make the mean of their models, round after round") {
  std::array<std::uint64_t, 3> const steps{8, 8, 5}; // one is slower
  std::array<double, 3> const weights{4, 4, 3}, share{4.0 / 11, 4.0 / 11, 3.0 / 11};
  Runtime runtime(1);
  toy::Model model = toy::load_model();
  Weights const start = toy::weights_of(model);
  for (int round = 0; round < 3; ++round) {
    test::TemporaryFolder const folder;
    train_devices(folder.path(), model, steps);
    train::merge_journals(folder.path() / "merged", read_devices(folder.path()), weights);
    Weights const expected = naive_round(model, steps, share);
    io::Journal const merged = io::read_journal(folder.path() / "merged");
    CHECK(merged.size() == 8);
    CHECK(merged.header().layout().slopes == 3);
    train::replay(model, merged, runtime);                                       // the base of the next round
    CHECK(largest_difference(toy::weights_of(model), expected) < 16 * 0x1p-24F); // roundings of 8 steps each
  }
  CHECK(largest_difference(toy::weights_of(model), start) > 1e-3F);
}

TEST_CASE("rounds of one step along one direction are the steps of one process with all shards") {
  // all devices draw the same directions, so the mean of their slopes is the slope of the mean loss
  toy::Model model = toy::load_model(), twin = toy::load_model();
  Runtime runtime(1);
  Weights const start = toy::weights_of(model);
  for (int round = 0; round < 4; ++round) {
    test::TemporaryFolder const folder;
    optimize::TwoPoint const estimator{1e-3F, 33};
    auto const points = estimator.points(0);
    std::array<double, 2> loss{};
    for (std::size_t i = 0; i < 3; ++i) {
      toy::RunSettings settings = device(i, 1);
      settings.seed = 33;
      Run run(settings, plain);
      run.model = model;
      run.go(folder.path() / concat("d", i, ".journal"));
      auto order = toy::order_of(run.examples, settings);
      auto const losses =
          run.prompt(twin, run.prompt.batch(run.examples, order.batch(0)),
                     random::perturb(random::Gaussian{}, std::span<random::Point const>(points)), runtime);
      loss[0] += static_cast<double>(losses[0]) / 3;
      loss[1] += static_cast<double>(losses[1]) / 3;
    }
    std::vector<float> const mean{static_cast<float>(loss[0]), static_cast<float>(loss[1])};
    optimize::Sgd{3e-3F, 0.0F}(twin, random::Gaussian{}, estimator.gradient(points, mean), runtime);
    train::merge_journals(folder.path() / "merged", read_devices(folder.path()), std::array{1.0, 1.0, 1.0});
    train::replay(model, io::read_journal(folder.path() / "merged"), runtime);
    // a loss is rounded to 6e-8, a slope to 6e-5, and the step along it to 2e-7 times |z| < 5.2
    CHECK(largest_difference(toy::weights_of(model), toy::weights_of(twin)) <
          static_cast<float>(round + 1) * 2e-6F);
  }
  CHECK(largest_difference(toy::weights_of(model), start) > 1e-3F);
}

TEST_CASE("runs that cannot be merged") {
  test::TemporaryFolder const folder;
  Run(device(0, 3), plain).go(folder.path() / "a");
  Run(device(1, 3), plain).go(folder.path() / "b");
  Run(device(2, 3)).go(folder.path() / "decays");
  Run(device(2, 5)).go(folder.path() / "decays more");
  toy::JournaledRun<float, random::Rademacher>(device(1, 3), plain).go(folder.path() / "signs");
  toy::JournaledRun<float, random::Gaussian, toy::Momentum>(device(1, 3)).go(folder.path() / "momentum");
  Run(device(1, 3), plain).go(folder.path() / "none", 0);
  auto const error = [&](std::vector<std::string> const& names, std::vector<double> const& weights) {
    std::vector<io::Journal> journals;
    for (std::string const& name : names) {
      journals.push_back(io::read_journal(folder.path() / name));
    }
    return folder.error([&] { train::merge_journals(folder.path() / "merged", journals, weights); });
  };
  CHECK(error({}, {}) == "there are no journals to merge");
  CHECK(error({"a", "b"}, {1.0}) == "there are 2 journals and 1 weights; give one for each");
  CHECK(error({"a", "b"}, {1.0, 0.0}) == "the weights of journals must be positive numbers");
  CHECK(error({"a", "decays"}, {1, 1}).find("decays: has another \"update\" than a") == 0);
  CHECK(error({"a", "signs"}, {1, 1}).find("signs: has another \"perturbation\" than a") == 0);
  CHECK(error({"momentum", "momentum"}, {1, 1})
            .find("momentum: update: expected sgd, found \"toy-momentum\"") == 0);
  CHECK(error({"decays", "decays more"}, {1, 1})
            .find("decays more: with weight decay all runs must have as many steps as decays has") == 0);
  CHECK(!fs::exists(folder.path() / "merged"));
  CHECK(error({"a", "b"}, {1, 1}) == "no error");
  CHECK(error({"a", "b"}, {1, 1}) == "merged: is there already; resume it, or choose another name");
}

} // namespace test_merge
