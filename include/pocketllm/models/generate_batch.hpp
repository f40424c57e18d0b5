// SPDX-License-Identifier: Apache-2.0
// Greedy texts behind several prompts at once, at a point of the weights: for losses of what a model writes.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/core/runtime.hpp>
#include <pocketllm/models/causal_batch.hpp>
#include <pocketllm/models/generate.hpp>
#include <pocketllm/random/perturbed.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace pocketllm::models {

/// A model that finds the likeliest word behind tokens of a batch, at points of its weights.
template <class M>
concept GreedyModel = requires(M const& model, CausalBatch const& batch, std::span<std::size_t const> rows,
                               random::Perturbed<random::Gaussian> const& at, Runtime& runtime) {
  { model.likeliest_words(batch, rows, at, runtime) } -> std::same_as<std::vector<std::int32_t>>;
  { model.config().max_tokens() } -> std::convertible_to<std::size_t>;
};

namespace detail {
struct GreedyExample {
  struct Config {
    [[nodiscard]] std::size_t max_tokens() const { return 0; }
  };
  [[nodiscard]] Config config() const { return {}; }
  template <random::Perturbation P>
  std::vector<std::int32_t> likeliest_words(CausalBatch const&, std::span<std::size_t const>,
                                            random::Perturbed<P> const&, Runtime&) const {
    return {};
  }
};
} // namespace detail
static_assert(GreedyModel<detail::GreedyExample> && !GreedyModel<CausalBatch>);

/// What is continued, and a guess at how: a right guess is found out in one pass and changes no result.
struct TextToContinue {
  std::span<std::int32_t const> prompt;     ///< with framing; at least one token
  std::span<std::int32_t const> guess = {}; ///< tokens that may follow; empty for no guess
};

namespace detail {

/// A text under way: what is read of it behind its prompt, of which the first `written` tokens are settled.
struct OpenText {
  std::size_t index = 0, limit = 0; ///< in the batch; tokens to add at most
  std::vector<std::int32_t> behind = {};
  std::size_t written = 0;

  /// Appends prompt and text to a batch, and the rows behind which the words are not settled.
  void add_to(CausalBatch& batch, std::vector<std::size_t>& rows,
              std::span<std::int32_t const> prompt) const {
    std::size_t const sequence = batch.size();
    batch.add(prompt);
    std::size_t const last = batch.tokens() - 1; // `behind` lies right behind it
    if (!behind.empty()) {
      batch.add_behind(sequence, behind);
    }
    for (std::size_t i = written; i <= behind.size(); ++i) {
      rows.push_back(last + i);
    }
  }

  /// Takes the words found behind these rows, as far as the guess was right and one further; the guess ends
  /// there. Returns whether the text goes on.
  [[nodiscard]] bool take(std::span<std::int32_t const> found, GenerateOptions const& options) {
    for (std::int32_t const id : found) {
      if (id == options.eos) {
        behind.resize(written);
        return false;
      }
      bool const right = written < behind.size() && behind[written] == id;
      if (!right) {
        behind.resize(written);
        behind.push_back(id);
      }
      ++written;
      if ((options.on_token && !options.on_token(id)) || written == limit) {
        behind.resize(written);
        return false;
      }
      if (!right) {
        break;
      }
    }
    return true;
  }
};

} // namespace detail

/// For each text the tokens that generate() adds to its prompt with the weights at the one point `at`. Each
/// pass reads all texts that are not at their end, from their beginning, and finds a token more of each, or
/// as many as were guessed. options.on_token is called with the tokens of all texts. Throws Error as
/// generate() does, and for tokens that are to be drawn and no likeliest ones.
template <GreedyModel Model, random::Perturbation P>
[[nodiscard]] std::vector<std::vector<std::int32_t>>
generate_batch(Model const& model, std::span<TextToContinue const> texts, GenerateOptions const& options,
               random::Perturbed<P> const& at, Runtime& runtime) {
  require(at.lanes() == 1, "generation: ", at.lanes(), " points; texts are written at one after the other");
  require(options.sampling.temperature == 0.0F, "generation: a batch of texts is written greedily, with a ",
          "temperature of 0");
  std::vector<std::vector<std::int32_t>> added(texts.size());
  std::vector<detail::OpenText> open;
  for (std::size_t i = 0; i < texts.size() && options.max_tokens != 0; ++i) {
    std::size_t const room = room_behind(model, texts[i].prompt);
    open.push_back({i, std::min(options.max_tokens, room)});
    auto const guess = texts[i].guess.first(std::min(texts[i].guess.size(), open.back().limit - 1));
    open.back().behind.assign(guess.begin(), guess.end());
  }
  while (!open.empty()) {
    CausalBatch batch;
    std::vector<std::size_t> rows, ends;
    for (detail::OpenText const& text : open) {
      text.add_to(batch, rows, texts[text.index].prompt);
      ends.push_back(rows.size());
    }
    std::vector<std::int32_t> const words = model.likeliest_words(batch, rows, at, runtime);
    std::vector<detail::OpenText> left;
    for (std::size_t t = 0, from = 0; t < open.size(); from = ends[t], ++t) {
      bool const goes_on = open[t].take(std::span(words).subspan(from, ends[t] - from), options);
      if (goes_on) {
        left.push_back(std::move(open[t]));
      } else {
        added[open[t].index] = std::move(open[t].behind);
      }
    }
    open = std::move(left);
  }
  return added;
}

} // namespace pocketllm::models
