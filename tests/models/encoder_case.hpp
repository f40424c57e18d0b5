// SPDX-License-Identifier: Apache-2.0
// Everything that a test compares of one forward pass of an encoder model, and the naive twin of a point.
#pragma once

#include "golden.hpp"
#include "models/written_at.hpp"
#include <pocketllm/core/runtime.hpp>
#include <pocketllm/io/load.hpp>
#include <pocketllm/models/encoder_model.hpp>
#include <pocketllm/random/noise.hpp>
#include <pocketllm/random/perturbed.hpp>
#include <pocketllm/train/objective.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <span>
#include <string>
#include <vector>

namespace encoders {

using namespace pocketllm;
using golden::Examples;
using golden::Json;

inline std::filesystem::path folder(std::string const& name) {
  return golden::path_of("models/data/" + name);
}

/// The golden file's batches of a case.
inline Json batches(std::string const& name) {
  return io::read_object(folder(name) / "golden.json").at("batches");
}

/// What a forward pass finds, all lanes one behind the other.
struct Outputs {
  std::vector<std::vector<float>> states; ///< [lanes, tokens, width], before each layer and behind the last
  std::vector<float> logits; ///< [lanes, tokens, vocabulary]; of a classifier [lanes, sequences, classes],
                             ///< without a head the means [lanes, sequences, width]
  std::vector<float> scores; ///< [lanes, sequences, label words] at the masks; none of a classifier
  std::vector<float> losses; ///< [lanes]

  friend bool operator==(Outputs const&, Outputs const&) = default;

  /// One of the `lanes` lanes.
  [[nodiscard]] Outputs lane(std::size_t l) const {
    std::size_t const lanes = losses.size(); // a headless model has none to tell
    auto const part = [&](std::vector<float> const& all) {
      std::size_t const size = all.size() / lanes;
      std::span<float const> const own = std::span(all).subspan(l * size, size);
      return std::vector<float>(own.begin(), own.end());
    };
    Outputs one{{}, part(logits), part(scores), part(losses)};
    for (auto const& state : states) {
      one.states.push_back(part(state));
    }
    return one;
  }
};

using golden::copy;

template <class Model, random::Perturbation P>
Outputs run(Model const& model, Examples const& examples, random::Perturbed<P> const& at, Runtime& runtime) {
  Workspace::Frame const frame(runtime.workspace());
  Outputs out;
  Lanes<float> const last =
      model.hidden(examples.tokens, at, runtime, [&](std::size_t layer, Lanes<float const> x) {
        require(layer == out.states.size(), "layers out of order");
        out.states.push_back(copy(x));
      });
  require(copy(last) == out.states.back(), "the result is not what the observer saw at last");
  if (model.config().classes != 0) {
    Lanes<float> const scores = model.class_scores(examples.tokens, at, runtime);
    out.logits = copy(scores);
    out.losses = train::mean_cross_entropy(scores, examples.labels);
    return out;
  }
  if (model.config().headless) {
    out.logits = copy(model.pooled(examples.tokens, models::Pooling::mean, at, runtime));
    return out;
  }
  std::vector<std::size_t> all(examples.tokens.tokens());
  std::iota(all.begin(), all.end(), std::size_t{0});
  out.logits = copy(model.word_scores(examples.tokens, all, {}, at, runtime));
  Lanes<float> const scores = model.word_scores(examples.tokens, examples.masks, examples.words, at, runtime);
  out.scores = copy(scores);
  out.losses = train::mean_cross_entropy(scores, examples.labels);
  return out;
}

/// The weights as they are.
template <class Model>
Outputs run(Model const& model, Examples const& examples, Runtime& runtime) {
  return run(model, examples, random::unperturbed(), runtime);
}

/// The largest relative error among all outputs of one lane.
inline double relative_error(Outputs const& found, Outputs const& expected) {
  double worst = found.states.size() == expected.states.size() ? 0.0 : 1.0;
  for (std::size_t i = 0; i < found.states.size(); ++i) {
    worst = std::max(worst, golden::relative_error(found.states[i], expected.states[i]));
  }
  worst = std::max(worst, golden::relative_error(found.logits, expected.logits));
  if (!expected.scores.empty()) {
    worst = std::max(worst, golden::relative_error(found.scores, expected.scores));
  }
  return expected.losses.empty() ? worst
                                 : std::max(worst, golden::relative_error(found.losses, expected.losses));
}

/// The naive twin of a point.
template <class Family, layers::Weights T, random::Perturbation P>
models::EncoderModel<Family, float> written_at(models::EncoderModel<Family, T> const& model,
                                               P const& perturbation, random::Point point) {
  return golden::written_at<models::EncoderModel<Family, float>>(model, perturbation, point);
}

/// Hidden states, logits, label words and loss of a golden batch are those of transformers.
template <class Model>
void check_parity(Model const& model, golden::Tensors const& tensors, Json const& json) {
  std::string const name = json.at("name").get<std::string>();
  CAPTURE(name);
  Examples const examples(json);
  Runtime runtime(1);
  Outputs const found = run(model, examples, runtime);
  REQUIRE(found.states.size() == model.config().encoder.layers + 1);
  for (std::size_t i = 0; i < found.states.size(); ++i) {
    CAPTURE(i);
    auto const expected = tensors.rows(name + ".hidden_states." + std::to_string(i), examples.places);
    CHECK(golden::relative_error(found.states[i], expected) <= golden::tolerance);
  }
  bool const headless = model.config().headless, masked = model.config().classes == 0 && !headless;
  auto const logits = masked ? tensors.rows(name + ".logits", examples.places) : tensors[name + ".logits"];
  CHECK(golden::relative_error(found.logits, logits) <= golden::tolerance);
  if (masked) {
    std::vector<float> at_masks;
    for (std::size_t const token : examples.masks) {
      for (std::int32_t const word : examples.words) {
        at_masks.push_back(logits[token * model.config().vocabulary + static_cast<std::size_t>(word)]);
      }
    }
    CHECK(golden::relative_error(found.scores, at_masks) <= golden::tolerance);
  }
  if (headless) {
    return;
  }
  REQUIRE(found.losses.size() == 1);
  CHECK(golden::relative_error(static_cast<double>(found.losses[0]), json.at("loss").get<double>()) <=
        golden::tolerance);
}

} // namespace encoders
