// SPDX-License-Identifier: Apache-2.0
// A small run with a journal, for the tests of replay, snapshots and death.
#pragma once

#include "toy_prompt.hpp"
#include <pocketllm/core/runtime.hpp>
#include <pocketllm/io/digest.hpp>
#include <pocketllm/io/journal.hpp>
#include <pocketllm/optimize/any.hpp>
#include <pocketllm/train/trainer.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace toy {

struct RunSettings {
  std::uint64_t steps = 12;
  std::size_t threads = 1, batch = 4, micro_batches = 1;
  std::uint64_t seed = 5;
  std::uint64_t snapshot_every = 0;
  io::SyncPolicy policy{.write_seconds = 0.0, .sync_seconds = 1e9}; ///< at once, never waiting for the disk
  bool accept_damage = false;
  std::size_t shard = 0, shards = 1; ///< the run has every shards-th example, from number `shard` on
};

inline Examples make_shard(Prompt const& prompt, RunSettings const& settings) {
  Examples const all = make_examples(prompt);
  Examples shard;
  for (std::size_t i = settings.shard; i < all.size(); i += settings.shards) {
    shard.push_back(all[i]);
  }
  return shard;
}

/// Heavy-ball momentum over the last steps, rebuilt from their (seed, slope) pairs: what a user may write.
struct Momentum {
  static constexpr std::string_view name = "toy-momentum";
  float learning_rate = 0.0F;
  float beta = 0.75F;
  std::size_t history = 5;
  std::deque<optimize::Gradient> past = {};

  template <class Self, class F>
  static void parameters(Self& self, F&& f) {
    f("beta", self.beta);
    f("history", self.history);
  }
  [[nodiscard]] optimize::Move move(optimize::Gradient const& gradient) {
    past.push_front(gradient);
    past.resize(std::min(past.size(), history));
    optimize::Move move;
    float weight = 1.0F;
    for (optimize::Gradient const& each : past) {
      for (optimize::Slope const& slope : each) {
        move.terms.push_back({slope.seed, -learning_rate * weight * slope.slope});
      }
      weight *= beta;
    }
    return move;
  }
  template <tensor::HasTensors M, random::Perturbation P>
  void operator()(M& model, P const& perturbation, optimize::Gradient const& gradient, Runtime& runtime) {
    optimize::Move const next = move(gradient);
    optimize::make_moves(model, perturbation, {&next, 1}, runtime, [](std::size_t) {});
  }
};
static_assert(optimize::MovingRule<Momentum> && train::Part<Momentum>);

inline train::BatchOrder order_of(Examples const& examples, RunSettings const& settings) {
  std::vector<std::size_t> lengths;
  for (auto const& example : examples) {
    lengths.push_back(example.ids.size());
  }
  return {std::move(lengths), {.batch_size = settings.batch, .seed = settings.seed}};
}

template <class T = float, class P = random::Gaussian, class U = optimize::Sgd, class E = optimize::TwoPoint>
struct JournaledRun {
  using RunModel = models::Roberta<T>;

  RunSettings settings;
  Runtime runtime{settings.threads};
  RunModel model = io::load<RunModel>(golden::path_of("models/data/tied"));
  Prompt prompt = make_prompt();
  Examples examples = make_shard(prompt, settings);
  train::Trainer<RunModel, Prompt, P, E, U> trainer;

  explicit JournaledRun(RunSettings const& wanted, U rule = default_rule())
      : settings(wanted),
        trainer(model, prompt, std::span<Prompt::Example const>(examples), P{},
                default_estimator(settings.seed), std::move(rule),
                optimize::Schedule{optimize::Schedule::Shape::linear, 3e-3F, settings.steps},
                order_of(examples, settings), runtime, settings.micro_batches) {}

  static U default_rule() {
    if constexpr (std::same_as<U, optimize::AnyRule>) {
      return optimize::Sign{.weight_decay = 0.01F};
    } else {
      return own_rule();
    }
  }
  static auto own_rule() {
    U rule;
    if constexpr (requires { rule.weight_decay; }) {
      rule.weight_decay = 0.01F;
    }
    return rule;
  }

  static E default_estimator(std::uint64_t seed) {
    if constexpr (std::same_as<E, optimize::AnyEstimator>) {
      return optimize::OneSided{.epsilon = 1e-3F, .seed = seed, .directions = 2};
    } else {
      return own_estimator(seed);
    }
  }
  static auto own_estimator(std::uint64_t seed) {
    E estimator;
    estimator.epsilon = 1e-3F, estimator.seed = seed;
    if constexpr (std::same_as<P, random::LowRank>) {
      estimator.shared = 4;
    }
    if constexpr (requires { estimator.growth; }) { // steps of fewer slopes than the journal has room for
      estimator.at_start = 1, estimator.growth = 9;
    }
    return estimator;
  }

  [[nodiscard]] io::JournalHeader header() const {
    return trainer.header({{{"type", "roberta"}, {"storage", tensor::name_of(tensor::dtype_of<T>)}},
                           {{"name", "toy"}},
                           {{"digest", "toy"}}});
  }

  [[nodiscard]] std::string digest() { return io::digest_text(io::digest(model, runtime)); }

  /// Begins the journal `path`, or goes on with it, up to step `end` at most. Returns the digest of the
  /// weights, which closes the journal when the run is at its end.
  std::string go(std::filesystem::path const& path, std::uint64_t end = UINT64_MAX) {
    io::JournalHeader const expected = header();
    train::Snapshots snapshots(path, {.every = settings.snapshot_every});
    std::optional<io::JournalWriter> writer;
    std::uint64_t first = 0;
    if (std::filesystem::exists(path)) {
      auto [resumed, journal] = io::JournalWriter::resume(
          path, expected, {.policy = settings.policy, .accept_damage = settings.accept_damage});
      writer.emplace(std::move(resumed));
      first = trainer.resume(journal, snapshots.restore(model, journal, runtime).next_step);
    } else {
      writer.emplace(io::JournalWriter::create(path, expected, settings.policy));
    }
    trainer.record(&*writer, &snapshots);
    auto const outcome =
        trainer.run(first, {}, [&](train::StepReport const& report) { return report.step + 1 < end; });
    std::string weights = digest();
    if (outcome.reason == train::Outcome::Reason::finished) {
      writer->finish({outcome.next_step, "finished", weights});
    }
    return weights;
  }
};

} // namespace toy
