// SPDX-License-Identifier: Apache-2.0
// From a journal back to weights: the steps of a run made again, without the losses, and taken back.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/core/runtime.hpp>
#include <pocketllm/io/journal_reader.hpp>
#include <pocketllm/io/load.hpp>
#include <pocketllm/optimize/fold.hpp>
#include <pocketllm/optimize/gradient.hpp>
#include <pocketllm/optimize/move.hpp>
#include <pocketllm/optimize/update_rule.hpp>
#include <pocketllm/train/part.hpp>
#include <pocketllm/train/run_header.hpp>
#include <pocketllm/train/shaped.hpp>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace pocketllm::train {

/// Called now and then by the calling thread with the share that is done, 0 to 1. May be empty.
using ReplayProgress = std::function<void(double)>;

/// Steps of a journal by their numbers: `first` and following, up to but without `end`.
struct StepRange {
  std::uint64_t first = 0; ///< where there is no such step, the next one
  /// As it is, it stands for all steps that there are.
  std::uint64_t end = std::numeric_limits<std::uint64_t>::max();
};

/// How a replay sums. `exact` gives the bits of the run. `folded` gives them but for rounding, and is many
/// times as fast where steps share a factor of their directions (LowRank with SeedRule::shared) and the rule
/// is linear: see optimize::fold_moves. Elsewhere it is `exact`.
enum class Summation : unsigned char { exact, folded };

/// The index of the first record of a step from `step` on; their number when there is none.
[[nodiscard]] inline std::size_t record_of(io::Journal const& journal, std::uint64_t step) {
  auto const found = std::partition_point(journal.steps().begin(), journal.steps().end(),
                                          [&](io::JournalStep const& s) { return s.step < step; });
  return static_cast<std::size_t>(found - journal.steps().begin());
}

namespace detail {

/// Counts weights times steps, for any number of threads.
class ReplayCount {
public:
  ReplayCount(double total, ReplayProgress const& progress) : total_(total), progress_(progress) {}

  void add(std::size_t weights, std::size_t steps) {
    std::uint64_t const more = static_cast<std::uint64_t>(weights) * steps;
    std::uint64_t const done = done_.fetch_add(more) + more;
    if (progress_ && std::this_thread::get_id() == caller_) {
      progress_(std::min(1.0, static_cast<double>(done) / total_));
    }
  }

private:
  std::atomic<std::uint64_t> done_{0};
  double total_;
  ReplayProgress const& progress_;
  std::thread::id caller_ = std::this_thread::get_id();
};

template <tensor::HasTensors Model>
[[nodiscard]] std::size_t trained_weights(Model const& model) {
  std::size_t count = 0;
  tensor::for_each_tensor(model, [&](auto const& tensor) { count += tensor.trained() ? tensor.size() : 0; });
  return count;
}

/// Makes the steps of records `first` to `end`, as many in one visit to the weights as have `most_terms`
/// terms.
template <tensor::HasTensors Model, random::Perturbation P, optimize::MovingRule U>
void replay_moves(Model& model, P const& perturbation, U& rule, io::Journal const& journal, std::size_t first,
                  std::size_t end, Summation summation, Runtime& runtime, ReplayCount& count) {
  constexpr std::size_t most_terms = 1U << 15; // 512 kB: each block of weights reads them, from a near cache
  std::vector<optimize::Move> moves;
  std::size_t terms = 0;
  for (std::size_t i = first; i < end; ++i) {
    rule.learning_rate = journal.steps()[i].learning_rate;
    moves.push_back(rule.move(journal.gradient<optimize::Slope>(i)));
    terms += moves.back().terms.size();
    if (terms >= most_terms || i + 1 == end) {
      auto const done = [&](std::size_t weights) { count.add(weights, moves.size()); };
      if (summation == Summation::folded) {
        optimize::fold_moves(model, perturbation, moves, runtime, done);
      } else {
        optimize::make_moves(model, perturbation, moves, runtime, done);
      }
      moves.clear();
      terms = 0;
    }
  }
}

/// Tells the rule of a step that the weights have already.
template <class U>
void remember(U& rule, io::Journal const& journal, std::size_t i) {
  if constexpr (optimize::MovingRule<U>) {
    rule.learning_rate = journal.steps()[i].learning_rate;
    static_cast<void>(rule.move(journal.gradient<optimize::Slope>(i)));
  } else if constexpr (requires { rule.remember(journal.gradient<optimize::Slope>(i)); }) {
    rule.learning_rate = journal.steps()[i].learning_rate;
    rule.remember(journal.gradient<optimize::Slope>(i));
  }
}

} // namespace detail

