// SPDX-License-Identifier: Apache-2.0
// Fine-tunes a BERT, RoBERTa or OPT as a text classifier by forward passes alone: finetune_classifier --help
// With EXAMPLES_MPI it is finetune_classifier_mpi, for several processes that share the batches of each step.
#include "causal_run.hpp"
#include "choose_method.hpp"
#include "classifier_tasks.hpp"
#include "encoder_run.hpp"
#include "frozen_layers.hpp"
#include "memory_plan.hpp"
#include "training_run.hpp"
#include <pocketllm/pocketllm.hpp>
#if defined(EXAMPLES_MPI)
#include <pocketllm/train/mpi.hpp>
#endif

#include <iostream>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace pl = pocketllm;

namespace {

using Options = examples::ClassifierOptions;
#if defined(EXAMPLES_MPI)
using Team = pl::train::MpiTeam;
#else
using Team = pl::train::Alone;
#endif
constexpr char const* program = "finetune_classifier";

/// What a journal's header says of model, objective and data.
template <class Task>
pl::train::RunDescription describe_run(Options const& o, Task const& task,
                                       typename Task::Examples const& train) {
  pl::train::ExamplesDigest digest;
  Task::add_examples(train, digest);
  pl::io::Json objective = task.describe_objective(o);
  if (o.loss != "cross-entropy") {
    objective["loss"] = o.loss;
  }
  return {examples::describe_encoder(o, Task::names.model_type),
          objective,
          {{"digest", digest.text()}, {"examples", train.size()}},
          {{"program", program}, {"model", o.model.string()}, {"data", o.data.string()}}};
}

/// The labels of --label-words, or of the data where there are none, and the data.
struct LabelsAndData {
  examples::Labels labels;
  examples::LabelledData data;

  explicit LabelsAndData(Options const& o)
      : labels(examples::parse_labels(o.label_words)), data(read(o, labels)) {
    labels.names = data.train.classes;
  }

private:
  static examples::LabelledData read(Options const& o, examples::Labels const& labels) {
    pl::require(labels.names.size() != 1, "a classifier needs at least two label words, not 1");
    return examples::read_labelled(o, labels);
  }
};

/// What run_task takes, found out on weights that are zero.
template <class Task>
pl::train::MemoryNeeds needs_of_task(Options const& o) {
  struct Run {
    Task task;
    typename Task::Examples train, test;
    examples::Directions directions;
    Run(Options const& options, LabelsAndData const& from)
        : task(options, from.labels, examples::Weights::zero), train(task.encode(from.data.train)),
          test(task.encode(from.data.test)), directions(options.method) {}
  };
  auto const run = std::make_shared<Run>(o, LabelsAndData(o));
  examples::choose_trained(o, run->task.model, run->task.head_names());
  std::vector<typename Task::Examples const*> evaluated{&run->test};
  if (o.label_words.empty()) { // a head starts from what the model makes of these
    evaluated.push_back(&run->train);
  }
  return examples::needs_of_run(o, run, run->task.model, run->task.objective, run->directions.perturbation(),
                                run->train, std::move(evaluated));
}

/// What a run is made of.
template <class Task>
struct Parts {
  Options const& o;
  LabelsAndData given;
  Task task;
  typename Task::Examples train, test;
  pl::Runtime runtime;
  std::size_t trained; ///< weights
  examples::Directions directions;

