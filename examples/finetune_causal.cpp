// SPDX-License-Identifier: Apache-2.0
// Fine-tunes an OPT on texts, answers or choices by forward passes alone: finetune_causal --help
#include "causal_tasks.hpp"
#include "prefix_files.hpp"
#include <pocketllm/pocketllm.hpp>

#include <algorithm>
#include <exception>
#include <iomanip>
#include <iostream>
#include <new>
#include <string>
#include <utility>
#include <vector>

namespace pl = pocketllm;

namespace {

using Options = examples::CausalOptions;
using examples::Tokenizer;

template <class T>
void save(pl::models::Opt<T> const& model, Options const& o) {
  pl::io::save(model, o.out, {o.model, {}});
}
template <class Model>
void save(pl::models::Prefixed<Model> const& model, Options const& o) {
  examples::save_prefix(model, o.out, o.model);
}

template <class Model>
void describe(Options const& o, Model const& model, std::size_t trained, std::size_t examples,
              std::size_t test_size, std::string const& prompt) {
  std::size_t const parameters = pl::tensor::parameter_count(model);
  auto const millions = [](std::size_t count) {
    return pl::concat(std::setprecision(3), static_cast<double>(count) / 1e6, " million");
  };
  std::cout << "model    " << o.model.string() << ": OPT, " << millions(parameters) << " weights, "
            << (trained == parameters ? "all" : millions(trained)) << " trained, "
            << pl::train::format_bytes(pl::tensor::weight_bytes(model)) << " as " << o.storage << '\n'
            << "data     " << examples << " texts to train on, " << test_size << " to test on\n"
            << prompt;
}

/// What the model writes, in one line.
template <class Model>
void print_sample(Options const& o, Model const& model, Tokenizer const& tokenizer,
                  std::vector<std::int32_t> prompt, pl::Runtime& runtime) {
  if (o.sample_tokens == 0) {
    return;
  }
  std::size_t const most = model.config().max_tokens() - 1; // of which one is left to write
  prompt.resize(std::min(prompt.size(), most));
  pl::models::GenerateOptions options{.max_tokens = static_cast<std::size_t>(o.sample_tokens)};
  options.sampling = {.temperature = static_cast<float>(o.temperature), .top_p = 0.95F, .seed = o.seed};
  options.eos = tokenizer.special_tokens().eos;
  std::string text = tokenizer.decode(pl::models::generate(model, prompt, options, runtime), true);
  std::replace(text.begin(), text.end(), '\n', ' ');
  std::cout << "sample   " << text << std::endl;
}

template <class P, class Model, class Task>
int run_model(Options const& o, Model& model, std::size_t trained, Tokenizer const& tokenizer, Task& task,
              pl::Runtime& runtime) {
  examples::TrainingRun<Model, typename Task::Objective, P> run(
      o, "finetune_causal", model, task.objective, task.train, runtime,
      [&] { return task.evaluate(model, runtime, P{}); });
  describe(o, model, trained, task.train.size(), task.test_size(), task.describe());
  run.before();
  print_sample(o, model, tokenizer, task.sample_prompt(), runtime);
  run.train();
  if (!o.out.empty()) { // before anything else can go wrong
    save(model, o);
  }
  run.after();
  if (o.steps > 0) {
    print_sample(o, model, tokenizer, task.sample_prompt(), runtime);
  }
  std::cout << task.table();
  run.print_results();
  if (!o.predictions.empty()) {
    task.write_predictions(o.predictions);
    std::cout << "predictions in  " << o.predictions.string() << '\n';
  }
  if (!o.out.empty()) {
    std::cout << "model in        " << o.out.string() << '\n';
  }
  return run.status();
}

/// Tokens of the texts to train on, without what is around them, for a prefix to begin with.
template <class Examples>
std::vector<std::int32_t> first_tokens(Examples const& examples, std::size_t count, std::size_t framing) {
  std::vector<std::int32_t> ids;
  for (auto const& example : examples) {
    for (std::size_t i = framing; i < example.ids.size() && ids.size() < count; ++i) {
      ids.push_back(example.ids[i]);
    }
  }
  pl::require(ids.size() == count, "--prefix-tokens ", count, ": the texts have only ", ids.size(),
              " tokens to begin with");
  return ids;
}

template <class Task, class T, class P>
int run_task(Options const& o) {
  auto model = pl::io::load<pl::models::Opt<T>>(o.model);
  Tokenizer const tokenizer = pl::text::load_tokenizer(o.model);
  pl::Runtime runtime(static_cast<std::size_t>(o.threads));
  bool const prefix = o.adapter == "prefix";
  std::size_t const taken = prefix ? static_cast<std::size_t>(o.prefix_tokens) : 0;
  std::size_t const positions = model.config().max_tokens();
  pl::require(taken + 2 <= positions, "--prefix-tokens ", taken, ": the model has positions for ", positions);
  Task task(o, tokenizer, std::min(static_cast<std::size_t>(o.max_tokens), positions - taken));
  if (!prefix) {
    std::size_t const trained = pl::optimize::select_trained(model, o.train);
    return run_model<P>(o, model, trained, tokenizer, task, runtime);
  }
  pl::require(o.train == "*", "--train: with --adapter prefix only the prefix is trained");
  auto const start = first_tokens(task.train, taken, tokenizer.framing().before.size());
  pl::models::Prefixed prefixed(std::move(model), start, runtime);
  return run_model<P>(o, prefixed, prefixed.prefix().size(), tokenizer, task, runtime);
}

template <class Task, class T>
int run_with(Options const& o) {
  return o.perturbation == "gaussian" ? run_task<Task, T, pl::random::Gaussian>(o)
                                      : run_task<Task, T, pl::random::Rademacher>(o);
}

template <class Task>
int run(Options const& o) {
  examples::check_results(o);
  if (o.storage == "f16") {
    return run_with<Task, pl::f16>(o);
  }
  return o.storage == "bf16" ? run_with<Task, pl::bf16>(o) : run_with<Task, float>(o);
}

} // namespace

int main(int argc, char** argv) {
  Options options;
  int status = 0;
  if (!examples::parse(argc, argv, options, status)) {
    return status;
  }
  try {
    return options.label_words.empty() ? run<examples::TextTask>(options)
                                       : run<examples::ChoiceTask>(options);
  } catch (std::bad_alloc const&) {
    std::cerr << "finetune_causal: out of memory; try a smaller --batch or --max-tokens, or --storage f16\n";
    return 1;
  } catch (std::exception const& error) {
    std::cerr << "finetune_causal: " << error.what() << '\n';
    return 1;
  }
}
