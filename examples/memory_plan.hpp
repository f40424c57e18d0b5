// SPDX-License-Identifier: Apache-2.0
// What --memory-budget chooses: the storage, and how much is evaluated at once.
#pragma once

#include "classifier_options.hpp"
#include <pocketllm/pocketllm.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#if defined(__GLIBC__) // which the headers above say
#include <malloc.h>
#endif

namespace examples {

/// The points of a step, or the first `most` of them if that is not 0.
inline std::vector<pocketllm::random::Point> first_points(MethodOptions const& o, std::size_t most = 0) {
  auto points = estimator_of(o, 0).points(0);
  std::size_t const lanes = most != 0 ? most : static_cast<std::size_t>(o.max_lanes);
  points.resize(lanes != 0 ? std::min(points.size(), lanes) : points.size());
  return points;
}

/// Tokens of an example, of both texts where it has two.
template <class Example>
std::size_t tokens_of(Example const& example) {
  if constexpr (requires { example.second.size(); }) {
    return example.ids.size() + example.second.size();
  } else {
    return example.ids.size();
  }
}

/// Gives freed memory back to the system, of which glibc keeps as much as the largest piece that was freed.
inline void give_back_freed() {
#if defined(__GLIBC__)
  ::malloc_trim(0);
#endif
}

/// The numbers of the `count` longest of the examples.
template <class Examples>
std::vector<std::size_t> longest_of(Examples const& examples, std::size_t count) {
  std::vector<std::size_t> longest(examples.size());
  std::iota(longest.begin(), longest.end(), std::size_t{0});
  std::sort(longest.begin(), longest.end(),
            [&](std::size_t a, std::size_t b) { return tokens_of(examples[a]) > tokens_of(examples[b]); });
  longest.resize(std::min(longest.size(), count));
  return longest;
}

/// Bytes of the activations of f(runtime).
template <class F>
std::size_t activation_bytes(ClassifierOptions const& o, F&& f) {
  std::size_t bytes = 0;
  {
    pocketllm::Runtime runtime(static_cast<std::size_t>(o.threads), activations_of(o.activations));
    f(runtime);
    bytes = runtime.workspace().capacity_bytes();
  }
  give_back_freed();
  return bytes;
}

/// Bytes of the activations of `objective` at `points` for the `count` longest of the examples.
template <class Model, class Objective, class P, class Examples>
std::size_t activation_bytes(ClassifierOptions const& o, Model const& model, Objective const& objective,
                             P const& perturbation, Examples const& examples, std::size_t count,
                             std::span<pocketllm::random::Point const> points) {
  return activation_bytes(o, [&](pocketllm::Runtime& runtime) {
    std::ignore = objective(model, objective.batch(examples, longest_of(examples, count)),
                            pocketllm::random::perturb(perturbation, points), runtime);
  });
}

/// What a run takes that trains `model` on `train` and evaluates it on each of `evaluated`. The options must
/// outlive the result; it keeps `owner`, which has all the rest.
template <class Model, class Objective, class P, class Examples>
pocketllm::train::MemoryNeeds needs_of_run(ClassifierOptions const& o, std::shared_ptr<void const> owner,
                                           Model const& model, Objective const& objective,
                                           P const& perturbation, Examples const& train,
                                           std::vector<Examples const*> evaluated) {
  pocketllm::train::MemoryNeeds needs{pocketllm::tensor::weight_bytes(model), {}, {}};
  if (o.steps > 0) {
    needs.points = [&, owner](std::size_t count) {
      return activation_bytes(o, model, objective, perturbation, train, static_cast<std::size_t>(o.batch),
                              first_points(o.method, count));
    };
  }
  needs.evaluation = [&, owner, evaluated = std::move(evaluated)](std::size_t count) {
    std::size_t most = 0;
    for (Examples const* const examples : evaluated) {
      most = std::max(most, activation_bytes(o, model, objective, perturbation, *examples, count,
                                             std::span(&pocketllm::random::origin, 1)));
    }
    return most;
  };
  return needs;
}

/// Calls f(std::type_identity<T>()) with the type of weights that --storage names.
template <class F>
decltype(auto) with_storage(std::string const& storage, F&& f) {
  if (storage == "f16") {
    return f(std::type_identity<pocketllm::f16>());
  }
  return storage == "bf16" ? f(std::type_identity<pocketllm::bf16>()) : f(std::type_identity<float>());
}

namespace detail {

/// "the weights take 22 MB as f32 and the activations at least 6 MB"
inline std::string describe_refused(pocketllm::train::MemoryUse const& use) {
  using pocketllm::train::format_bytes;
  std::string text = pocketllm::concat("the weights take ", format_bytes(use.weights), " as ", use.storage);
  if (use.activations != 0) {
    text += pocketllm::concat(" and the activations at least ", format_bytes(use.activations));
  }
  return text;
}

/// What the program says of a choice, in a line.
inline std::string describe_plan(pocketllm::train::MemoryPlan const& plan, std::size_t points,
                                 std::size_t budget) {
  using pocketllm::train::format_bytes;
  std::string text = pocketllm::concat("memory   ", format_bytes(plan.use.weights), " of weights as ",
                                       plan.use.storage, " and ", format_bytes(plan.use.activations),
                                       " of activations, of ", format_bytes(budget), " allowed");
  if (points > plan.use.at_once.points) {
    text += pocketllm::concat(", with ", plan.use.at_once.points, " of the ", points,
                              " points of a step at once");
  }
  for (auto const& refused : plan.refused) {
    text += "; " + describe_refused(refused);
  }
  return text + "\n";
}

/// Why nothing fits, and what to do; `smaller` is what would make the weights take less.
inline std::string describe_refusal(pocketllm::train::MemoryPlan const& plan, std::size_t budget,
                                    std::string const& smaller) {
  auto const& least = plan.refused.back();
  return pocketllm::concat("--memory-budget: ", describe_refused(least), ", more than the ",
                           pocketllm::train::format_bytes(budget), " allowed; ",
                           least.weights <= budget ? "try a smaller --batch or --max-tokens, or " : "",
                           smaller);
}

/// The storage that the run of a journal has, with which alone it goes on; empty where there is none yet.
inline std::string storage_of_journal(JournalOptions const& o) {
  if (!o.resume || !pocketllm::io::path_exists(o.file)) {
    return {};
  }
  auto const journal = pocketllm::io::read_journal(o.file);
  auto const* const model = pocketllm::text::find_member(journal.header().json(), "model");
  return model == nullptr
             ? std::string()
             : pocketllm::text::string_member(*model, "storage", journal.name() + ": header: model");
}

} // namespace detail

/// Lets --memory-budget, if it is given, choose of `storages` (best first) unless --storage or the journal to
/// go on with says which, and how much is evaluated at once. `needs_of(storage)` gives MemoryNeeds. Throws
/// Error when nothing fits, which tells to do what `smaller` says.
template <class Needs>
void choose_memory(ClassifierOptions& o, std::vector<std::string> storages, std::string const& smaller,
                   Needs&& needs_of) {
  if (o.phone.memory_budget == 0) {
    return;
  }
  std::string const journaled = detail::storage_of_journal(o.journal);
  // f16 takes what bf16 does
  bool const larger = o.storage_given && (o.storage == "bf16" ? "f16" : o.storage) != storages.back();
  if (o.storage_given || !journaled.empty()) {
    storages = {o.storage_given ? o.storage : journaled};
  }
  std::size_t const budget = static_cast<std::size_t>(o.phone.memory_budget) * 1'000'000;
  std::size_t const points = o.steps > 0 ? first_points(o.method).size() : 1;
  auto const plan = pocketllm::train::fit_memory(storages, {points, o.evaluation_batch}, budget, needs_of);
  if (!plan.fits) {
    pocketllm::fail(detail::describe_refusal(
        plan, budget, larger ? "leave --storage out, for a smaller one to be chosen" : smaller));
  }
  o.storage = plan.use.storage;
  o.method.max_lanes = plan.use.at_once.points < points ? static_cast<std::int64_t>(plan.use.at_once.points)
                                                        : o.method.max_lanes;
  o.evaluation_batch = plan.use.at_once.texts;
  o.activation_bytes = plan.use.activations;
  o.memory_note = detail::describe_plan(plan, points, budget);
  give_back_freed();
}

/// Takes the memory that the activations will need in one piece, if choose_memory has found out how much.
inline void reserve_activations(std::size_t bytes, pocketllm::Runtime& runtime) {
  pocketllm::Workspace::Frame const frame(runtime.workspace());
  if (bytes != 0) {
    std::ignore = runtime.workspace().take(bytes / sizeof(float));
  }
}

} // namespace examples
