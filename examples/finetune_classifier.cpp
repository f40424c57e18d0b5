// SPDX-License-Identifier: Apache-2.0
// Fine-tunes a BERT or RoBERTa as a text classifier by forward passes alone: finetune_classifier --help
#include "classifier_options.hpp"
#include "classifier_tasks.hpp"
#include "result_files.hpp"
#include <pocketllm/pocketllm.hpp>

#include <algorithm>
#include <cmath>
#include <exception>
#include <iomanip>
#include <iostream>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace pl = pocketllm;

namespace {

using Options = examples::ClassifierOptions;
using examples::Labels;

Labels parse_labels(std::vector<std::string> const& pairs) {
  Labels labels;
  pl::require(pairs.size() != 1, "a classifier needs at least two label words, not 1");
  for (std::string const& pair : pairs) {
    std::size_t const sign = pair.find('=');
    pl::require(sign != std::string::npos && sign != 0 && sign + 1 != pair.size(), "--label-words: \"", pair,
                "\" is not label=word; write e.g. spam=commercial,ham=personal");
    labels.names.push_back(pair.substr(0, sign));
    labels.words.push_back(pair.substr(sign + 1));
  }
  return labels;
}

struct Data {
  pl::text::Dataset train, test;
};

Data read_data(Options const& o, Labels const& labels) {
  pl::text::DatasetOptions const columns{o.text_columns, o.label_column, labels.names, {}};
  pl::text::Dataset all = pl::text::without_duplicates(pl::text::read_dataset(o.data, columns));
  Data data;
  if (o.test_data.empty()) {
    std::size_t const classes = all.classes.size();
    std::size_t const per_class = static_cast<std::size_t>(o.test_size) / classes;
    pl::require(per_class != 0, "--test-size ", o.test_size, " is fewer than one example for each of ",
                classes, " classes");
    pl::text::Split split = pl::text::held_out(all, per_class, o.seed);
    data = {std::move(split.rest), std::move(split.held_out)};
  } else {
    pl::text::DatasetOptions const same{o.text_columns, o.label_column, all.classes, {}};
    pl::text::Dataset test = pl::text::read_dataset(o.test_data, same);
    data = {std::move(all), std::move(test)};
  }
  if (o.k_shot != 0) {
    data.train = pl::text::k_shot(data.train, static_cast<std::size_t>(o.k_shot), o.seed);
  }
  return data;
}

std::string percent(double share) {
  return pl::concat(std::fixed, std::setprecision(1), 100.0 * share, " %");
}

std::string millions(std::size_t count) {
  return pl::concat(std::setprecision(3), static_cast<double>(count) / 1e6, " million");
}

/// Model, data and everything that is written, for one way to classify and one kind of direction.
template <class Task, class P>
class Run {
public:
  using Objective = typename Task::Objective;
  using Examples = typename Task::Examples;

  Run(Options const& options, Labels labels, Data data)
      : o_(options), labels_(std::move(labels)), data_(std::move(data)), task_(options, labels_),
        model_(task_.model), objective_(task_.objective), train_(task_.encode(data_.train)),
        test_(task_.encode(data_.test)), runtime_(static_cast<std::size_t>(options.threads)) {}

  int operator()() {
    std::size_t const trained = pl::optimize::select_trained(model_, o_.train);
    examples::check_results(o_);
    if (!o_.metrics.empty()) {
      log_.emplace(o_.metrics);
    }
    describe(trained);
    began_ = pl::train::steady_seconds();
    task_.start(train_, o_, P{}, stop_, runtime_);
    pl::train::Evaluation result = test(0);
    report(o_.steps > 0 ? "before" : "result", result);
    pl::train::Outcome const outcome = train_and_save();
    if (o_.steps > 0) {
      result = evaluation_step_ == outcome.next_step ? last_evaluation_ : test(outcome.next_step);
      report("after", result);
    }
    print_results(result);
    write_results(result);
    return finish(outcome);
  }

private:
  void describe(std::size_t trained) const {
    std::size_t const parameters = pl::tensor::parameter_count(model_);
    std::cout << "model    " << o_.model.string() << ": " << Task::Model::names.title << ", "
              << millions(parameters) << " weights, " << (trained == parameters ? "all" : millions(trained))
              << " trained, " << pl::train::format_bytes(pl::tensor::weight_bytes(model_)) << " as "
              << o_.storage << '\n'
              << "data     " << data_.train.size() << " examples to train on, " << data_.test.size()
              << " to test on" << (o_.test_data.empty() ? ", none twice" : "") << '\n'
              << task_.description() << std::flush;
  }

