// SPDX-License-Identifier: Apache-2.0
// A training with what a program shows and writes of it: progress, figures, curves, a journal, and how it
// ended.
#pragma once

#include "classifier_options.hpp"
#include "directions.hpp"
#include "measured_method.hpp"
#include "result_files.hpp"
#include "run_journal.hpp"
#include "score.hpp"
#include <pocketllm/pocketllm.hpp>

#include <cstddef>
#include <functional>
#include <iomanip>
#include <iostream>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace examples {

/// "model    DIR: RoBERTa, 5.4 million weights, all trained, 22 MB as f32", after what a --memory-budget
/// chose
template <class Model>
void print_model(ClassifierOptions const& o, std::string_view title, Model const& model,
                 std::size_t trained) {
  std::size_t const parameters = pocketllm::tensor::parameter_count(model);
  auto const millions = [](std::size_t count) {
    return pocketllm::concat(std::setprecision(3), static_cast<double>(count) / 1e6, " million");
  };
  std::cout << o.memory_note << "model    " << o.model.string() << ": " << title << ", "
            << millions(parameters) << " weights, " << (trained == parameters ? "all" : millions(trained))
            << " trained, " << pocketllm::train::format_bytes(pocketllm::tensor::weight_bytes(model))
            << " as " << o.storage << '\n';
}

/// Trains `model` on `examples` as the options say. `evaluate` is asked before, after, and in between.
template <class Model, class Objective, class P, class Team = pocketllm::train::Alone>
class TrainingRun {
public:
  using Examples = std::vector<typename Objective::Example>;
  using Trainer = pocketllm::train::Trainer<Model, Objective, P, pocketllm::optimize::AnyEstimator,
                                            pocketllm::optimize::AnyRule, Team>;

  /// All that is given as a reference must outlive it. `description` is what a journal's header says; called
  /// only when there is one.
  TrainingRun(ClassifierOptions const& options, std::string program, Model& model, Objective const& objective,
              P const& perturbation, Examples const& examples, pocketllm::Runtime& runtime,
              std::function<pocketllm::train::RunDescription()> description, std::function<Score()> evaluate,
              Team team = {}, pocketllm::train::MetricsLog::Of figures = {})
      : o_(options), program_(std::move(program)), model_(model), objective_(objective),
        perturbation_(perturbation), examples_(examples), runtime_(runtime),
        description_(std::move(description)), evaluate_(std::move(evaluate)), team_(team) {
    if (!o_.metrics.empty()) {
      using Open = pocketllm::train::MetricsLog::Open;
      log_.emplace(o_.metrics, o_.journal.resume ? Open::append : Open::replace, figures);
    }
  }

  /// The first evaluation, which is the only one when there are no steps to do.
  void before() {
    began_ = pocketllm::train::steady_seconds();
    if (o_.steps > 0) {
      prepare();
    }
    report(o_.steps == 0 ? "result" : first_ > 0 ? "there" : "before", test(first_));
  }

  /// Calls f(stop) with a condition that the first Ctrl-C fulfils: a training that follows does not begin.
  template <class F>
  void interruptibly(F&& f) {
    pocketllm::train::StopSignal const signal(stop_);
    f(pocketllm::train::StopCondition(stop_));
  }

  /// All steps, then save() before anything else can go wrong. The first Ctrl-C ends the training after the
  /// step that is under way, and never the saving.
  template <class Save>
  void train(Save&& save) {
    interruptibly([&](pocketllm::train::StopCondition const& stop) {
      using Reason = pocketllm::train::Outcome::Reason;
      if (o_.steps > 0) {
        outcome_ = run_steps(stop);
      } else if (stop.requested()) { // before the first step there was to do
        outcome_.reason = Reason::stopped;
      }
      if (outcome_.reason == Reason::stopped) {
        std::cout << "stopped after " << outcome_.next_step << " of " << o_.steps
                  << " steps; what follows and what is written is from there" << std::endl;
      }
      if (!o_.out.empty()) {
        save();
      }
    });
  }

  void after() {
    if (o_.steps > 0) {
      report("after", evaluated_ == outcome_.next_step ? last_ : test(outcome_.next_step));
    }
  }

  /// Time and memory, and where everything is that was written.
  void print_results() const {
    if (o_.steps > 0) {
      std::cout << "training took   " << pocketllm::train::format_duration(seconds_) << '\n';
    }
    std::cout << "peak memory     "
              << pocketllm::train::format_bytes(pocketllm::train::peak_resident_memory()) << '\n';
    if (!o_.predictions.empty()) {
      std::cout << "predictions in  " << o_.predictions.string() << '\n';
    }
    if (log_) {
      std::cout << "figures in      " << o_.metrics.string() << '\n';
    }
    if (!o_.plot.empty()) {
      pocketllm::train::write_svg(o_.plot, curve_);
      std::cout << "curves in       " << o_.plot.string() << '\n';
    }
    if (!o_.out.empty()) {
      std::cout << "model in        " << o_.out.string() << '\n';
    }
    if (journal_) {
      std::cout << "journal in      " << o_.journal.file.string() << '\n'
                << "weights         " << weights_digest_ << '\n';
    }
  }

