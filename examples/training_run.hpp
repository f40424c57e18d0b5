// SPDX-License-Identifier: Apache-2.0
// A training with what a program shows and writes of it: progress, figures, curves, and how it ended.
#pragma once

#include "classifier_options.hpp"
#include <pocketllm/pocketllm.hpp>

#include <cmath>
#include <cstddef>
#include <functional>
#include <iomanip>
#include <iostream>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace examples {

/// What an evaluation found: for the figures, and in words.
struct Score {
  double loss = 0.0;
  std::optional<double> accuracy = {}, macro_f1 = {};
  std::string words;
};

inline std::string percent(double share) {
  return pocketllm::concat(std::fixed, std::setprecision(1), 100.0 * share, " %");
}

/// Trains `model` on `examples` as the options say. `evaluate` is asked before, after, and in between.
template <class Model, class Objective, class P>
class TrainingRun {
public:
  using Examples = std::vector<typename Objective::Example>;

  TrainingRun(ClassifierOptions const& options, std::string program, Model& model, Objective const& objective,
              P const& perturbation, Examples const& examples, pocketllm::Runtime& runtime,
              std::function<Score()> evaluate)
      : o_(options), program_(std::move(program)), model_(model), objective_(objective),
        perturbation_(perturbation), examples_(examples), runtime_(runtime), evaluate_(std::move(evaluate)) {
    if (!o_.metrics.empty()) {
      log_.emplace(o_.metrics);
    }
  }

  /// The first evaluation, which is the only one when there are no steps to do.
  void before() {
    began_ = pocketllm::train::steady_seconds();
    report(o_.steps > 0 ? "before" : "result", test(0));
  }

  /// All steps. The first Ctrl-C ends the training after the step that is under way.
  void train() {
    if (o_.steps == 0) {
      return;
    }
    pocketllm::train::StopSignal const signal(stop_);
    outcome_ = run_steps();
    if (outcome_.reason == pocketllm::train::Outcome::Reason::stopped) {
      std::cout << "stopped after " << outcome_.next_step << " of " << o_.steps
                << " steps; what follows and what is written is from there" << std::endl;
    }
  }

  void after() {
    if (o_.steps > 0) {
      report("after", evaluated_ == outcome_.next_step ? last_ : test(outcome_.next_step));
    }
  }

  /// Time and memory, and where the figures and curves are.
  void print_results() const {
    if (o_.steps > 0) {
      std::cout << "training took   " << pocketllm::train::format_duration(seconds_) << '\n';
    }
    std::cout << "peak memory     "
              << pocketllm::train::format_bytes(pocketllm::train::peak_resident_memory()) << '\n';
    if (log_) {
      std::cout << "figures in      " << o_.metrics.string() << '\n';
    }
    if (!o_.plot.empty()) {
      pocketllm::train::write_svg(o_.plot, curve_);
      std::cout << "curves in       " << o_.plot.string() << '\n';
    }
  }

  /// The program's exit status; what went wrong is said on stderr.
  [[nodiscard]] int status() const {
    using Reason = pocketllm::train::Outcome::Reason;
    if (outcome_.reason == Reason::diverged) {
      std::cerr << program_ << ": step " << outcome_.next_step + 1
                << ": the loss is not a finite number; the weights are those before that step. Try a tenth "
                   "of --learning-rate ("
                << o_.learning_rate << ")\n";
      return 1;
    }
    if (!log_error_.empty()) {
      std::cerr << program_ << ": --metrics " << log_error_ << '\n';
      return 1;
    }
    return outcome_.reason == Reason::stopped ? 128 + stop_.signal() : 0; // as shells report a signal
  }

private:
  Score test(std::uint64_t step) {
    Score score = evaluate_();
    log({.step = step,
         .loss = {},
         .learning_rate = {},
         .seconds = pocketllm::train::steady_seconds() - began_,
         .eval_loss = score.loss,
         .accuracy = score.accuracy,
         .macro_f1 = score.macro_f1});
    if (score.accuracy) {
      curve_.accuracies.push_back({static_cast<double>(step), *score.accuracy});
    }
    evaluated_ = step;
    last_ = score;
    return score;
  }

  void report(char const* when, Score const& score) const {
    std::cout << std::left << std::setw(9) << when << score.words << std::endl;
  }

  /// A disk that is full must not cost the training: the figures end, and the error is reported at the end.
  void log(pocketllm::train::MetricsRow const& row) {
    try {
      if (log_) {
        log_->append(row);
      }
    } catch (pocketllm::Error const& error) {
      log_.reset();
      log_error_ = error.what();
    }
  }

  pocketllm::train::Outcome run_steps() {
    namespace pl = pocketllm;
    pl::optimize::Schedule const schedule{
        pl::optimize::Schedule::parse(o_.schedule), static_cast<float>(o_.learning_rate),
        static_cast<std::uint64_t>(o_.steps), static_cast<std::uint64_t>(o_.warm_up)};
    std::vector<std::size_t> lengths;
    for (auto const& example : examples_) {
      lengths.push_back(example.ids.size());
    }
    pl::train::BatchOrder order(std::move(lengths), {.batch_size = static_cast<std::size_t>(o_.batch),
                                                     .seed = o_.seed,
                                                     .group_by_length = o_.group_by_length});
    pl::train::Trainer trainer(
        model_, objective_, std::span<typename Objective::Example const>(examples_), perturbation_,
        pl::optimize::TwoPoint{static_cast<float>(o_.epsilon), o_.seed},
        pl::optimize::Sgd{static_cast<float>(o_.learning_rate), static_cast<float>(o_.weight_decay)},
        schedule, std::move(order), runtime_);
    pl::train::Progress progress(
        std::cout, schedule.steps,
        {.interactive = pl::train::is_terminal(1), .width = pl::train::terminal_width(1)});
    return trainer.run(0, stop_, [&](pl::train::StepReport const& step) {
      after_step(step, progress);
      return true;
    });
  }

  void after_step(pocketllm::train::StepReport const& step, pocketllm::train::Progress& progress) {
    std::uint64_t const done = step.step + 1;
    progress.update(done, static_cast<double>(step.loss));
    curve_.losses.push_back({static_cast<double>(done), static_cast<double>(step.loss)});
    seconds_ += step.seconds;
    log({.step = done,
         .loss = static_cast<double>(step.loss),
         .learning_rate = static_cast<double>(step.learning_rate),
         .seconds = pocketllm::train::steady_seconds() - began_,
         .eval_loss = {},
         .accuracy = {},
         .macro_f1 = {}});
    if (o_.eval_every != 0 && done % static_cast<std::uint64_t>(o_.eval_every) == 0) {
      progress.note(pocketllm::concat("step ", done, "  ", test(done).words));
    }
  }

  ClassifierOptions const& o_;
  std::string program_;
  Model& model_;
  Objective const& objective_;
  P perturbation_;
  Examples const& examples_;
  pocketllm::Runtime& runtime_;
  std::function<Score()> evaluate_;
  pocketllm::train::StopFlag stop_;
  pocketllm::train::Outcome outcome_;
  std::optional<pocketllm::train::MetricsLog> log_;
  std::string log_error_;
  pocketllm::train::TrainingPlot curve_;
  Score last_;
  std::uint64_t evaluated_ = 0;
  double began_ = 0.0, seconds_ = 0.0;
};

} // namespace examples
