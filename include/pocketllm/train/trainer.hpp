// SPDX-License-Identifier: Apache-2.0
// The training loop with what belongs around it: batches, schedule, journal, reports, stopping, and losses
// that are not numbers.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/core/runtime.hpp>
#include <pocketllm/io/journal.hpp>
#include <pocketllm/optimize/estimator.hpp>
#include <pocketllm/optimize/schedule.hpp>
#include <pocketllm/optimize/update_rule.hpp>
#include <pocketllm/random/perturbed.hpp>
#include <pocketllm/train/batches.hpp>
#include <pocketllm/train/objective.hpp>
#include <pocketllm/train/replay.hpp>
#include <pocketllm/train/run_header.hpp>
#include <pocketllm/train/snapshots.hpp>
#include <pocketllm/train/stop.hpp>
#include <pocketllm/train/team.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <functional>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace pocketllm::train {

/// What happened in one step.
struct StepReport {
  std::uint64_t step = 0;             ///< from 0
  float loss = 0.0F;                  ///< mean over the points of the step
  float learning_rate = 0.0F;         ///< as used
  double seconds = 0.0;               ///< evaluation of the points and update
  optimize::Gradient const& gradient; ///< seed and slope of each direction; lives as long as the callback
};

/// How a run ended.
struct Outcome {
  /// Why it ended.
  enum class Reason : std::uint8_t {
    finished, ///< all steps done
    stopped,  ///< asked to stop, between two steps
    diverged, ///< a loss or a slope was not a finite number; the weights are those before that step
  };
  Reason reason = Reason::finished; ///< if not finished, next_step is the one that was not made
  std::uint64_t next_step = 0;      ///< the step that a continued run would begin with
};

/// Called after every step; false asks to stop. May be empty.
using StepCallback = std::function<bool(StepReport const&)>;

/// Zeroth-order training of `model` on `examples`. Every part is a type of the caller's choice. What a step
/// leaves behind is in the weights, and, of rules with a memory, in the (seed, slope) pairs of its journal,
/// so a run can be continued at any step. Model, examples and runtime must outlive the trainer.
///
/// With micro-batches, the losses of each point of a step are the means over that many batches, all of them
/// at the same points. A team shares them out: member r of n takes the r-th n-th of the step's batches, and
/// all make the same update, so that n members with m micro-batches each have the bits of one with n m.
template <class Model, class Objective, random::Perturbation P, optimize::Estimator E, class U,
          Team T = Alone>
requires train::Objective<Objective, Model, P> && optimize::UpdateRule<U, Model, P>
class Trainer {
public:
  /// The objective's.
  using Example = typename Objective::Example;

  /// `order` makes `micro_batches` batches a step and member of the team. Throws Error when these are 0.
  Trainer(Model& model, Objective objective, std::span<Example const> examples, P perturbation, E estimator,
          U rule, optimize::Schedule schedule, BatchOrder order, Runtime& runtime,
          std::size_t micro_batches = 1, T team = {})
      : model_(model), objective_(std::move(objective)), examples_(examples),
        perturbation_(std::move(perturbation)), estimator_(std::move(estimator)), rule_(std::move(rule)),
        schedule_(schedule), order_(std::move(order)), runtime_(runtime), micro_batches_(micro_batches),
        team_(std::move(team)) {
    require(micro_batches_ > 0, "0 micro-batches; ask for at least 1");
  }

  /// The header of this run's journal. The model must have the weights that the run begins with.
  [[nodiscard]] io::JournalHeader header(RunDescription description) const {
    description.data["batches"] = describe_parameters(order_.options());
    description.data["batches"]["micro_batches"] = micro_batches_ * team_.size();
    return run_header(model_, perturbation_, estimator_, rule_, schedule_, description, runtime_);
  }

  /// Writes every step to a journal from now on, and takes the snapshots that are due. Both must outlive the
  /// trainer. A null pointer ends it.
  void record(io::JournalWriter* journal, Snapshots* snapshots = nullptr) noexcept {
    journal_ = journal;
    snapshots_ = snapshots;
  }

  /// Evaluates at most so many points of a step in one visit to the weights; 0 for all of them. Each of them
  /// needs its own activations. What the losses are does not depend on it.
  void set_max_lanes(std::size_t lanes) noexcept { max_lanes_ = lanes; }

  /// Brings the model from the weights that the run began with, or those before step `first` (of a snapshot),
  /// to those behind the last step of the journal. Returns the step to go on with.
  std::uint64_t resume(io::Journal const& journal, std::uint64_t first = 0,
                       ReplayProgress const& progress = {}) {
    replay(model_, perturbation_, rule_, journal, {first, StepRange{}.end}, runtime_, progress);
    return journal.next_step();
  }