/// Makes the recorded steps of `range` again: the weights, which must be those before range.first, get the
/// bits that the run gave them (or nearly, see Summation). A rule whose steps are moves visits each block of
/// weights once for thousands of them; other rules are called step by step. The rule is told of the steps
/// before the range, so that what it remembers is right when the run goes on.
template <tensor::HasTensors Model, random::Perturbation P, optimize::UpdateRule<Model, P> U>
void replay(Model& model, P const& perturbation, U& rule, io::Journal const& journal, StepRange const& range,
            Runtime& runtime, ReplayProgress const& progress = {}, Summation summation = Summation::exact) {
  std::size_t const first = record_of(journal, range.first);
  std::size_t const end = std::max(first, record_of(journal, range.end));
  for (std::size_t i = 0; i < first; ++i) {
    detail::remember(rule, journal, i);
  }
  std::size_t const weights = detail::trained_weights(model);
  detail::ReplayCount count(static_cast<double>(weights) * static_cast<double>(end - first), progress);
  if constexpr (optimize::MovingRule<U>) {
    detail::replay_moves(model, perturbation, rule, journal, first, end, summation, runtime, count);
  } else {
    for (std::size_t i = first; i < end; ++i) {
      rule.learning_rate = journal.steps()[i].learning_rate;
      rule(model, perturbation, journal.gradient<optimize::Slope>(i), runtime);
      count.add(weights, 1);
    }
  }
}

/// Takes back the steps of `range`, which must be the last that the weights have got: they become those
/// before it, but for a rounding a step. Throws Error, with nothing changed, when a trained tensor has 16
/// bits.
template <tensor::HasTensors Model, random::Perturbation P, optimize::MovingRule U>
void take_back(Model& model, P const& perturbation, U rule, io::Journal const& journal,
               StepRange const& range, Runtime& runtime) {
  std::size_t const first = record_of(journal, range.first);
  std::size_t const end = std::max(first, record_of(journal, range.end));
  std::vector<optimize::Move> moves;
  for (std::size_t i = 0; i < end; ++i) {
    rule.learning_rate = journal.steps()[i].learning_rate;
    optimize::Move move = rule.move(journal.gradient<optimize::Slope>(i));
    if (i >= first) {
      moves.push_back(std::move(move));
    }
  }
  optimize::take_back_moves(model, perturbation, moves, runtime, [](std::size_t) {});
}

/// Calls f(perturbation, rule) with the parts that the journal's header describes, each one of a list; a
/// perturbation that is shaped (train/shaped.hpp) looks at the model, which must have the weights that the
/// run began with and its trained tensors. Throws Error when a part is not among them.
template <class KnownPerturbations = Perturbations, class KnownRules = UpdateRules, tensor::HasTensors Model,
          class F>
void with_parts_of(io::Journal const& journal, Model const& model, F&& f) {
  io::Json const& header = journal.header().json();
  std::string const place = journal.name() + ": perturbation";
  auto const with_rule = [&](auto const& perturbation) {
    with_part(KnownRules{}, header.at("update"), journal.name() + ": update",
              [&](auto const& rule) { f(perturbation, rule); });
  };
  if (auto const shaper = shaper_of(header.at("perturbation"), model, place)) {
    with_rule(shaped_perturbation(header.at("perturbation"), *shaper, place));
  } else {
    with_part(KnownPerturbations{}, header.at("perturbation"), place, with_rule);
  }
}

/// Makes the model that a journal's run began with the one after its steps up to but without step `end`.
/// Throws Error, with the weights as they were, when the model has other weights, or when the run had parts
/// that are not among the known ones.
template <class KnownPerturbations = Perturbations, class KnownRules = UpdateRules, tensor::HasTensors Model>
void replay(Model& model, io::Journal const& journal, Runtime& runtime, std::uint64_t end = StepRange{}.end,
            ReplayProgress const& progress = {}, Summation summation = Summation::exact) {
  require_base(model, journal, runtime);
  set_trained_tensors(model, journal.header().json().at("trained"), journal.name());
  with_parts_of<KnownPerturbations, KnownRules>(journal, model, [&](auto const& perturbation, auto rule) {
    replay(model, perturbation, rule, journal, {0, end}, runtime, progress, summation);
  });
}

/// Takes back the steps of a journal from `first` on, all of which the model has got. Throws Error, with the
/// weights as they were, when they cannot be taken back.
template <class KnownPerturbations = Perturbations, class KnownRules = UpdateRules, tensor::HasTensors Model>
void take_back(Model& model, io::Journal const& journal, std::uint64_t first, Runtime& runtime) {
  set_trained_tensors(model, journal.header().json().at("trained"), journal.name());
  require_no_small_weights(journal, "taken back");
  with_parts_of<KnownPerturbations, KnownRules>(
      journal, model, [&]<class U>(auto const& perturbation, U const& rule) {
        if constexpr (optimize::MovingRule<U>) {
          take_back(model, perturbation, rule, journal, {first, StepRange{}.end}, runtime);
        } else {
          fail(journal.name(), ": steps of ", U::name,
               " cannot be taken back; replay fewer from the base weights");
        }
      });
}

/// The model of a directory after the steps of a journal that began with it, up to but without step `end`.
/// Throws Error as io::load and replay do.
template <io::Loadable Model>
[[nodiscard]] Model load(std::filesystem::path const& base, io::Journal const& journal, Runtime& runtime,
                         std::uint64_t end = StepRange{}.end) {
  Model model = io::load<Model>(base);
  replay(model, journal, runtime, end);
  return model;
}

} // namespace pocketllm::train