  /// The program's exit status; what went wrong is said on stderr.
  [[nodiscard]] int status() const {
    using Reason = pocketllm::train::Outcome::Reason;
    if (outcome_.reason == Reason::diverged) {
      std::cerr << program_ << ": step " << outcome_.next_step + 1
                << ": the loss is not a finite number; the weights are those before that step. Try a tenth "
                   "of --learning-rate ("
                << method_.learning_rate << ")\n";
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
         .macro_f1 = score.macro_f1,
         .exact_match = score.exact_match,
         .answer_f1 = score.answer_f1});
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

  /// The method with a rate and an epsilon, of the journal where there is one to go on with.
  MethodOptions settled_method(pocketllm::train::BatchOrder const& order) {
    MethodOptions const& given = o_.method;
    bool const measured = given.learning_rate == 0.0 || given.epsilon == 0.0;
    if (measured && o_.journal.resume && team_.any(pocketllm::io::path_exists(o_.journal.file))) {
      MethodOptions method = as_in_journal(given, o_.journal.file);
      if (method.learning_rate != 0.0 && method.epsilon != 0.0) {
        std::cout << "probe    as the journal says: --learning-rate " << method.learning_rate
                  << " --schedule " << o_.schedule << " --epsilon " << method.epsilon << std::endl;
        return method;
      }
    }
    return measured_method(o_, model_, objective_, perturbation_, examples_, order, runtime_);
  }

  /// Makes the trainer; begins the journal, or goes on with it.
  void prepare() {
    namespace pl = pocketllm;
    std::vector<std::size_t> lengths;
    for (auto const& example : examples_) {
      lengths.push_back(tokens_of(example));
    }
    pl::train::BatchOrder order(std::move(lengths), {.batch_size = static_cast<std::size_t>(o_.batch),
                                                     .seed = o_.seed,
                                                     .group_by_length = o_.group_by_length});
    method_ = settled_method(order);
    pl::optimize::Schedule const schedule{
        pl::optimize::Schedule::parse(o_.schedule), static_cast<float>(method_.learning_rate),
        static_cast<std::uint64_t>(o_.steps), static_cast<std::uint64_t>(o_.warm_up)};
    trainer_.emplace(model_, objective_, std::span<typename Objective::Example const>(examples_),
                     perturbation_, estimator_for(method_, o_.seed, model_, perturbation_, runtime_),
                     rule_of(method_), schedule, std::move(order), runtime_,
                     static_cast<std::size_t>(o_.micro_batches), team_);
    trainer_->set_max_lanes(static_cast<std::size_t>(method_.max_lanes));
    if constexpr (requires { team_.same(std::string()); }) {
      pl::require(team_.same(pl::io::digest_text(pl::io::digest(model_, runtime_))),
                  "the processes have read different weights from ", o_.model.string());
    }
    if (!o_.journal.file.empty()) {
      journal_.emplace(o_.journal, model_, *trainer_, description_(), runtime_, team_, std::cout);
      first_ = journal_->first();
      if (journal_->past() != nullptr) {
        for (auto const& step : journal_->past()->steps()) {
          curve_.losses.push_back({static_cast<double>(step.step + 1), static_cast<double>(step.loss)});
        }
      }
    }
  }

  pocketllm::train::Outcome run_steps(pocketllm::train::StopCondition const& stop) {
    namespace train = pocketllm::train;
    train::Progress progress(
        std::cout, static_cast<std::uint64_t>(o_.steps),
        {.interactive = train::is_terminal(1), .width = train::terminal_width(1), .first = first_});
    train::Outcome const outcome = trainer_->run(first_, stop, [&](train::StepReport const& step) {
      after_step(step, progress);
      return true;
    });
    if (journal_) {
      weights_digest_ = journal_->finish(outcome);
    }
    return outcome;
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
         .macro_f1 = {},
         .exact_match = {},
         .answer_f1 = {}});
    if (o_.eval_every != 0 && done % static_cast<std::uint64_t>(o_.eval_every) == 0) {
      progress.note(pocketllm::concat("step ", done, "  ", test(done).words));
    }
    pocketllm::train::rest(pacing_, step.seconds, stop_);
  }

  ClassifierOptions const& o_;
  MethodOptions method_; ///< with a rate
  std::string program_;
  Model& model_;
  Objective const& objective_;
  P const& perturbation_;
  Examples const& examples_;
  pocketllm::Runtime& runtime_;
  std::function<pocketllm::train::RunDescription()> description_;
  std::function<Score()> evaluate_;
  Team team_;
  pocketllm::train::StopFlag stop_;
  pocketllm::train::Pacing pacing_ = pacing(o_.phone, std::cout);
  std::optional<Trainer> trainer_;
  std::optional<RunJournal<Model, Trainer, Team>> journal_;
  std::uint64_t first_ = 0; ///< step
  std::string weights_digest_;
  pocketllm::train::Outcome outcome_;
  std::optional<pocketllm::train::MetricsLog> log_;
  std::string log_error_;
  pocketllm::train::TrainingPlot curve_;
  Score last_;
  std::uint64_t evaluated_ = 0;
  double began_ = 0.0, seconds_ = 0.0;
};

} // namespace examples
