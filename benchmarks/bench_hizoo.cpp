// SPDX-License-Identifier: Apache-2.0
// HiZOO on a choice between label words: the method whose buffer of the model's size keeps it out of
// finetune_classifier. The figures have the form of that program's --metrics: bench_hizoo --help
#include "classifier_tasks.hpp"
#include "command_line.hpp"
#include "help_text.hpp"
#include "training_run.hpp"
#include <pocketllm/pocketllm.hpp>

#include <cstddef>
#include <cstdint>
#include <iostream>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace {

namespace pl = pocketllm;

struct Options : examples::ClassifierOptions {
  double smoothing = 1e-6;
};

bool parse(int argc, char** argv, Options& o, int& status) {
  using examples::whole_number, examples::number;
  CLI::App app("Trains a RoBERTa with HiZOO (arXiv 2402.15173), whose directions are shorter\n"
               "where the loss curves more. The rate falls in a straight line.\n\n"
               "  bench_hizoo --model examples/models/tiny-roberta --data train.tsv \\\n"
               "    --test-data test.tsv --template 'This is a {mask} message: {text}' \\\n"
               "    --label-words ham=personal,spam=commercial --metrics figures.csv",
               "bench_hizoo");
  app.formatter_fn(examples::help_text);
  app.set_help_flag();
  examples::detail::add_data(app, o);
  app.get_option("--model")->description("Directory of a RoBERTa with a masked-language-model head");
  app.get_option("--label-words")
      ->description("A word for each label, as in ham=personal,spam=commercial")
      ->required();
  app.option_defaults()->take_last()->always_capture_default()->group("Training");
  app.add_option("--train", o.train, "Tensors to train, by name, with * and commas between them")
      ->type_name("PATTERNS");
  app.add_option("--steps", o.steps, "Of three forward passes")
      ->check(whole_number(1, examples::detail::most_steps))
      ->type_name("N");
  app.add_option("--batch", o.batch, "Texts in a step")->check(whole_number(1, 1'000'000))->type_name("N");
  app.add_option("--learning-rate", o.method.learning_rate, "At the start")
      ->check(number(false))
      ->type_name("R");
  app.add_option("--epsilon", o.method.epsilon, "How far from the weights the loss is evaluated")
      ->check(number(false))
      ->type_name("E");
  app.add_option("--smoothing", o.smoothing, "The paper's alpha: how much a step tells of the curvature")
      ->check(number(true))
      ->type_name("A");
  app.add_option("--seed", o.seed, "Of directions and batches")->type_name("N");
  app.add_option("--threads", o.threads, "0 for as many as the machine has")
      ->check(whole_number(0, 1024)) // the limit of ThreadPool
      ->type_name("N");
  app.add_option("--eval-every", o.eval_every, "Steps; 0 for before and after")
      ->check(whole_number(0, examples::detail::most_steps))
      ->type_name("N");
  app.add_option("--metrics", o.metrics, "Figures of each evaluation: .csv or .jsonl")
      ->required()
      ->type_name("FILE");
  app.set_help_flag("-h,--help", "Print this and exit");
  return examples::parse_or_explain(app, argc, argv, status);
}

using Model = pl::models::Roberta<float>;
using Task = examples::PromptTask<Model>;

/// Evaluates, prints and writes down.
class Figures {
public:
  Figures(Options const& o, Task const& task, Task::Examples const& test, pl::Runtime& runtime)
      : task_(task), test_(test), evaluation_batch_(o.evaluation_batch), runtime_(runtime), log_(o.metrics) {}

  void operator()(std::uint64_t step) {
    using Example = Task::Objective::Example;
    auto const score =
        examples::score_of(pl::train::evaluate(task_.objective, task_.model, std::span<Example const>(test_),
                                               evaluation_batch_, runtime_),
                           task_.objective.classes());
    pl::train::MetricsRow row;
    row.step = step;
    row.seconds = pl::train::steady_seconds() - began_;
    row.eval_loss = score.loss;
    row.accuracy = score.accuracy;
    row.macro_f1 = score.macro_f1;
    log_.append(row);
    std::cout << "step " << step << "  " << score.words << std::endl;
  }

private:
  Task const& task_;
  Task::Examples const& test_;
  std::size_t evaluation_batch_;
  pl::Runtime& runtime_;
  pl::train::MetricsLog log_;
  double began_ = pl::train::steady_seconds();
};

int run(Options const& o) {
  examples::Labels const labels = examples::parse_labels(o.label_words);
  pl::require(labels.names.size() > 1, "--label-words: a classifier needs at least two");
  Task task(o, labels);
  pl::optimize::select_trained(task.model, o.train);
  auto const data = examples::read_labelled(o, labels);
  auto const train = task.encode(data.train), test = task.encode(data.test);
  std::vector<std::size_t> lengths;
  for (auto const& example : train) {
    lengths.push_back(example.ids.size());
  }
  pl::Runtime runtime(static_cast<std::size_t>(o.threads));
  pl::optimize::HessianDiagonal hessian(task.model);
  pl::random::AnyPerturbation const directions("gaussian");
  auto const steps = static_cast<std::uint64_t>(o.steps);
  pl::train::Trainer trainer(
      task.model, task.objective, std::span<Task::Objective::Example const>(train),
      directions.shaped_by(hessian), pl::optimize::ThreePoint{static_cast<float>(o.method.epsilon), o.seed},
      pl::optimize::Hizoo{
          .smoothing = static_cast<float>(o.smoothing), .hessian = &hessian, .directions = directions},
      {pl::optimize::Schedule::Shape::linear, static_cast<float>(o.method.learning_rate), steps},
      pl::train::BatchOrder(std::move(lengths), {static_cast<std::size_t>(o.batch), o.seed}), runtime);
  Figures figures(o, task, test, runtime);
  figures(0);
  auto const outcome = trainer.run(0, {}, [&](pl::train::StepReport const& step) {
    std::uint64_t const done = step.step + 1, every = static_cast<std::uint64_t>(o.eval_every);
    if (done == steps || (every != 0 && done % every == 0)) {
      figures(done);
    }
    return true;
  });
  pl::require(outcome.reason == pl::train::Outcome::Reason::finished, "step ", outcome.next_step + 1,
              ": the loss is not a finite number; try a tenth of --learning-rate");
  return 0;
}

} // namespace

int main(int argc, char** argv) {
  Options options;
  options.method.learning_rate = 1e-4;
  int status = 0;
  if (!parse(argc, argv, options, status)) {
    return status;
  }
  return examples::run_program("bench_hizoo", "", [&] { return run(options); });
}
