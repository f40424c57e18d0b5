// SPDX-License-Identifier: Apache-2.0
// A causal model trained on a task and evaluated, with all that is printed and written.
#pragma once

#include "causal_tasks.hpp"
#include "frozen_layers.hpp"
#include "load_model.hpp"
#include "memory_plan.hpp"
#include "norm_run.hpp"
#include "prefix_run.hpp"
#include <pocketllm/pocketllm.hpp>

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <iomanip>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace examples {

namespace detail {

template <class W>
void save(pl::models::Opt<W>& model, CausalOptions const& o, pl::Runtime& runtime) {
  if (o.adapter == "lora" && !o.merge) {
    pl::train::save_adapter(model, o.out, {o.model.string()});
    return;
  }
  pl::layers::merge_lora(model, runtime);
  pl::io::save(model, o.out, {o.model, {}});
}
template <class Model>
void save(pl::models::Prefixed<Model> const& model, CausalOptions const& o, pl::Runtime&) {
  save_prefix(model, o.out, o.model);
}

/// What the model writes, in one line.
template <class Model>
void print_sample(CausalOptions const& o, Model const& model, Tokenizer const& tokenizer,
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

/// The terms that --adapter lora asks for.
inline pl::layers::LoraOptions lora_options(CausalOptions const& o) {
  return examples::lora_options(o.lora, o.seed, "*.q_proj,*.v_proj");
}

/// What a journal's header says of model, objective and data.
template <class Task>
pl::train::RunDescription describe_run(CausalOptions const& o, char const* program, Task const& task) {
  pl::train::ExamplesDigest digest;
  task.add_examples(digest);
  pl::io::Json model{{"type", "opt"}, {"storage", o.storage}};
  if (o.activations != "f32") {
    model["activations"] = o.activations;
  }
  if (o.adapter == "lora") {
    model["lora"] = pl::train::describe_lora(lora_options(o));
  } else if (o.adapter == "prefix") {
    model["prefix"] = o.prefix_tokens;
  }
  return {model,
          task.describe_objective(),
          {{"digest", digest.text()}, {"examples", task.train.size()}},
          {{"program", program}, {"model", o.model.string()}, {"data", o.data.string()}}};
}

/// What is trained of a model without a prefix: the number of weights.
template <class Model>
std::size_t choose_trained(CausalOptions const& o, Model& model) {
  if (o.adapter == "lora") {
    pl::layers::add_lora(model, lora_options(o));
  }
  bool const terms = o.adapter == "lora";
  return o.steps == 0 ? 0
                      : pl::optimize::select_trained(model, terms ? trained_with_terms(o.train) : o.train);
}

template <class Model, class Task, class Objective, class Team>
int run_objective(CausalOptions const& o, char const* program, Model& model, std::size_t trained,
                  Tokenizer const& tokenizer, Task& task, Objective const& objective,
                  pl::random::AnyPerturbation const& perturbation, FrozenLayers const& frozen,
                  pl::Runtime& runtime, Team team) {
  TrainingRun run(
      o, program, model, objective, perturbation, task.train, runtime,
      [&] { return describe_run(o, program, task); },
      [&] { return task.evaluate(model, runtime, perturbation); }, team, task.figures());
  print_model(o, "OPT", model, trained);
  frozen.print(std::cout);
  std::cout << "data     " << task.train.size() << " texts to train on, " << task.test().size()
            << " to test on\n"
            << task.describe();
  if constexpr (std::is_same_v<Task, TextTask> && pl::train::EndsInNorm<Model>) {
    if (o.norm_steps != 0) {
      run.interruptibly([&](auto const& stop) { train_norm(o, model, task, perturbation, stop, runtime); });
      choose_trained(o, model);
    }
  }
  run.before();
  print_sample(o, model, tokenizer, task.sample_prompt(), runtime);
  run.train([&] { save(model, o, runtime); });
  run.after();
  if (o.steps > 0) {
    print_sample(o, model, tokenizer, task.sample_prompt(), runtime);
  }
  std::cout << task.table();
  if (!o.predictions.empty()) {
    task.write_predictions(o.predictions);
  }
  run.print_results();
  return run.status();
}

template <class Model, class Task, class Team>
int run_model(CausalOptions const& o, char const* program, Model& model, std::size_t trained,
              Tokenizer const& tokenizer, Task& task, pl::Runtime& runtime, Team team) {
  Directions directions(o.method);
  if (o.steps > 0) { // else nothing is trained
    directions.begin(model);
  }
  auto const& perturbation = directions.perturbation();
  reserve_activations(o.activation_bytes, runtime);
  if constexpr (pl::train::TakesBottom<typename Task::Objective, Model>) {
    FrozenLayers frozen;
    if (o.loss == "cross-entropy") { // what a model writes is not known before
      frozen = FrozenLayers(o, model, task.objective, task.train, {});
    }
    pl::train::OnFrozenBottom const objective(task.objective, frozen.train());
    return run_objective(o, program, model, trained, tokenizer, task, objective, perturbation, frozen,
                         runtime, team);
  } else { // under a prefix, every layer is another one
    return run_objective(o, program, model, trained, tokenizer, task, task.objective, perturbation, {},
                         runtime, team);
  }
}

/// What a run of `model`, whose weights are zero, takes.
template <class Task, class Model>
pl::train::MemoryNeeds needs_of_model(CausalOptions const& o, Model zeros, std::size_t tokens) {
  struct Run {
    Model model;
    Tokenizer tokenizer;
    Task task;
    Directions directions;
    Run(CausalOptions const& options, Model&& zero, std::size_t most)
        : model(std::move(zero)), tokenizer(pl::text::load_tokenizer(options.model)),
          task(options, tokenizer, most), directions(options.method) {}
  };
  auto const run = std::make_shared<Run>(o, std::move(zeros), tokens);
  auto needs = needs_of_run(o, run, run->model, run->task.objective, run->directions.perturbation(),
                            run->task.train, {&run->task.test()});
  if constexpr (std::is_same_v<Task, TextTask> && pl::train::EndsInNorm<Model>) {
    if (o.norm_steps != 0) {
      needs.points = [&o, run, steps = needs.points](std::size_t count) {
        std::size_t const norm = norm_bytes(o, run->model, run->task);
        return steps ? std::max(norm, steps(count)) : norm;
      };
    }
  }
  return needs;
}

/// What run_task takes, found out on weights that are zero.
template <class Task, class T>
pl::train::MemoryNeeds needs_of_task(CausalOptions const& o) {
  auto model = load_model<pl::models::Opt<pl::layers::Lora<T>>>(o.model, Weights::zero);
  std::size_t const tokens = most_tokens(o, model.config());
  if (o.adapter != "prefix") {
    choose_trained(o, model);
    return needs_of_model<Task>(o, std::move(model), tokens);
  }
  pl::models::Prefixed prefixed(std::move(model), static_cast<std::size_t>(o.prefix_tokens));
  pl::tensor::borrow_zeros(prefixed);
  return needs_of_model<Task>(o, std::move(prefixed), tokens);
}

template <class Task, class T, class Team>
int run_task(CausalOptions const& o, char const* program, Team team) {
  bool const prefix = o.adapter == "prefix";
  pl::require(!o.merge || o.adapter == "lora", "--merge: there is nothing to merge without --adapter lora");
  // weights that stay as they are need no memory of their own where the file has their type
  auto model = pl::io::load<pl::models::Opt<pl::layers::Lora<T>>>(o.model, {.borrow = o.adapter != "none"});
  Tokenizer const tokenizer = pl::text::load_tokenizer(o.model);
  pl::Runtime runtime = make_runtime(o.threads, o.activations, o.storage);
  Task task(o, tokenizer, most_tokens(o, model.config()));
  if (!prefix) {
    std::size_t trained = choose_trained(o, model);
    if (auto const* const norm = model.final_norm(); o.norm_steps != 0 && trained == 0 && norm != nullptr) {
      trained = norm->weight.size() + norm->bias.size();
    }
    return run_model(o, program, model, trained, tokenizer, task, runtime, team);
  }
  pl::models::Prefixed prefixed(std::move(model), static_cast<std::size_t>(o.prefix_tokens));
  begin_prefix(o, prefixed, task.train, tokenizer.framing().before.size(), runtime);
  return run_model(o, program, prefixed, prefixed.prefix().size(), tokenizer, task, runtime, team);
}

/// Calls f(std::type_identity<T>()) with the type of weights that --storage names, one that is only read
/// among them where the program has adapters.
template <bool Adapters, class F>
auto with_causal_storage(std::string const& storage, F&& f) {
  if constexpr (Adapters) {
    if (storage == "i8") {
      return f(std::type_identity<pl::i8>());
    }
    if (storage == "i4") {
      return f(std::type_identity<pl::i4>());
    }
  }
  return with_storage(storage, f);
}

} // namespace detail

/// Trains and evaluates as the options say, for the program of that name, with storages that are only read
/// where it has adapters; the first of a team writes the results. Returns its exit status.
template <class Task, bool Adapters, class Team = pl::train::Alone>
int run_causal(CausalOptions o, char const* program, Team team = {}) {
  settle_prefix(o);
  settle_norm(o);
  bool const whole = o.adapter == "none" || o.merge;
  if (team.rank() == 0) {
    check_results(o, whole ? pl::io::config_file : pl::train::adapter_config_file);
  }
  std::vector<std::string> storages{"f32", "f16"};
  if (Adapters && !whole) {
    storages.insert(storages.end(), {"i8", "i4"});
  }
  choose_memory(o, storages,
                Adapters && whole ? "train an --adapter lora, whose model may have 4 bits a weight"
                                  : "take a model of fewer weights",
                [&](std::string const& storage) {
                  return detail::with_causal_storage<Adapters>(storage, [&]<class T>(std::type_identity<T>) {
                    return detail::needs_of_task<Task, T>(o);
                  });
                });
  return detail::with_causal_storage<Adapters>(
      o.storage, [&]<class T>(std::type_identity<T>) { return detail::run_task<Task, T>(o, program, team); });
}

/// Whether a directory holds a model that reads from left to right. One without config.json does not; loading
/// it says so.
inline bool is_causal(std::filesystem::path const& model) {
  std::filesystem::path const file = model / pl::io::config_file;
  return pl::io::path_exists(file) && pl::io::read_object(file).value("model_type", pl::io::Json()) == "opt";
}

/// finetune_classifier's options for such a model: what stands before {mask} is the prompt, and each label's
/// word with what stands behind {mask} is a candidate.
inline CausalOptions as_choice(ClassifierOptions const& options) {
  CausalOptions o;
  static_cast<ClassifierOptions&>(o) = options;
  constexpr std::string_view mask = "{mask}";
  std::size_t const at = options.prompt.find(mask);
  pl::require(at != std::string::npos, "--template: no {mask}; write {mask} where the label word belongs");
  std::string const behind = options.prompt.substr(at + mask.size());
  pl::require(behind.find('{') == std::string::npos, "--template: a column behind {mask}; an OPT reads from ",
              "left to right, so put {mask} behind the text, as in \"{text} It was {mask}.\"");
  o.prompt = options.prompt.substr(0, at);
  for (std::string& pair : o.label_words) {
    pair += behind;
  }
  o.sample_tokens = 0;
  o.merge = o.adapter == "lora"; // --out is a classifier that needs no other directory
  return o;
}

} // namespace examples
