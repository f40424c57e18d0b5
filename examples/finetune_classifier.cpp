// SPDX-License-Identifier: Apache-2.0
// Fine-tunes a BERT, RoBERTa or OPT as a text classifier by forward passes alone: finetune_classifier --help
// With EXAMPLES_MPI it is finetune_classifier_mpi, for several processes that share the batches of each step.
#include "causal_run.hpp"
#include "choose_method.hpp"
#include "classifier_tasks.hpp"
#include "frozen_layers.hpp"
#include "training_run.hpp"
#include <pocketllm/pocketllm.hpp>
#if defined(EXAMPLES_MPI)
#include <pocketllm/train/mpi.hpp>
#endif

#include <iostream>
#include <span>
#include <string>

namespace pl = pocketllm;

namespace {

using Options = examples::ClassifierOptions;
#if defined(EXAMPLES_MPI)
using Team = pl::train::MpiTeam;
#else
using Team = pl::train::Alone;
#endif
constexpr char const* program = "finetune_classifier";

/// The terms that --adapter lora asks for.
pl::layers::LoraOptions lora_options(Options const& o) {
  return examples::lora_options(o.lora, o.seed, "*.query,*.value");
}

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
  pl::io::Json model{{"type", Task::Model::names.model_type}, {"storage", o.storage}};
  if (o.adapter == "lora") {
    model["lora"] = pl::train::describe_lora(lora_options(o));
  }
  return {model,
          objective,
          {{"digest", digest.text()}, {"examples", train.size()}},
          {{"program", program}, {"model", o.model.string()}, {"data", o.data.string()}}};
}

/// Puts terms beside the weights if they are asked for. Returns the number of weights that are trained.
template <class Task>
std::size_t choose_trained(Options const& o, Task& task) {
  if (o.adapter != "lora") {
    return pl::optimize::select_trained(task.model, o.train);
  }
  pl::layers::add_lora(task.model, lora_options(o));
  return pl::optimize::select_trained(task.model, examples::trained_with_terms(o.train, task.head_names()));
}

template <class Task>
int run_task(Options const& o) {
  examples::Labels labels = examples::parse_labels(o.label_words);
  pl::require(labels.names.size() != 1, "a classifier needs at least two label words, not 1");
  examples::LabelledData const data = examples::read_labelled(o, labels);
  labels.names = data.train.classes;
  Task task(o, labels);
  auto const train = task.encode(data.train), test = task.encode(data.test);
  using Example = typename Task::Objective::Example;
  pl::Runtime runtime(static_cast<std::size_t>(o.threads));
  std::size_t const trained = choose_trained(o, task);
  examples::Directions directions(o.method);
  auto const& perturbation = directions.perturbation();
  if (Team().rank() == 0) { // the others write nothing
    examples::check_results(o);
  }
  examples::check_activations(o, task.model, task.objective, perturbation, train, test, runtime);
  examples::FrozenLayers frozen(o, task.model, task.objective, train, test,
                                runtime.workspace().capacity_bytes());
  pl::train::Scored const objective(pl::train::OnFrozenBottom(task.objective, frozen.train()),
                                    pl::train::loss_function(o.loss));
  pl::train::OnFrozenBottom const on_test(task.objective, frozen.test());
  pl::train::Evaluation last;
  auto const evaluate = [&] {
    last = pl::train::evaluate(on_test, task.model, std::span<Example const>(test),
                               examples::evaluation_batch, runtime, perturbation);
    return examples::score_of(last, task.objective.classes());
  };
  examples::TrainingRun run(
      o, program, task.model, objective, perturbation, train, runtime,
      [&] { return describe_run(o, task, train); }, evaluate, Team());
  examples::print_model(o, Task::Model::names.title, task.model, trained);
  frozen.print(std::cout);
  std::cout << "data     " << train.size() << " examples to train on, " << test.size() << " to test on"
            << (o.test_data.empty() ? ", none twice" : "") << '\n'
            << task.description() << std::flush;
  run.interruptibly([&](auto const& stop) { task.start(train, o, perturbation, stop, runtime); });
  if (o.steps > 0) {
    directions.begin(task.model);
    if (!o.journal.file.empty() && Team().rank() == 0) {
      task.keep_start(o.journal.file);
    }
  }
  run.before();
  run.train([&] {
    pl::layers::merge_lora(task.model, runtime);
    frozen.forget(); // what is trained of the merged model is no matter any more
    task.save(o.out, o.model);
  });
  run.after();
  auto const metrics = pl::train::compute_metrics(last.labels, last.predictions, task.objective.classes());
  std::cout << '\n' << pl::train::confusion_table(metrics, labels.names) << '\n';
  if (!o.predictions.empty()) {
    examples::write_predictions(o.predictions, data.test, last);
  }
  run.print_results();
  return run.status();
}

template <class Model>
int run_model(Options options) {
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

template <class T>
int run_with(Options const& options) {
  using Weights = pl::layers::Lora<T>; // of which all terms are optional
  return examples::is_bert(options.model) ? run_model<pl::models::Bert<Weights>>(options)
                                          : run_model<pl::models::Roberta<Weights>>(options);
}

int run(Options const& options) {
  if (examples::is_causal(options.model)) {
    pl::require(options.loss == "cross-entropy", "--loss ", options.loss,
                ": an OPT is trained on cross-entropy alone");
    return examples::run_causal<examples::ChoiceTask, false>(examples::as_choice(options), program);
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
