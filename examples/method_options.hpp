// SPDX-License-Identifier: Apache-2.0
// The method of a training: which points a step evaluates, along which directions, and what it does with the
// answers.
#pragma once

#include "command_line.hpp"
#include <pocketllm/optimize/any.hpp>
#include <pocketllm/random/low_rank.hpp>
#include <pocketllm/train/probe.hpp>

#include <CLI/CLI.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iomanip>
#include <string>

namespace examples {

struct MethodOptions {
  std::string preset = "mezo";
  std::string estimator = "two-point";
  std::int64_t directions = 0; ///< 0: the estimator's own
  double learning_rate = 0.0;  ///< 0: from a probe
  double epsilon = 1e-3;       ///< 0: from a probe
  std::string perturbation = "gaussian";
  std::int64_t rank = 2, shared_steps = 50; ///< of low-rank directions and of blockwise ones
  double smallest = 0.0;                    ///< share of the weights that are moved; 0: all
  std::int64_t layers = 0;                  ///< that are moved at a time; 0: all
  bool sphere = false;
  double clip = 0.0; ///< 0: none
  std::string update = "sgd";
  double momentum = 0.9;
  std::int64_t history = 20;
  double weight_decay = 0.0;
  std::int64_t max_lanes = 0;
};

inline void add_method(CLI::App& app, MethodOptions& o) {
  app.option_defaults()->group("Method");
  app.add_option("--method", o.preset,
                 "What the options below are where they are not given: mezo (two points), fzoo (8 directions "
                 "of signs, a falling rate), lozo (low-rank directions, a falling rate), or auto: of "
                 "a classifier a new head, if it is better than the prompt on texts held out, of a "
                 "language model the last LayerNorm alone (300 --norm-steps and 0 --steps), else fzoo")
      ->check(one_of({"mezo", "fzoo", "lozo", "auto"}))
      ->capture_default_str()
      ->type_name("NAME");
  app.add_option(
         "--estimator", o.estimator,
         "Where a step evaluates the loss: two-point (MeZO), multi-point (the mean of --directions of "
         "it), one-sided, fzoo (one-sided, with steps of a length that does not depend on the loss), curved "
         "(steps as long as the curvature along each direction allows), or line-search (the best of "
         "several lengths)")
      ->check(one_of({"two-point", "multi-point", "one-sided", "fzoo", "curved", "line-search"}))
      ->capture_default_str()
      ->type_name("KIND");
  app.add_option("--directions", o.directions,
                 "Random directions in a step (default: 1; 4 of multi-point and curved, 8 of fzoo)")
      ->check(whole_number(1, 1024))
      ->type_name("N");
  app.add_option(
         "--learning-rate", o.learning_rate,
         "auto measures how the loss curves around the weights and what a batch tells of all texts, and "
         "prints what it takes; else about 1e-6 for a large model, 1e-4 for a tiny one, 1e-3 to 1e-2 "
         "with fzoo, and with curved and line-search a share of the measured length, as 0.2 "
         "(default: auto)")
      ->transform(number_or_auto())
      ->type_name("RATE");
  app.add_option(
         "--epsilon", o.epsilon,
         "How far from the weights the loss is evaluated (of line-search, at least); auto as with the "
         "rate (default: 0.001)")
      ->transform(number_or_auto())
      ->type_name("E");
  app.add_option("--perturbation", o.perturbation,
                 "Random directions: gaussian, rademacher (signs; cheaper), or low-rank (LOZO)")
      ->check(one_of({"gaussian", "rademacher", "low-rank"}))
      ->capture_default_str()
      ->type_name("KIND");
  app.add_option("--rank", o.rank, "Of low-rank directions")
      ->check(whole_number(1, pocketllm::random::LowRank::most))
      ->capture_default_str()
      ->type_name("R");
  app.add_option("--shared-steps", o.shared_steps,
                 "Steps in which low-rank directions have one factor in common, or --layers are the same")
      ->check(whole_number(1, 1'000'000'000))
      ->capture_default_str()
      ->type_name("N");
  app.add_option("--smallest", o.smallest,
                 "Move only this share of the weights of each tensor, those of smallest magnitude "
                 "(Sparse-MeZO; default: all)")
      ->check(CLI::Range(0.001, 0.999))
      ->type_name("SHARE");
  app.add_option("--layers", o.layers,
                 "Move so many layers at a time, chosen at random; what lies below them is computed once for "
                 "all points of a step (default: all)")
      ->check(whole_number(1, 10000))
      ->type_name("N");
  app.add_flag("--sphere", o.sphere,
               "Directions of one length, uniform on a sphere if they are gaussian; costs their noise again");
  app.add_option("--clip", o.clip, "Cut slopes to this size at most (default: as they are)")
      ->check(number(false))
      ->type_name("S");
  app.add_option("--update", o.update,
                 "What a step does to the weights: sgd, momentum, adam (both made again from the last "
                 "--history steps, with no buffer), or sign")
      ->check(one_of({"sgd", "momentum", "adam", "sign"}))
      ->capture_default_str()
      ->type_name("KIND");
  app.add_option("--momentum", o.momentum, "Of momentum, and Adam's beta1")
      ->check(CLI::Range(0.0, 0.9999))
      ->capture_default_str()
      ->type_name("B");
  app.add_option("--history", o.history, "Steps that momentum and adam remember; each costs its noise again")
      ->check(whole_number(1, 1000))
      ->capture_default_str()
      ->type_name("N");
  app.add_option("--weight-decay", o.weight_decay, "On matrices; none on biases and LayerNorm")
      ->check(number(true))
      ->capture_default_str()
      ->type_name("D");
  app.add_option(
         "--max-lanes", o.max_lanes,
         "Points evaluated at once at most, each with activations of its own (default: all of a step)")
      ->check(whole_number(1, 4096))
      ->type_name("N");
}

/// Sets what --method says of options that are not on the command line.
inline void use_preset(CLI::App const& app, MethodOptions& o, std::string& schedule) {
  auto const set = [&](char const* option, std::string& value, char const* wanted) {
    value = app.count(option) == 0 ? wanted : value;
  };
  if (o.preset == "fzoo" || o.preset == "auto") {
    set("--estimator", o.estimator, "fzoo");
    set("--perturbation", o.perturbation, "rademacher");
  } else if (o.preset == "lozo") {
    set("--perturbation", o.perturbation, "low-rank");
  }
  if (o.preset != "mezo" || o.learning_rate == 0.0) { // a measured rate is one to begin with
    set("--schedule", schedule, "linear");
  }
}

namespace detail {

[[nodiscard]] inline pocketllm::optimize::AnyEstimator unclipped_estimator(MethodOptions const& o,
                                                                           std::uint64_t seed) {
  namespace opt = pocketllm::optimize;
  auto const epsilon = static_cast<float>(o.epsilon);
  bool const shares = o.perturbation == "low-rank" || o.layers != 0;
  auto const shared = shares ? static_cast<std::uint64_t>(o.shared_steps) : 1;
  auto const several = [&]<class E>(E estimator) -> opt::AnyEstimator {
    estimator.epsilon = epsilon, estimator.seed = seed, estimator.shared = shared;
    if (o.directions != 0) {
      estimator.directions = static_cast<std::uint32_t>(o.directions);
    }
    return estimator;
  };
  if (o.estimator == "multi-point") {
    return several(opt::MultiPoint{});
  }
  if (o.estimator == "one-sided") {
    return several(opt::OneSided{});
  }
  if (o.estimator == "fzoo") {
    pocketllm::require(o.directions != 1,
                       "--estimator fzoo needs at least 2 --directions, to compare their losses");
    return several(opt::Fzoo{});
  }
  if (o.estimator == "curved") {
    return several(opt::Curved{});
  }
  pocketllm::require(o.directions <= 1, "--directions ", o.directions, ": --estimator ", o.estimator,
                     " has one; use multi-point for several");
  if (o.estimator == "line-search") {
    return opt::LineSearch{epsilon, seed, shared};
  }
  return opt::TwoPoint{epsilon, seed, shared};
}

} // namespace detail

[[nodiscard]] inline pocketllm::optimize::AnyEstimator estimator_of(MethodOptions const& o,
                                                                    std::uint64_t seed) {
  auto estimator = detail::unclipped_estimator(o, seed);
  estimator.clip = static_cast<float>(o.clip);
  return estimator;
}

/// Whether slopes are lengths of steps already, of which a rate is a share, and the update makes steps of it.
[[nodiscard]] inline bool measures_lengths(MethodOptions const& o) {
  return (o.estimator == "curved" || o.estimator == "line-search") &&
         (o.update == "sgd" || o.update == "momentum");
}

[[nodiscard]] inline pocketllm::optimize::AnyRule rule_of(MethodOptions const& o) {
  namespace opt = pocketllm::optimize;
  auto const decay = static_cast<float>(o.weight_decay), beta = static_cast<float>(o.momentum);
  auto const history = static_cast<std::uint32_t>(o.history);
  if (o.update == "momentum") {
    return opt::Momentum{.weight_decay = decay, .beta = beta, .history = history};
  }
  if (o.update == "adam") {
    return opt::Adam{.weight_decay = decay, .beta1 = beta, .history = history};
  }
  if (o.update == "sign") {
    return opt::Sign{.weight_decay = decay};
  }
  return opt::Sgd{.weight_decay = decay};
}

/// Two digits: what a probe finds is not known better, and does not depend on the machine then.
[[nodiscard]] inline double rounded(double value) {
  return std::stod(pocketllm::concat(std::setprecision(2), value));
}

/// The rate for a method after a probe: steps as long as SGD's, or that share of the measured lengths.
[[nodiscard]] inline double rate_after(pocketllm::train::Probe const& probe, MethodOptions const& o) {
  auto const directions = static_cast<double>(estimator_of(o, 0).slopes());
  double const sgd = measures_lengths(o) ? probe.length_share() : probe.learning_rate(directions);
  double const length = sgd * probe.slope; // of a step in each weight, times the root of `directions`
  if (o.update == "adam") {                // which moves each weight by its rate
    return rounded(length / std::sqrt(directions));
  }
  double const rate = o.update == "sign" ? length / directions : o.estimator == "fzoo" ? length : sgd;
  return rounded(o.update == "momentum" ? rate * (1.0 - o.momentum) : rate);
}

} // namespace examples
