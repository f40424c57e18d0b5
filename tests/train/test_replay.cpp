// SPDX-License-Identifier: Apache-2.0
#include "journaled_run.hpp"
#include "temporary_folder.hpp"
#include <pocketllm/optimize/selection.hpp>
#include <pocketllm/train/replay.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <vector>

namespace test_replay {

using namespace pocketllm;
using io::Json;

namespace {

/// A rule that is no move: a replay calls it step by step.
struct SignOnly {
  static constexpr std::string_view name = "sign-only";
  float learning_rate = 0.0F;
  std::uint64_t remembered = 0;
  void remember(optimize::Gradient const&) { ++remembered; }
  template <tensor::HasTensors M, random::Perturbation P>
  void operator()(M& model, P const& perturbation, optimize::Gradient gradient, Runtime& runtime) {
    for (optimize::Slope& slope : gradient) {
      slope.slope = slope.slope > 0.0F ? 1.0F : -1.0F;
    }
    optimize::Sgd{learning_rate, 0.0F}(model, perturbation, gradient, runtime);
    ++remembered;
  }
};
static_assert(!optimize::MovingRule<SignOnly>);

using ToyRules =
    train::Parts<optimize::Sgd, optimize::Sign, optimize::Momentum, optimize::Adam, toy::Momentum, SignOnly>;

/// The digest after a replay of `journal` by the parts of its header.
template <class T>
std::string replayed(io::Journal const& journal, std::size_t threads = 1, std::uint64_t end = UINT64_MAX) {
  Runtime runtime(threads);
  auto model = io::load<models::Roberta<T>>(golden::path_of("models/data/tied"));
  train::replay<train::Perturbations, ToyRules>(model, journal, runtime, end);
  return io::digest_text(io::digest(model, runtime));
}

template <class T, class P, class U, class E = optimize::TwoPoint>
void check_replay() {
  test::TemporaryFolder const folder;
  auto const path = folder.path() / "run.journal";
  std::string const end = toy::JournaledRun<T, P, U, E>({}).go(path);
  io::Journal const journal = io::read_journal(path);
  REQUIRE(journal.size() == 12);
  CHECK(journal.closing()->weights == end);
  CHECK(replayed<T>(journal) == end);
  CHECK(replayed<T>(journal, 3) == end);
  toy::JournaledRun<T, P, U, E> part({});
  std::string const middle = part.go(folder.path() / "part.journal", 7);
  CHECK(replayed<T>(journal, 1, 7) == middle);
  CHECK(middle != end);
  CHECK(replayed<T>(io::read_journal(folder.path() / "part.journal")) == middle);
  // and the run that was stopped goes on, in a process that knows nothing but the journal
  CHECK(toy::JournaledRun<T, P, U, E>({}).go(folder.path() / "part.journal") == end);
  CHECK(folder.read("part.journal") == folder.read("run.journal"));
}

template <class T>
std::vector<float> all_weights(models::Roberta<T> const& model) {
  std::vector<float> weights;
  tensor::for_each_tensor(model, [&](auto const& w) {
    for (auto const v : w.values()) {
      weights.push_back(to_float(v));
    }
  });
  return weights;
}

} // namespace

TEST_CASE("a journal replays to the bits of its run, and a run goes on from it: f32") {
  check_replay<float, random::Gaussian, optimize::Sgd>();
  check_replay<float, random::Rademacher, optimize::Sgd>();
}
TEST_CASE("a journal replays to the bits of its run, and a run goes on from it: f16") {
  check_replay<f16, random::Gaussian, optimize::Sgd>();
  check_replay<f16, random::Rademacher, optimize::Sgd>();
}
TEST_CASE("a journal replays to the bits of its run, and a run goes on from it: bf16") {
  check_replay<bf16, random::Gaussian, optimize::Sgd>();
  check_replay<bf16, random::Rademacher, optimize::Sgd>();
}
TEST_CASE("runs of several directions, with the library's rules that remember, replay too") {
  check_replay<float, random::LowRank, optimize::Adam, optimize::Fzoo>();
  check_replay<f16, random::Gaussian, optimize::Momentum, optimize::MultiPoint>();
  check_replay<float, random::AnyPerturbation, optimize::AnyRule, optimize::AnyEstimator>();
}

TEST_CASE("rules with a memory, and rules that are no moves, replay as well") {
  check_replay<float, random::Gaussian, toy::Momentum>();
  check_replay<f16, random::Rademacher, toy::Momentum>();
  check_replay<float, random::Rademacher, SignOnly>();
}

/// The largest difference of two ways to a model, and how far those go from its base.
struct Distance {
  float worst = 0.0F, moved = 0.0F;

