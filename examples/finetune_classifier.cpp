// SPDX-License-Identifier: Apache-2.0
// Fine-tunes a RoBERTa, or an OPT, as a text classifier by forward passes alone: finetune_classifier --help
// With EXAMPLES_MPI it is finetune_classifier_mpi, for several processes that share the batches of each step.
#include "causal_run.hpp"
#include "classifier_options.hpp"
#include "result_files.hpp"
#include <pocketllm/pocketllm.hpp>
#if defined(EXAMPLES_MPI)
#include <pocketllm/train/mpi.hpp>
#endif

#include <algorithm>
#include <cmath>
#include <exception>
#include <iomanip>
#include <iostream>
#include <new>
#include <numeric>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace pl = pocketllm;

namespace {

using Options = examples::ClassifierOptions;
using examples::Labels;
using examples::parse_labels;
using examples::percent;
using Objective = pl::train::MaskedPrompt<pl::text::AnyTokenizer>;
using Examples = std::vector<Objective::Example>;
#if defined(EXAMPLES_MPI)
using Team = pl::train::MpiTeam;
#else
using Team = pl::train::Alone;
#endif

struct Data {
  pl::text::Dataset train, test;
};

Data read_data(Options const& o, Labels const& labels) {
  pl::text::DatasetOptions const columns{o.text_columns, o.label_column, labels.names, {}};
  pl::text::Dataset all = pl::text::without_duplicates(pl::text::read_dataset(o.data, columns));
  Data data;
  if (o.test_data.empty()) {
    std::size_t const classes = labels.names.size();
    std::size_t const per_class = static_cast<std::size_t>(o.test_size) / classes;
    pl::require(per_class != 0, "--test-size ", o.test_size, " is fewer than one example for each of ",
                classes, " classes");
    pl::text::Split split = pl::text::held_out(all, per_class, o.seed);
    data = {std::move(split.rest), std::move(split.held_out)};
  } else {
    data = {std::move(all), pl::text::read_dataset(o.test_data, columns)};
  }
  if (o.k_shot != 0) {
    data.train = pl::text::k_shot(data.train, static_cast<std::size_t>(o.k_shot), o.seed);
  }
  return data;
}

/// Throws Error unless the template has text of the data in it, and nothing else.
void check_template(pl::text::PromptTemplate const& prompt, std::vector<std::string> const& columns) {
  std::vector<std::string> known = columns;
  if (columns.size() == 1 && columns.front() != "text") {
    known.emplace_back("text");
  }
  for (std::string const& name : prompt.field_names()) {
    pl::require(std::find(known.begin(), known.end(), name) != known.end(), "--template: {", name,
                "} is no text column; the columns are: ", pl::text::name_list(known));
  }
  pl::require(!prompt.field_names().empty(), "--template: no text column in it; write {", known.back(),
              "} where the text belongs");
}

/// The prompts of all examples. A single text column may be called {text} in the template.
Examples encode(Objective const& objective, pl::text::Dataset const& data) {
  check_template(objective.prompt(), data.field_names);
  Examples examples;
  for (pl::text::Example const& example : data.examples) {
    std::vector<pl::text::Field> fields;
    for (std::size_t i = 0; i < example.fields.size(); ++i) {
      fields.push_back({data.field_names[i], example.fields[i]});
    }
    if (example.fields.size() == 1) {
      fields.push_back({"text", example.fields.front()});
    }
    examples.push_back(objective.encode(fields, example.class_index));
  }
  return examples;
}

std::string millions(std::size_t count) {
  return pl::concat(std::setprecision(3), static_cast<double>(count) / 1e6, " million");
}

/// Model, data and everything that is written, for one storage type and one kind of direction.
template <class T, class P>
class Run {
public:
  using Model = pl::models::Roberta<T>;
  using Trainer = pl::train::Trainer<Model, Objective, P, pl::optimize::TwoPoint, pl::optimize::Sgd, Team>;

  explicit Run(Options const& options)
      : o_(options), labels_(parse_labels(options.label_words)), model_(pl::io::load<Model>(options.model)),
        tokenizer_(pl::text::load_tokenizer(options.model)),
        objective_(tokenizer_, options.prompt, labels_.words, max_tokens()),
        data_(read_data(options, labels_)), train_(encode(objective_, data_.train)),
        test_(encode(objective_, data_.test)), runtime_(static_cast<std::size_t>(options.threads)) {}