  /// Steps `first` to schedule.steps - 1, or until `stop` or the callback (of any member of the team) asks to
  /// end; the step under way is finished. The points of a step leave no trace in the weights: when a loss is
  /// not finite, or something is thrown while they are evaluated, the weights are those of the step before.
  /// When the journal cannot be written, they are those behind the step that is thrown out of.
  Outcome run(std::uint64_t first, StopCondition const& stop, StepCallback const& after_step) {
    bool asked = false;
    for (std::uint64_t step = first; step < schedule_.steps; ++step) {
      if (team_.any(asked || stop.requested())) {
        return {Outcome::Reason::stopped, step};
      }
      auto const began = std::chrono::steady_clock::now();
      auto const points = estimator_.points(step);
      std::vector<float> const losses = evaluate_points(step, points);
      if (!std::all_of(losses.begin(), losses.end(), [](float loss) { return std::isfinite(loss); })) {
        return {Outcome::Reason::diverged, step};
      }
      optimize::Gradient const gradient = estimator_.gradient(points, losses);
      rule_.learning_rate = schedule_.at(step);
      if (!is_finite(gradient, rule_.learning_rate)) { // which the update would carry into every weight
        return {Outcome::Reason::diverged, step};
      }
      rule_(model_, perturbation_, gradient, runtime_);
      float const loss =
          std::accumulate(losses.begin(), losses.end(), 0.0F) / static_cast<float>(losses.size());
      write_down(step, loss, gradient);
      std::chrono::duration<double> const took = std::chrono::steady_clock::now() - began;
      asked = after_step && !after_step({step, loss, rule_.learning_rate, took.count(), gradient});
    }
    return {Outcome::Reason::finished, schedule_.steps};
  }

private:
  /// The mean loss over the step's batches at each point, summed up in the order of the batches whoever has
  /// evaluated them.
  [[nodiscard]] std::vector<float> evaluate_points(std::uint64_t step,
                                                   std::span<random::Point const> points) {
    std::uint64_t const begin = (step * team_.size() + team_.rank()) * micro_batches_;
    std::vector<float> mine; // [micro-batches, points]
    for (std::uint64_t i = begin; i < begin + micro_batches_; ++i) {
      auto const batch = objective_.batch(examples_, order_.batch(i));
      for (std::size_t first = 0, count = 0; first < points.size(); first += count) {
        count = together(points.subspan(first));
        std::vector<float> const losses =
            objective_(model_, batch, random::perturb(perturbation_, points.subspan(first, count)), runtime_);
        mine.insert(mine.end(), losses.begin(), losses.end());
      }
    }
    std::vector<float> const all = team_.gather(mine);
    std::size_t const batches = micro_batches_ * team_.size(), lanes = all.size() / batches;
    std::vector<float> means;
    for (std::size_t l = 0; l < lanes; ++l) {
      double sum = 0.0;
      for (std::size_t b = 0; b < batches; ++b) {
        sum += static_cast<double>(all[b * lanes + l]);
      }
      means.push_back(static_cast<float>(sum / static_cast<double>(batches)));
    }
    return means;
  }

  /// How many of the points are evaluated in the next visit; two that share z stay together.
  [[nodiscard]] std::size_t together(std::span<random::Point const> points) const {
    if (max_lanes_ == 0 || points.size() <= max_lanes_) {
      return points.size();
    }
    bool const torn = max_lanes_ > 1 && points[max_lanes_ - 1].seed == points[max_lanes_].seed;
    return max_lanes_ - (torn ? 1 : 0);
  }

  void write_down(std::uint64_t step, float loss, optimize::Gradient const& gradient) {
    if (journal_ != nullptr) {
      journal_->append(step, rule_.learning_rate, loss, gradient);
      if (snapshots_ != nullptr && snapshots_->due(step + 1)) {
        snapshots_->take(model_, *journal_, runtime_);
      }
    }
  }

  [[nodiscard]] static bool is_finite(optimize::Gradient const& gradient, float learning_rate) {
    return std::all_of(gradient.begin(), gradient.end(), [&](optimize::Slope const& slope) {
      return std::isfinite(learning_rate * slope.slope);
    });
  }

  Model& model_;
  Objective objective_;
  std::span<Example const> examples_;
  P perturbation_;
  E estimator_;
  U rule_;
  optimize::Schedule schedule_;
  BatchOrder order_;
  Runtime& runtime_;
  std::size_t micro_batches_;
  T team_;
  std::size_t max_lanes_ = 0;
  io::JournalWriter* journal_ = nullptr;
  Snapshots* snapshots_ = nullptr;
};

} // namespace pocketllm::train
