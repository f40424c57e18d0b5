// SPDX-License-Identifier: Apache-2.0
// The last LayerNorm of a causal model, trained before anything else: finetune_causal's --norm-steps.
#pragma once

#include "causal_options.hpp"
#include "frozen_layers.hpp"
#include "memory_plan.hpp"
#include <pocketllm/pocketllm.hpp>

#include <cstddef>
#include <cstdint>
#include <iostream>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

namespace examples {

namespace pl = pocketllm;

namespace detail {

/// Makes --method auto, on texts and answers, the last norm alone, where the model has one and nothing else
/// is asked for.
inline void make_auto(CausalOptions& o) {
  bool const fits = o.method.preset == "auto" && o.label_words.empty() && o.adapter == "none" &&
                    o.loss == "cross-entropy" && o.journal.file.empty() && !o.norm_steps_given;
  if (!fits) {
    return;
  }
  using Model = pl::models::Opt<float>; // without values, of any storage
  Model model(Model::Config::from_json(pl::io::read_object(o.model / pl::io::config_file)));
  if (model.final_norm() != nullptr) {
    constexpr std::int64_t enough = 300; // twice as many make 326.8 of the 328.1 of the README
    o.norm_steps = enough;
    o.steps = o.steps_given ? o.steps : 0;
  }
}

/// Throws Error for steps of the last norm with what they are not for.
inline void check_norm(CausalOptions const& o) {
  pl::require(
      o.norm_steps == 0 || (o.label_words.empty() && o.adapter == "none" && o.loss == "cross-entropy"),
      "--norm-steps: is for the weights of a model (--adapter none) and the tokens of texts or answers "
      "(no --label-words, --loss cross-entropy)");
  pl::require(o.norm_steps == 0 || o.journal.file.empty(), "--norm-steps: a journal could not replay them; ",
              "write a model by --norm-steps ", o.norm_steps,
              " --steps 0 --out DIR, and train on from it with "
              "--model DIR --journal ",
              o.journal.file.string());
  pl::require(o.norm_rate == 0.0 || o.norm_steps != 0, "--norm-rate: is of --norm-steps, and there are none");
}

} // namespace detail

/// Completes the options of the last norm. Throws Error for some that do not belong together.
inline void settle_norm(CausalOptions& o) {
  detail::make_auto(o);
  detail::check_norm(o);
}

/// Trains the last norm alone, which is all that is selected for training then, and says what that changes.
template <class Model, class Task, class P>
void train_norm(CausalOptions const& o, Model& model, Task& task, P const& perturbation,
                pl::train::StopCondition const& stop, pl::Runtime& runtime) {
  pl::layers::LayerNorm* const norm = model.final_norm();
  pl::require(norm != nullptr, "--norm-steps: this OPT has no LayerNorm right before its words' scores");
  std::cout << "start    " << task.evaluate(model, runtime, perturbation).words << std::endl;
  (void)pl::optimize::select_trained(model, norm->weight.name() + "," + norm->bias.name());
  FrozenLayers frozen(o, model, task.objective, task.train, {});
  std::vector<std::size_t> lengths;
  for (auto const& example : task.train) {
    lengths.push_back(tokens_of(example));
  }
  float const rate =
      o.norm_rate != 0.0 ? static_cast<float>(o.norm_rate) : pl::train::norm_rate(norm->weight.size());
  double const began = pl::train::steady_seconds();
  auto const done = pl::train::train_final_norm(
      model, pl::train::OnFrozenBottom(task.objective, frozen.train()), std::span(std::as_const(task.train)),
      pl::train::BatchOrder(std::move(lengths),
                            {.batch_size = static_cast<std::size_t>(o.batch), .seed = o.seed}),
      {static_cast<std::uint64_t>(o.norm_steps), rate}, stop, runtime);
  std::cout << "norm     " << done << " steps of the last LayerNorm, rate " << rate << ", "
            << pl::train::format_duration(pl::train::steady_seconds() - began) << ", "
            << frozen.train().examples() << " of " << task.train.size() << " texts kept" << std::endl;
}

/// Bytes of the activations of a step on the last norm.
template <class Model, class Task>
std::size_t norm_bytes(CausalOptions const& o, Model const& model, Task const& task) {
  return activation_bytes(o, [&](pl::Runtime& runtime) {
    auto const batch =
        task.objective.batch(task.train, longest_of(task.train, static_cast<std::size_t>(o.batch)));
    auto const states = model.bottom(batch.tokens, model.layer_count(), {}, pl::random::Gaussian{}, runtime);
    std::ignore = pl::train::norm_slopes(model, states, batch.targets, runtime);
  });
}

} // namespace examples