  explicit Parts(Options const& options)
      : o(options), given(o), task(o, given.labels), train(task.encode(given.data.train)),
        test(task.encode(given.data.test)), runtime(static_cast<std::size_t>(o.threads)),
        trained(examples::choose_trained(o, task.model, task.head_names())), directions(o.method) {
    if (Team().rank() == 0) { // the others write nothing
      examples::check_results(o, Task::prefixed ? pl::train::adapter_config_file : pl::io::config_file);
    }
    examples::reserve_activations(o.activation_bytes, runtime);
  }
};

/// Trains and evaluates by the objectives of the examples to train on and of those to test on.
template <class Task, class Objective>
int run_objective(Parts<Task>& parts, Objective const& on_train, Objective const& on_test,
                  examples::FrozenLayers& frozen) {
  Options const& o = parts.o;
  Task& task = parts.task;
  pl::Runtime& runtime = parts.runtime;
  auto const& train = parts.train;
  auto const& test = parts.test;
  auto const& perturbation = parts.directions.perturbation();
  pl::train::Scored const objective(on_train, pl::train::loss_function(o.loss));
  pl::train::Evaluation last;
  auto const evaluate = [&] {
    using Example = typename Task::Objective::Example;
    last = pl::train::evaluate(on_test, task.model, std::span<Example const>(test), o.evaluation_batch,
                               runtime, perturbation);
    return examples::score_of(last, task.objective.classes());
  };
  examples::TrainingRun run(
      o, program, task.model, objective, perturbation, train, runtime,
      [&] { return describe_run(o, task, train); }, evaluate, Team());
  examples::print_model(o, Task::names.title, task.model, parts.trained);
  frozen.print(std::cout);
  std::cout << "data     " << train.size() << " examples to train on, " << test.size() << " to test on"
            << (o.test_data.empty() ? ", none twice" : "") << '\n'
            << task.description() << std::flush;
  run.interruptibly([&](auto const& stop) { task.start(train, o, perturbation, stop, runtime); });
  if (o.steps > 0) {
    parts.directions.begin(task.model);
    if (!o.journal.file.empty() && Team().rank() == 0) {
      task.keep_start(o.journal.file);
    }
  }
  run.before();
  run.train([&] {
    if constexpr (!Task::prefixed) {
      pl::layers::merge_lora(task.model, runtime);
    }
    frozen.forget(); // what is trained of the merged model is no matter any more
    task.save(o.out, o.model);
  });
  run.after();
  auto const metrics = pl::train::compute_metrics(last.labels, last.predictions, task.objective.classes());
  std::cout << '\n' << pl::train::confusion_table(metrics, parts.given.labels.names) << '\n';
  if (!o.predictions.empty()) {
    examples::write_predictions(o.predictions, parts.given.data.test, last);
  }
  run.print_results();
  return run.status();
}

template <class Task>
int run_task(Options const& o) {
  Parts<Task> parts(o);
  auto const& objective = parts.task.objective;
  if constexpr (pl::train::TakesBottom<typename Task::Objective, typename Task::Model>) {
    examples::FrozenLayers frozen(o, parts.task.model, objective, parts.train, parts.test);
    return run_objective(parts, pl::train::OnFrozenBottom(objective, frozen.train()),
                         pl::train::OnFrozenBottom(objective, frozen.test()), frozen);
  } else { // under a prefix, every layer is another one
    examples::FrozenLayers none;
    return run_objective(parts, objective, objective, none);
  }
}

/// Label words, with a prefix before the model.
template <class Model>
using PrefixTask = examples::PromptTask<Model, pl::models::Prefixed<Model>>;

template <class Model>
int run_model(Options options) {
  if (options.adapter == "prefix") {
    return run_task<PrefixTask<Model>>(options);
  }
  bool const chooses = options.method.preset == "auto";
  if (chooses && !options.label_words.empty() && examples::prefers_head<Model>(options)) {
    options.label_words.clear();
  }
  if (!options.label_words.empty()) {
    return run_task<examples::PromptTask<Model>>(options);
  }
  if (chooses) { // the head alone, whose steps cost next to nothing
    constexpr std::int64_t enough = 10000;
    options.steps = options.steps_given ? options.steps : 0;
    options.head_steps = options.head_steps_given ? options.head_steps : enough;
  }
  return run_task<examples::HeadTask<Model>>(options);
}

/// Calls f(std::type_identity<Model>()) with the model of --model in --storage.
template <class F>
auto with_model(Options const& options, std::string const& storage, F&& f) {
  bool const bert = examples::is_bert(options.model);
  return examples::with_storage(storage, [&]<class T>(std::type_identity<T>) {
    using Weights = pl::layers::Lora<T>; // of which all terms are optional
    return bert ? f(std::type_identity<pl::models::Bert<Weights>>())
                : f(std::type_identity<pl::models::Roberta<Weights>>());
  });
}

pl::train::MemoryNeeds needs_in(Options const& options, std::string const& storage) {
  return with_model(options, storage, [&]<class Model>(std::type_identity<Model>) {
    if (options.adapter == "prefix") {
      return needs_of_task<PrefixTask<Model>>(options);
    }
    return options.label_words.empty() ? needs_of_task<examples::HeadTask<Model>>(options)
                                       : needs_of_task<examples::PromptTask<Model>>(options);
  });
}

int run(Options options) {
  if (examples::is_causal(options.model)) {
    pl::require(options.loss == "cross-entropy", "--loss ", options.loss,
                ": an OPT is trained on cross-entropy alone");
    return examples::run_causal<examples::ChoiceTask, false>(examples::as_choice(options), program, Team());
  }
  examples::settle_prefix(options);
  pl::require(options.adapter != "prefix" || !options.label_words.empty(),
              "--adapter prefix: a prefix needs --label-words, as in ham=personal,spam=commercial; without "
              "them a head is trained, by --adapter none or lora");
  examples::choose_memory(options, {"f32", "f16"}, "take a model of fewer weights",
                          [&](std::string const& storage) { return needs_in(options, storage); });
  return with_model(options, options.storage,
                    [&]<class Model>(std::type_identity<Model>) { return run_model<Model>(options); });
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
  bool failed = true;
  status = examples::run_program(program, "try a smaller --batch or --max-tokens, or --storage f16", [&] {
    examples::settle(options.phone, options.threads);
    int const result = run(options);
    failed = false;
    return result;
  });
#if defined(EXAMPLES_MPI)
  if (failed) {
    pl::train::MpiSession::abort(status);
  }
#else
  static_cast<void>(failed); // ends this process alone anyway
#endif
  return status;
}