  int operator()() {
    std::size_t const trained = pl::optimize::select_trained(model_, o_.train);
    if (team_.rank() == 0) { // the others write nothing
      examples::check_results(o_);
    }
    if (!o_.metrics.empty()) {
      log_.emplace(o_.metrics, o_.journal.resume ? pl::train::MetricsLog::Open::append
                                                 : pl::train::MetricsLog::Open::replace);
    }
    check_memory();
    describe(trained);
    began_ = pl::train::steady_seconds();
    prepare();
    pl::train::Evaluation result = test(first_);
    report(o_.steps > 0 ? (first_ > 0 ? "there" : "before") : "result", result);
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
  static constexpr std::size_t test_batch = 32; // more only costs memory

  /// Runs the largest batches once, to see what their activations take, if there is a memory budget.
  void check_memory() {
    if (o_.phone.memory_budget == 0) {
      return;
    }
    std::size_t const weights = pl::tensor::weight_bytes(model_);
    examples::check_memory(o_.phone, weights, 0, o_.storage);
    auto const largest = [](Examples examples, std::size_t count) {
      std::sort(examples.begin(), examples.end(),
                [](auto const& a, auto const& b) { return a.ids.size() > b.ids.size(); });
      examples.resize(std::min(examples.size(), count));
      return examples;
    };
    std::ignore =
        pl::train::evaluate(objective_, model_, largest(test_, test_batch), test_batch, runtime_, P{});
    Examples const batch = largest(train_, static_cast<std::size_t>(o_.batch));
    std::vector<std::size_t> indices(batch.size());
    std::iota(indices.begin(), indices.end(), std::size_t{0});
    auto const points = pl::optimize::TwoPoint{static_cast<float>(o_.epsilon), o_.seed}.points(0);
    std::ignore =
        objective_(model_, objective_.batch(batch, indices), pl::random::perturb(P{}, points), runtime_);
    examples::check_memory(o_.phone, weights, runtime_.workspace().capacity_bytes(), o_.storage);
  }

  [[nodiscard]] std::size_t max_tokens() const {
    std::size_t const limit = model_.config().max_tokens();
    return std::min(static_cast<std::size_t>(o_.max_tokens), limit);
  }

  void describe(std::size_t trained) const {
    std::size_t const parameters = pl::tensor::parameter_count(model_);
    std::cout << "model    " << o_.model.string() << ": RoBERTa, " << millions(parameters) << " weights, "
              << (trained == parameters ? "all" : millions(trained)) << " trained, "
              << pl::train::format_bytes(pl::tensor::weight_bytes(model_)) << " as " << o_.storage << '\n'
              << "data     " << data_.train.size() << " examples to train on, " << data_.test.size()
              << " to test on" << (o_.test_data.empty() ? ", none twice" : "") << '\n'
              << "prompt   " << o_.prompt << "  (";
    for (std::size_t i = 0; i < labels_.names.size(); ++i) {
      std::cout << (i == 0 ? "" : ", ") << labels_.names[i] << " = " << labels_.words[i];
    }
    std::cout << ")\n";
  }

  pl::train::Evaluation test(std::uint64_t step) {
    pl::train::Evaluation result = pl::train::evaluate(objective_, model_, test_, test_batch, runtime_, P{});
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
      pl::io::save(model_, o_.out, {o_.model, {}});
    }
    return outcome;
  }

  /// Makes the trainer; begins the journal, or goes on with it.
  void prepare() {
    if (o_.steps == 0) {
      return;
    }
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
    trainer_.emplace(
        model_, objective_, std::span<Objective::Example const>(train_), P{},
        pl::optimize::TwoPoint{static_cast<float>(o_.epsilon), o_.seed},
        pl::optimize::Sgd{static_cast<float>(o_.learning_rate), static_cast<float>(o_.weight_decay)},
        schedule, std::move(order), runtime_, static_cast<std::size_t>(o_.micro_batches), team_);
#if defined(EXAMPLES_MPI)
    pl::require(team_.same(pl::io::digest_text(pl::io::digest(model_, runtime_))),
                "the processes have read different weights from ", o_.model.string());
#endif
    if (!o_.journal.file.empty()) {
      journal_.emplace(o_.journal, model_, *trainer_, description(), runtime_, team_, std::cout);
      first_ = journal_->first();
      add_past(journal_->past());
    }
  }

