// SPDX-License-Identifier: Apache-2.0
// The storage of the weights, and how much is evaluated at once, that a run has memory for.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace pocketllm::train {

/// Bytes of the activations when so many things are evaluated at once, one or more. Those of n are at most n
/// times those of one.
using ActivationBytes = std::function<std::size_t(std::size_t count)>;

/// What a run takes with its weights in one storage.
struct MemoryNeeds {
  std::size_t weights = 0;    ///< bytes
  ActivationBytes points;     ///< of a step at so many points of it at once; empty: there are no steps
  ActivationBytes evaluation; ///< of so many of the texts to test on; empty: there are none
};

/// The most that a run evaluates at once.
struct EvaluatedAtOnce {
  std::size_t points = 1; ///< of a step
  std::size_t texts = 1;  ///< in an evaluation
};

/// What a run takes in a storage.
struct MemoryUse {
  std::string storage;         ///< one of those offered to fit_memory
  std::size_t weights = 0;     ///< bytes
  std::size_t activations = 0; ///< bytes; 0 where the weights do not fit, and this was not asked
  EvaluatedAtOnce at_once;     ///< one of each where the storage does not fit
};

/// The outcome of fit_memory.
struct MemoryPlan {
  bool fits = false;              ///< otherwise all storages are among the refused
  MemoryUse use;                  ///< what is chosen, if something fits
  std::vector<MemoryUse> refused; ///< with one at once: the storages that do not fit, in their order
};

namespace detail {

/// The most at once, `wanted` at most, that take no more than `room` bytes, as one does with `bytes`, which
/// becomes what they take. Asks only for what fits if no further one takes more than those before on average,
/// for asking may take that memory.
[[nodiscard]] inline std::size_t most_at_once(ActivationBytes const& of, std::size_t wanted, std::size_t room,
                                              std::size_t& bytes) {
  std::size_t const one = bytes;
  std::size_t count = 1;
  while (count < wanted) {
    std::size_t const others = count - 1;
    std::size_t const growth = others == 0 ? one : (bytes - std::min(bytes, one) + others - 1) / others;
    std::size_t const more = (room - bytes) / std::max<std::size_t>(growth, 1);
    std::size_t const next = count + std::min(wanted - count, more);
    if (next == count) {
      break;
    }
    std::size_t const taken = of(next);
    if (taken > room) {
      break;
    }
    count = next, bytes = taken;
  }
  return count;
}

} // namespace detail

/// The first of `storages` of which the weights and the activations of one point and one text at once take
/// `budget` bytes at most, with as many of `wanted` at once as are then known to fit. So a storage is left
/// for the next one only when nothing else helps: it changes what is learnt, while what is evaluated at once
/// changes how long that takes and nothing else. `needs_of(storage)` gives MemoryNeeds, those of one storage
/// at a time.
template <std::invocable<std::string const&> F>
requires std::convertible_to<std::invoke_result_t<F&, std::string const&>, MemoryNeeds>
[[nodiscard]] MemoryPlan fit_memory(std::span<std::string const> storages, EvaluatedAtOnce wanted,
                                    std::size_t budget, F&& needs_of) {
  MemoryPlan plan;
  for (std::string const& storage : storages) {
    MemoryNeeds const needs = needs_of(storage);
    MemoryUse use{storage, needs.weights, 0, {}};
    if (use.weights <= budget) {
      std::size_t const room = budget - use.weights;
      std::size_t step = needs.points ? needs.points(1) : 0;
      std::size_t evaluation = needs.evaluation && step <= room ? needs.evaluation(1) : 0;
      if (std::max(step, evaluation) <= room) {
        use.at_once.points = needs.points ? detail::most_at_once(needs.points, wanted.points, room, step) : 1;
        use.at_once.texts =
            needs.evaluation ? detail::most_at_once(needs.evaluation, wanted.texts, room, evaluation) : 1;
        plan.fits = true;
      }
      use.activations = std::max(step, evaluation);
    }
    if (plan.fits) {
      plan.use = std::move(use);
      break;
    }
    plan.refused.push_back(std::move(use));
  }
  return plan;
}

} // namespace pocketllm::train