  pl::train::Evaluation test(std::uint64_t step) {
    constexpr std::size_t batch = 32; // more only costs memory
    pl::train::Evaluation result = pl::train::evaluate(objective_, model_, test_, batch, runtime_, P{});
    auto const metrics = pl::train::compute_metrics(result.labels, result.predictions, objective_.classes());
    log({.step = step,
         .loss = {},
         .learning_rate = {},
         .seconds = pl::train::steady_seconds() - began_,
         .eval_loss = result.loss,
         .accuracy = metrics.accuracy,
         .macro_f1 = metrics.macro_f1});
    curve_.accuracies.push_back({static_cast<double>(step), metrics.accuracy});
    evaluation_step_ = step;
    last_evaluation_ = result;
    return result;
  }

  [[nodiscard]] std::string summary(pl::train::Evaluation const& result) const {
    auto const metrics = pl::train::compute_metrics(result.labels, result.predictions, objective_.classes());
    return pl::concat("accuracy ", percent(metrics.accuracy), "  macro-F1 ", percent(metrics.macro_f1),
                      "  loss ", std::isnan(result.loss) ? "nan" : pl::train::fixed(result.loss, 3));
  }

  void report(char const* when, pl::train::Evaluation const& result) const {
    std::cout << std::left << std::setw(9) << when << summary(result) << std::endl;
  }

  /// A disk that is full must not cost the training: the figures end, and the error is reported at the end.
  void log(pl::train::MetricsRow const& row) {
    try {
      if (log_) {
        log_->append(row);
      }
    } catch (pl::Error const& error) {
      log_.reset();
      log_error_ = error.what();
    }
  }

  /// The model is saved before anything else can go wrong. Until then the first Ctrl-C ends the training
  /// after the step that is under way.
  pl::train::Outcome train_and_save() {
    pl::train::Outcome outcome;
    std::optional<pl::train::StopSignal> signal;
    if (o_.steps > 0) {
      signal.emplace(stop_);
      outcome = train();
    }
    if (outcome.reason == pl::train::Outcome::Reason::stopped) {
      std::cout << "stopped after " << outcome.next_step << " of " << o_.steps
                << " steps; what follows and what is written is from there" << std::endl;
    }
    if (!o_.out.empty()) {
      task_.save(o_.out, o_.model);
    }
    return outcome;
  }

  pl::train::Outcome train() {
    pl::optimize::Schedule const schedule{
        pl::optimize::Schedule::parse(o_.schedule), static_cast<float>(o_.learning_rate),
        static_cast<std::uint64_t>(o_.steps), static_cast<std::uint64_t>(o_.warm_up)};
    std::vector<std::size_t> lengths;
    for (auto const& example : train_) {
      lengths.push_back(example.ids.size());
    }
    pl::train::BatchOrder order(std::move(lengths), {.batch_size = static_cast<std::size_t>(o_.batch),
                                                     .seed = o_.seed,
                                                     .group_by_length = o_.group_by_length});
    pl::train::Trainer trainer(
        model_, objective_, std::span<typename Objective::Example const>(train_), P{},
        pl::optimize::TwoPoint{static_cast<float>(o_.epsilon), o_.seed},
        pl::optimize::Sgd{static_cast<float>(o_.learning_rate), static_cast<float>(o_.weight_decay)},
        schedule, std::move(order), runtime_);
    bool const terminal = pl::train::is_terminal(1);
    pl::train::Progress progress(std::cout, schedule.steps,
                                 {.interactive = terminal, .width = pl::train::terminal_width(1)});
    return trainer.run(0, stop_, [&](pl::train::StepReport const& step) {
      after_step(step, progress);
      return true;
    });
  }

  void after_step(pl::train::StepReport const& step, pl::train::Progress& progress) {
    std::uint64_t const done = step.step + 1;
    progress.update(done, static_cast<double>(step.loss));
    curve_.losses.push_back({static_cast<double>(done), static_cast<double>(step.loss)});
    training_seconds_ += step.seconds;
    log({.step = done,
         .loss = static_cast<double>(step.loss),
         .learning_rate = static_cast<double>(step.learning_rate),
         .seconds = pl::train::steady_seconds() - began_,
         .eval_loss = {},
         .accuracy = {},
         .macro_f1 = {}});
    if (o_.eval_every != 0 && done % static_cast<std::uint64_t>(o_.eval_every) == 0) {
      progress.note(pl::concat("step ", done, "  ", summary(test(done))));
    }
  }