  template <class Model>
  Distance(Model const& found_model, Model const& exact_model, std::vector<float> const& base) {
    std::vector<float> const found = all_weights(found_model), exact = all_weights(exact_model);
    for (std::size_t i = 0; i < found.size(); ++i) {
      worst = std::max(worst, std::abs(found[i] - exact[i]));
      moved = std::max(moved, std::abs(base[i] - exact[i]));
    }
  }
};

/// A run along shared factors, replayed from its base in both ways.
template <class T, class U>
Distance folded_and_exact(U rule, std::uint64_t steps) {
  test::TemporaryFolder const folder;
  auto const path = folder.path() / "run.journal";
  toy::JournaledRun<T, random::LowRank, U> run({.steps = steps}, std::move(rule));
  run.go(path);
  io::Journal const journal = io::read_journal(path);
  REQUIRE(journal.header().json().at("seeds").at("shared") == 4);
  auto const base = io::load<models::Roberta<T>>(golden::path_of("models/data/tied"));
  auto model = base;
  train::replay(model, journal, run.runtime, UINT64_MAX, {}, train::Summation::folded);
  return {model, run.model, all_weights(base)};
}

TEST_CASE("a folded replay is the exact one, to rounding") {
  auto const check = [](Distance const& found, float tolerance) {
    auto const [worst, moved] = found;
    CHECK(moved > 1e-3F);
    CHECK(worst < tolerance * std::max(1.0F, moved));
    CHECK(worst > 0.0F); // something was folded
  };
  check(folded_and_exact<float>(optimize::Sgd{}, 60), 1e-6F);
  check(folded_and_exact<float>(optimize::Sgd{1.0F, 3.0F}, 60), 1e-6F); // decays by 0.99 a step
  check(folded_and_exact<float>(optimize::Momentum{.history = 5}, 60), 1e-6F);
  check(folded_and_exact<f16>(optimize::Sgd{}, 24), 24 * 0x1p-10F); // a unit in the last place, each step
  // Adam's steps are not linear: the replay is the exact one
  auto const adam = folded_and_exact<float>(optimize::Adam{}, 12);
  CHECK(adam.worst == 0.0F);
  CHECK(adam.moved > 1e-3F);
}

TEST_CASE("steps are taken back, to rounding") {
  test::TemporaryFolder const folder;
  auto const path = folder.path() / "run.journal";
  toy::JournaledRun<float, random::Gaussian, toy::Momentum> run({.steps = 60});
  run.go(path);
  io::Journal const journal = io::read_journal(path);
  toy::JournaledRun<float, random::Gaussian, toy::Momentum> part({.steps = 60});
  part.go(folder.path() / "part.journal", 20);
  std::vector<float> const before = all_weights(run.model);
  train::take_back<train::Perturbations, ToyRules>(run.model, journal, 20, run.runtime);
  auto const [worst, moved] = Distance(run.model, part.model, before);
  CHECK(moved > 1e-3F);
  CHECK(worst < 60 * 0x1p-23F); // weights are below 2, half a unit a step there and as much back
}

TEST_CASE("decay is taken back from matrices, and vectors have none") {
  test::TemporaryFolder const folder;
  auto const path = folder.path() / "run.journal";
  toy::JournaledRun<> run({.steps = 20}, optimize::Sgd{1.0F, 5.0F});
  std::vector<float> const expected = all_weights(run.model);
  run.go(path);
  train::take_back(run.model, io::read_journal(path), 0, run.runtime);
  std::vector<float> const found = all_weights(run.model);
  for (std::size_t i = 0; i < found.size(); ++i) {
    REQUIRE(std::abs(found[i] - expected[i]) < 40 * 0x1p-23F);
  }
}

TEST_CASE("what cannot be taken back") {
  test::TemporaryFolder const folder;
  toy::JournaledRun<f16> run({});
  run.go(folder.path() / "run.journal");
  std::string const before = run.digest();
  io::Journal const journal = io::read_journal(folder.path() / "run.journal");
  CHECK(test::error_of([&] {
          train::take_back(run.model, journal, 3, run.runtime);
        }).find("steps on 16-bit weights cannot be taken back") != std::string::npos);
  CHECK(run.digest() == before);
}

TEST_CASE("a model of a directory and a journal") {
  test::TemporaryFolder const folder;
  toy::JournaledRun<> run({});
  run.go(folder.path() / "run.journal");
  auto const model = train::load<toy::Model>(golden::path_of("models/data/tied"),
                                             io::read_journal(folder.path() / "run.journal"), run.runtime);
  CHECK(toy::weights_of(model) == toy::weights_of(run.model));
}

TEST_CASE("a replay says how far it is, from the calling thread") {
  test::TemporaryFolder const folder;
  toy::JournaledRun<> run({});
  run.go(folder.path() / "run.journal");
  auto model = toy::load_model();
  Runtime runtime(3);
  std::vector<double> shares;
  train::replay(model, io::read_journal(folder.path() / "run.journal"), runtime, UINT64_MAX,
                [&](double share) { shares.push_back(share); });
  CHECK(shares.size() > 5);
  CHECK(std::is_sorted(shares.begin(), shares.end()));
  CHECK((shares.front() > 0.0 && shares.back() <= 1.0 && shares.back() > 0.5));
}

TEST_CASE("what cannot be replayed is refused, and the weights stay as they were") {
  test::TemporaryFolder const folder;
  toy::JournaledRun<float, random::Gaussian, toy::Momentum> run({});
  run.go(folder.path() / "run.journal");
  io::Journal const journal = io::read_journal(folder.path() / "run.journal");
  auto model = toy::load_model();
  auto const before = toy::weights_of(model);
  CHECK(folder.error([&] { train::replay(model, journal, run.runtime); }) ==
        "run.journal: update: \"toy-momentum\" is not known here; known are: sgd, sign, momentum, adam. A "
        "program that has such a part can replay it");
  CHECK(toy::weights_of(model) == before);
  CHECK(folder.error([&] { train::replay<train::Perturbations, ToyRules>(run.model, journal, run.runtime); })
            .find("run.journal: is of a run that began with other weights: their digest is blake3:") == 0);
  auto half = io::load<models::Roberta<f16>>(golden::path_of("models/data/tied"));
  CHECK(folder.error([&] { train::replay(half, journal, run.runtime); }).find("other weights") !=
        std::string::npos);
}

TEST_CASE("what is trained is in the journal") {
  test::TemporaryFolder const folder;
  toy::JournaledRun<> run({});
  optimize::select_trained(run.model, "*.bias");
  run.go(folder.path() / "run.journal");
  io::Journal const journal = io::read_journal(folder.path() / "run.journal");
  CHECK(journal.header().json().at("trained").size() > 5);
  CHECK(replayed<float>(journal) == run.digest());
  toy::JournaledRun<> other({});
  CHECK(folder.error([&] { other.go(folder.path() / "run.journal"); })
            .find("run.journal: is of another run: trained[0] is ") == 0);
  auto model = toy::load_model();
  CHECK(test::error_of([&] {
          train::set_trained_tensors(model, Json::array({"lm_head.bias", "no"}), "j");
        }) == "j: trains \"no\", which this model does not have; name the model that the run began with");
}

TEST_CASE("parts are read back as they were written") {
  optimize::Sgd const sgd{.learning_rate = 3.0F, .weight_decay = 0.1F};
  Json const json = train::describe(sgd);
  CHECK(json == Json{{"name", "sgd"}, {"weight_decay", 0.1}});
  CHECK(train::read_part<optimize::Sgd>(json, "j").weight_decay == 0.1F);
  CHECK(train::describe(random::Rademacher{}) == Json{{"name", "rademacher"}});
  CHECK(train::read_part<toy::Momentum>(train::describe(toy::Momentum{.history = 9}), "j").history == 9);
  auto const error = [](Json const& wrong) {
    return test::error_of([&] { static_cast<void>(train::read_part<toy::Momentum>(wrong, "j: update")); });
  };
  CHECK(error({{"name", "sgd"}}) == "j: update: expected toy-momentum, found \"sgd\"");
  CHECK(error("text") == "j: update: expected toy-momentum, found \"\"");
  CHECK(error({{"name", "toy-momentum"}, {"beta", 0.5}}) == "j: update: toy-momentum has no \"history\"");
  CHECK(error({{"name", "toy-momentum"}, {"beta", "x"}, {"history", 1}}) ==
        "j: update.beta: expected a number, found string");
  CHECK(error({{"name", "toy-momentum"}, {"beta", 1}, {"history", -1}}) ==
        "j: update.history: expected an integer of 0 or more, found -1");
  CHECK(error({{"name", "toy-momentum"}, {"beta", 1}, {"history", 1}, {"nesterov", true}})
            .find("j: update: toy-momentum has a parameter that is not known here (") == 0);
}

TEST_CASE("snapshots: a run goes on from the newest that is whole") {
  test::TemporaryFolder const folder;
  toy::RunSettings const settings{.steps = 30, .snapshot_every = 4};
  using Run = toy::JournaledRun<f16, random::Rademacher, toy::Momentum>;
  std::string const expected = Run({.steps = 30}).go(folder.path() / "plain.journal");
  auto const path = folder.path() / "run.journal";
  Run(settings).go(path, 18);
  CHECK(folder.read("run.journal.12.safetensors").empty()); // an older one is removed
  std::string const snapshot = folder.read("run.journal.16.safetensors");
  CHECK(snapshot.size() > 1000);
  auto const restored = [&] {
    Run run(settings);
    train::Snapshots snapshots(path, {.every = 4});
    auto const result = snapshots.restore(run.model, io::read_journal(path), run.runtime);
    return std::pair(result, run.digest());
  };
  CHECK(restored().first.next_step == 16);
  CHECK(restored().first.problem.empty());
  Run until({.steps = 30});
  CHECK(restored().second == until.go(folder.path() / "until.journal", 16));

  std::string damaged = snapshot;
  damaged[damaged.size() / 2] ^= 1;
  folder.write("run.journal.16.safetensors", damaged);
  CHECK(restored().first.next_step == 0);
  CHECK(restored().first.problem.find("the snapshot of step 16 is not used: ") == 0);
  CHECK(restored().second == Run(settings).digest());
  CHECK(Run(settings).go(path) == expected);
  CHECK(std::filesystem::exists(folder.path() / "run.journal.28.safetensors"));
  CHECK(!std::filesystem::exists(folder.path() / "run.journal.16.safetensors"));
  CHECK(replayed<f16>(io::read_journal(path)) == expected); // which needs no snapshot
  CHECK(folder.error([&] { train::Snapshots(path, {.every = 4, .directory = folder.path() / "none"}); }) ==
        "none: there is no such directory for snapshots; create it first");
}

TEST_CASE("micro-batches: the losses are means over them, at the same points") {
  test::TemporaryFolder const folder;
  toy::JournaledRun<> run({.batch = 2, .micro_batches = 3});
  run.go(folder.path() / "run.journal", 1);
  io::Journal const journal = io::read_journal(folder.path() / "run.journal");
  CHECK(journal.header().json().at("data").at("batches").at("micro_batches") == 3);

  toy::JournaledRun<> twin({.batch = 2});
  auto order = toy::order_of(twin.examples, twin.settings);
  auto const points = optimize::TwoPoint{1e-3F, twin.settings.seed}.points(0);
  double plus = 0.0, minus = 0.0;
  for (std::uint64_t i = 0; i < 3; ++i) {
    auto const batch = twin.prompt.batch(twin.examples, order.batch(i));
    auto const losses =
        twin.prompt(twin.model, batch, random::perturb(random::Gaussian{}, points), twin.runtime);
    plus += static_cast<double>(losses[0]) / 3;
    minus += static_cast<double>(losses[1]) / 3;
  }
  CHECK(static_cast<double>(journal.steps()[0].loss) == doctest::Approx((plus + minus) / 2).epsilon(1e-6));
  CHECK(static_cast<double>(journal.slopes(0)[0]) ==
        doctest::Approx((plus - minus) / 2e-3).epsilon(1e-2)); // differences of floats
  CHECK(test::error_of([] { toy::JournaledRun<>({.micro_batches = 0}); }) ==
        "0 micro-batches; ask for at least 1");
}

} // namespace test_replay
