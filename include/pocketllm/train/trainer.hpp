// SPDX-License-Identifier: Apache-2.0
// The training loop with what belongs around it: batches, schedule, reports, stopping, and losses that are
// not numbers.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/core/runtime.hpp>
#include <pocketllm/optimize/estimator.hpp>
#include <pocketllm/optimize/schedule.hpp>
#include <pocketllm/optimize/update_rule.hpp>
#include <pocketllm/random/perturbed.hpp>
#include <pocketllm/train/batches.hpp>
#include <pocketllm/train/objective.hpp>
#include <pocketllm/train/stop.hpp>

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
  std::uint64_t step = 0;     ///< from 0
  float loss = 0.0F;          ///< mean over the points of the step
  float learning_rate = 0.0F; ///< as used
  double seconds = 0.0;       ///< evaluation of the points and update
  optimize::Gradient const& gradient;
};

/// How a run ended.
struct Outcome {
  enum class Reason : std::uint8_t {
    finished, ///< all steps done
    stopped,  ///< asked to stop, between two steps
    diverged, ///< a loss or a slope was not a finite number; the weights are those before that step
  };
  Reason reason = Reason::finished;
  std::uint64_t next_step = 0; ///< the step that a continued run would begin with
};

/// Called after every step; false asks to stop. May be empty.
using StepCallback = std::function<bool(StepReport const&)>;

/// Zeroth-order training of `model` on `examples`. Every part is a type of the caller's choice; all state
/// that a step leaves behind is in the weights, so a run can be continued at any step. Model, examples and
/// runtime must outlive the trainer.
template <class Model, class Objective, random::Perturbation P, optimize::Estimator E, class U>
requires train::Objective<Objective, Model, P> && optimize::UpdateRule<U, Model, P>
class Trainer {
public:
  using Example = typename Objective::Example;

  Trainer(Model& model, Objective objective, std::span<Example const> examples, P perturbation, E estimator,
          U rule, optimize::Schedule schedule, BatchOrder order, Runtime& runtime)
      : model_(model), objective_(std::move(objective)), examples_(examples),
        perturbation_(std::move(perturbation)), estimator_(std::move(estimator)), rule_(std::move(rule)),
        schedule_(schedule), order_(std::move(order)), runtime_(runtime) {}

  /// Steps `first` to schedule.steps - 1, or until `stop` or the callback asks to end; the step under way is
  /// finished. The points of a step leave no trace in the weights: when a loss is not finite, or something is
  /// thrown while they are evaluated, the weights are those of the step before.
  Outcome run(std::uint64_t first, StopCondition const& stop, StepCallback const& after_step) {
    for (std::uint64_t step = first; step < schedule_.steps; ++step) {
      if (stop.requested()) {
        return {Outcome::Reason::stopped, step};
      }
      auto const began = std::chrono::steady_clock::now();
      auto const points = estimator_.points(step);
      auto const batch = objective_.batch(examples_, order_.batch(step));
      std::vector<float> const losses =
          objective_(model_, batch, random::perturb(perturbation_, points), runtime_);
      if (!std::all_of(losses.begin(), losses.end(), [](float loss) { return std::isfinite(loss); })) {
        return {Outcome::Reason::diverged, step};
      }
      optimize::Gradient const gradient = estimator_.gradient(points, losses);
      rule_.learning_rate = schedule_.at(step);
      if (!is_finite(gradient, rule_.learning_rate)) { // which the update would carry into every weight
        return {Outcome::Reason::diverged, step};
      }
      rule_(model_, perturbation_, gradient, runtime_);
      std::chrono::duration<double> const took = std::chrono::steady_clock::now() - began;
      float const loss =
          std::accumulate(losses.begin(), losses.end(), 0.0F) / static_cast<float>(losses.size());
      if (after_step && !after_step({step, loss, rule_.learning_rate, took.count(), gradient})) {
        return {Outcome::Reason::stopped, step + 1};
      }
    }
    return {Outcome::Reason::finished, schedule_.steps};
  }

private:
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
};

} // namespace pocketllm::train
