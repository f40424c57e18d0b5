// SPDX-License-Identifier: Apache-2.0
// What programs that train a prefix share: options, the room that it leaves, and what it begins with.
#pragma once

#include "classifier_options.hpp"
#include "prefix_files.hpp"
#include <pocketllm/pocketllm.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace examples {

/// Takes the number of its tokens from a prefix that is to be gone on with. Throws Error for options that do
/// not belong together.
inline void settle_prefix(ClassifierOptions& o) {
  bool const prefix = o.adapter == "prefix";
  pocketllm::require(prefix || o.prefix_from.empty(), "--prefix-from ", o.prefix_from.string(),
                     ": a prefix is only there with --adapter prefix");
  pocketllm::require(!prefix || o.train == "*", "--train: with --adapter prefix only the prefix is trained");
  if (!o.prefix_from.empty()) {
    o.prefix_tokens = static_cast<std::int64_t>(PrefixFile(o.prefix_from).tokens());
  }
}

/// The most tokens of a text. Throws Error when a prefix leaves no room for two.
template <class Config>
[[nodiscard]] std::size_t most_tokens(ClassifierOptions const& o, Config const& config) {
  std::size_t const taken = o.adapter == "prefix" ? static_cast<std::size_t>(o.prefix_tokens) : 0;
  std::size_t const positions = config.max_tokens();
  pocketllm::require(taken + 2 <= positions, "--prefix-tokens ", taken, ": the model has positions for ",
                     positions);
  return std::min(static_cast<std::size_t>(o.max_tokens), positions - taken);
}

namespace detail {

/// Tokens of the texts to train on, without what is around them, for a prefix to begin with.
template <class Examples>
[[nodiscard]] std::vector<std::int32_t> first_tokens(Examples const& examples, std::size_t count,
                                                     std::size_t framing) {
  std::vector<std::int32_t> ids;
  for (auto const& example : examples) {
    for (std::size_t i = framing; i < example.ids.size() && ids.size() < count; ++i) {
      ids.push_back(example.ids[i]);
    }
  }
  pocketllm::require(ids.size() == count, "--prefix-tokens ", count, ": the texts have only ", ids.size(),
                     " tokens to begin with");
  return ids;
}

} // namespace detail

/// Lets the prefix begin as the options say: as the first tokens of the texts to train on, each with
/// `framing` tokens before it, or as one that was trained before.
template <class Model, class Examples>
void begin_prefix(ClassifierOptions const& o, pocketllm::models::Prefixed<Model>& model,
                  Examples const& examples, std::size_t framing, pocketllm::Runtime& runtime) {
  if (o.prefix_from.empty()) {
    model.begin(detail::first_tokens(examples, model.prefix().rows(), framing), runtime);
  } else {
    PrefixFile(o.prefix_from).copy_to(model);
  }
}

} // namespace examples