  /// What the journal's header says of model, objective and data.
  [[nodiscard]] pl::train::RunDescription description() const {
    pl::train::ExamplesDigest digest;
    for (auto const& example : train_) {
      digest.add(example.ids);
      digest.add(example.mask);
      digest.add(example.label);
    }
    pl::io::Json labels = pl::io::Json::array();
    for (std::size_t i = 0; i < labels_.names.size(); ++i) {
      labels.push_back(
          {{"label", labels_.names[i]}, {"word", labels_.words[i]}, {"id", objective_.words()[i]}});
    }
    return {{{"type", "roberta"}, {"storage", o_.storage}},
            {{"name", "masked-prompt"},
             {"template", o_.prompt},
             {"labels", labels},
             {"max_tokens", max_tokens()}},
            {{"digest", digest.text()}, {"examples", train_.size()}},
            {{"program", "finetune_classifier"}, {"model", o_.model.string()}, {"data", o_.data.string()}}};
  }

  /// The curve so far.
  void add_past(pl::io::Journal const* past) {
    for (auto const& step : past != nullptr ? past->steps() : std::span<pl::io::JournalStep const>{}) {
      curve_.losses.push_back({static_cast<double>(step.step + 1), static_cast<double>(step.loss)});
    }
  }

  pl::train::Outcome train() {
    bool const terminal = pl::train::is_terminal(1);
    pl::train::Progress progress(
        std::cout, static_cast<std::uint64_t>(o_.steps),
        {.interactive = terminal, .width = pl::train::terminal_width(1), .first = first_});
    pl::train::Outcome const outcome = trainer_->run(first_, stop_, [&](pl::train::StepReport const& step) {
      after_step(step, progress);
      return true;
    });
    if (journal_) {
      weights_digest_ = journal_->finish(outcome);
    }
    return outcome;
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
    pl::train::rest(pacing_, step.seconds, stop_);
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
    if (journal_) {
      std::cout << "journal in      " << o_.journal.file.string() << '\n'
                << "weights         " << weights_digest_ << '\n';
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
  pl::train::Pacing pacing_ = examples::pacing(o_.phone, std::cout);
  Labels labels_;
  Team team_;
  Model model_;
  pl::text::AnyTokenizer tokenizer_;
  Objective objective_;
  Data data_;
  Examples train_, test_;
  pl::Runtime runtime_;
  std::optional<Trainer> trainer_;
  std::optional<examples::RunJournal<Model, Trainer, Team>> journal_;
  std::uint64_t first_ = 0; ///< step
  std::string weights_digest_;
  std::optional<pl::train::MetricsLog> log_;
  std::string log_error_;
  pl::train::TrainingPlot curve_;
  pl::train::Evaluation last_evaluation_;
  std::uint64_t evaluation_step_ = 0;
  double began_ = 0.0, training_seconds_ = 0.0;
};

template <class T>
int run_with(Options const& options) {
  return options.perturbation == "gaussian" ? Run<T, pl::random::Gaussian>(options)()
                                            : Run<T, pl::random::Rademacher>(options)();
}

int run(Options const& options) {
  if (examples::is_causal(options.model)) {
    return examples::run_causal<examples::ChoiceTask>(examples::as_choice(options), "finetune_classifier");
  }
  if (options.storage == "f16") {
    return run_with<pl::f16>(options);
  }
  return options.storage == "bf16" ? run_with<pl::bf16>(options) : run_with<float>(options);
}

} // namespace

int main(int argc, char** argv) {
#if defined(EXAMPLES_MPI)
  pl::train::MpiSession const session(argc, argv);
  bool const first = Team().rank() == 0; // which speaks and writes for all
  auto* const errors = std::cerr.rdbuf(first ? std::cerr.rdbuf() : nullptr);
  std::cout.rdbuf(first ? std::cout.rdbuf() : nullptr);
#endif
  Options options;
  int status = 0;
  if (!examples::parse(argc, argv, options, status)) {
    return status;
  }
#if defined(EXAMPLES_MPI)
  std::cerr.rdbuf(errors); // from here on, each has errors of its own
  if (!first) {
    options.out = options.metrics = options.plot = options.predictions = "";
  }
#endif
  try {
    examples::settle(options.phone, options.threads);
    return run(options);
  } catch (std::bad_alloc const&) {
    std::cerr
        << "finetune_classifier: out of memory; try a smaller --batch or --max-tokens, or --storage f16\n";
  } catch (std::exception const& error) {
    std::cerr << "finetune_classifier: " << error.what() << '\n';
  }
#if defined(EXAMPLES_MPI)
  pl::train::MpiSession::abort(1);
#else
  return 1;
#endif
}
