// SPDX-License-Identifier: Apache-2.0
// Text generation: a token after the other, each token read once.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/core/lanes.hpp>
#include <pocketllm/core/runtime.hpp>
#include <pocketllm/models/key_value_cache.hpp>
#include <pocketllm/models/sampling.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

namespace pocketllm::models {

/// A model that reads tokens on from what it has read and scores all words for what follows.
template <class M>
concept TextGenerator = FillsCache<M> &&
    requires(M const& model, KeyValueCache& cache, std::span<std::int32_t const> ids, Runtime& runtime) {
  { model.read(cache, ids, runtime) } -> std::same_as<Lanes<float>>;
};
static_assert(!TextGenerator<KeyValueCache>);

/// How much is written, and how tokens are chosen.
struct GenerateOptions {
  std::size_t max_tokens = 50;          ///< to add; fewer where the model has no positions for so many
  Sampling sampling = {};               ///< greedy if not set
  std::optional<std::int32_t> eos = {}; ///< ends the text; it is not part of the result
  /// Called with every token as it comes; false ends the text.
  std::function<bool(std::int32_t)> on_token = {};
};

/// Tokens that the model has positions for behind `prompt`. Throws Error for an empty prompt and for one that
/// leaves no position.
template <class Model>
[[nodiscard]] std::size_t room_behind(Model const& model, std::span<std::int32_t const> prompt) {
  std::size_t const most = model.config().max_tokens();
  require(!prompt.empty(), "generation: the prompt has no tokens");
  require(prompt.size() < most, "generation: the prompt of ", prompt.size(),
          " tokens leaves no room; the model has positions for ", most);
  return most - prompt.size();
}

/// The tokens that the model adds behind `prompt`. Throws Error for an empty prompt and for one that leaves
/// no position.
template <TextGenerator Model>
[[nodiscard]] std::vector<std::int32_t> generate(Model const& model, std::span<std::int32_t const> prompt,
                                                 GenerateOptions const& options, Runtime& runtime) {
  std::size_t const wanted = std::min(options.max_tokens, room_behind(model, prompt));
  KeyValueCache cache = model.make_cache(prompt.size() + wanted);
  std::vector<std::int32_t> added;
  std::vector<std::int32_t> next(prompt.begin(), prompt.end());
  while (added.size() < wanted) {
    Workspace::Frame const frame(runtime.workspace());
    Lanes<float> const scores = model.read(cache, next, runtime);
    std::int32_t const id = choose_token({scores.row(0, 0), scores.cols}, options.sampling, added.size());
    if (id == options.eos) {
      break;
    }
    added.push_back(id);
    if (options.on_token && !options.on_token(id)) {
      break;
    }
    next.assign(1, id);
  }
  return added;
}

} // namespace pocketllm::models
