// SPDX-License-Identifier: Apache-2.0
// --method auto of a classifier: a head on the text's vector, or the prompt.
#pragma once

#include "classifier_options.hpp"
#include "classifier_tasks.hpp"
#include "labelled_data.hpp"
#include "score.hpp"
#include <pocketllm/pocketllm.hpp>

#include <algorithm>
#include <cstddef>
#include <iostream>
#include <span>

namespace examples {

/// The accuracy on data.test of a task that has made its start with data.train: of a prompt before any step,
/// of a head trained on vectors of the texts as they are.
template <class Task>
double accuracy_at_start(ClassifierOptions const& o, LabelledData const& data, Labels const& labels,
                         pl::Runtime& runtime) {
  Task task(o, labels);
  auto const train = task.encode(data.train), test = task.encode(data.test);
  pl::random::AnyPerturbation const perturbation;
  task.start(train, o, perturbation, {}, runtime);
  using Example = typename Task::Objective::Example;
  auto const result = pl::train::evaluate(task.objective, task.model, std::span<Example const>(test),
                                          o.evaluation_batch, runtime, perturbation);
  return pl::train::compute_metrics(result.labels, result.predictions, labels.names.size()).accuracy;
}

/// Whether a new head is the better way, and not the prompt that the options describe: whether it is right
/// more often than the prompt before training, on texts that are held out of those to train on. A prompt
/// gains from steps too, but they cost a thousand times as much, and a model that answers it well enough to
/// be worth them is right before the first.
template <class Model>
bool prefers_head(ClassifierOptions const& o) {
  constexpr std::size_t most = 80, fewest = 5; // of a class; a fifth of them is held out
  Labels const labels = parse_labels(o.label_words);
  LabelledData data = read_labelled(o, labels);
  std::size_t count = most;
  for (std::size_t c = 0; c < labels.names.size(); ++c) {
    auto const of_class = std::count_if(data.train.examples.begin(), data.train.examples.end(),
                                        [&](auto const& example) { return example.class_index == c; });
    count = std::min(count, static_cast<std::size_t>(of_class));
  }
  if (count < fewest) {
    std::cout << "method   the prompt, by FZOO: there are fewer than " << fewest << " texts of a class\n";
    return false;
  }
  auto split = pl::text::held_out(pl::text::k_shot(data.train, count, o.seed), count / fewest, o.seed);
  data = {std::move(split.rest), std::move(split.held_out)};
  pl::Runtime runtime(static_cast<std::size_t>(o.threads));
  double const prompt = accuracy_at_start<PromptTask<Model>>(o, data, labels, runtime);
  double const head = accuracy_at_start<HeadTask<Model>>(o, data, labels, runtime);
  bool const better = head > prompt;
  std::cout << "method   " << (better ? "a new head" : "the prompt, by FZOO") << ": of "
            << data.test.examples.size() << " texts held out, the prompt gets " << percent(prompt)
            << " right before training, a head on " << data.train.examples.size() << " others "
            << percent(head) << '\n';
  return better;
}

} // namespace examples