  void print_results(pl::train::Evaluation const& result) const {
    auto const metrics = pl::train::compute_metrics(result.labels, result.predictions, objective_.classes());
    std::cout << '\n' << pl::train::confusion_table(metrics, labels_.names) << '\n';
    if (o_.steps > 0) {
      std::cout << "training took   " << pl::train::format_duration(training_seconds_) << '\n';
    }
    std::cout << "peak memory     " << pl::train::format_bytes(pl::train::peak_resident_memory()) << '\n';
  }

  void write_results(pl::train::Evaluation const& result) const {
    if (!o_.predictions.empty()) {
      examples::write_predictions(o_.predictions, data_.test, result);
      std::cout << "predictions in  " << o_.predictions.string() << '\n';
    }
    if (log_) {
      std::cout << "figures in      " << o_.metrics.string() << '\n';
    }
    if (!o_.plot.empty()) {
      pl::train::write_svg(o_.plot, curve_);
      std::cout << "curves in       " << o_.plot.string() << '\n';
    }
    if (!o_.out.empty()) {
      std::cout << "model in        " << o_.out.string() << '\n';
    }
  }

  [[nodiscard]] int finish(pl::train::Outcome const& outcome) const {
    using Reason = pl::train::Outcome::Reason;
    if (outcome.reason == Reason::diverged) {
      std::cerr
          << "finetune_classifier: step " << outcome.next_step + 1
          << ": the loss is not a finite number; the weights are those before that step. Try a tenth of "
             "--learning-rate ("
          << o_.learning_rate << ")\n";
      return 1;
    }
    if (!log_error_.empty()) {
      std::cerr << "finetune_classifier: --metrics " << log_error_ << '\n';
      return 1;
    }
    if (outcome.reason == Reason::stopped) {
      return 128 + stop_.signal(); // as shells report a program that a signal ended
    }
    return 0;
  }

  Options const& o_;
  pl::train::StopFlag stop_;
  Labels labels_;
  Data data_;
  Task task_;
  typename Task::Model& model_;
  Objective const& objective_;
  Examples train_, test_;
  pl::Runtime runtime_;
  std::optional<pl::train::MetricsLog> log_;
  std::string log_error_;
  pl::train::TrainingPlot curve_;
  pl::train::Evaluation last_evaluation_;
  std::uint64_t evaluation_step_ = 0;
  double began_ = 0.0, training_seconds_ = 0.0;
};

template <class Task>
int run_task(Options const& options) {
  Labels labels = parse_labels(options.label_words);
  Data data = read_data(options, labels);
  labels.names = data.train.classes;
  return options.perturbation == "gaussian"
             ? Run<Task, pl::random::Gaussian>(options, std::move(labels), std::move(data))()
             : Run<Task, pl::random::Rademacher>(options, std::move(labels), std::move(data))();
}

template <class Model>
int run_model(Options const& options) {
  return options.label_words.empty() ? run_task<examples::HeadTask<Model>>(options)
                                     : run_task<examples::PromptTask<Model>>(options);
}

template <class T>
int run_with(Options const& options) {
  return examples::is_bert(options.model) ? run_model<pl::models::Bert<T>>(options)
                                          : run_model<pl::models::Roberta<T>>(options);
}

int run(Options const& options) {
  if (options.storage == "f16") {
    return run_with<pl::f16>(options);
  }
  return options.storage == "bf16" ? run_with<pl::bf16>(options) : run_with<float>(options);
}

} // namespace

int main(int argc, char** argv) {
  Options options;
  int status = 0;
  if (!examples::parse(argc, argv, options, status)) {
    return status;
  }
  try {
    return run(options);
  } catch (std::bad_alloc const&) {
    std::cerr
        << "finetune_classifier: out of memory; try a smaller --batch or --max-tokens, or --storage f16\n";
    return 1;
  } catch (std::exception const& error) {
    std::cerr << "finetune_classifier: " << error.what() << '\n';
    return 1;
  }
}
