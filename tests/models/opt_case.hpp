// SPDX-License-Identifier: Apache-2.0
// The small OPTs of tests/models/data, and everything that a test compares of one forward pass.
#pragma once

#include "golden.hpp"
#include "models/written_at.hpp"
#include <pocketllm/core/runtime.hpp>
#include <pocketllm/io/load.hpp>
#include <pocketllm/models/opt.hpp>

#include <array>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <span>
#include <string>
#include <vector>

namespace opt {

using namespace pocketllm;
using golden::Examples;
using golden::Json;

inline constexpr std::array<char const*, 3> cases{"pre", "post", "bare"};

inline std::filesystem::path folder(std::string const& name) {
  return golden::path_of("models/data/opt_" + name);
}

template <tensor::WeightStorage T>
models::Opt<T> load(std::string const& name) {
  return io::load<models::Opt<T>>(folder(name));
}

/// The golden file's batches of a case.
inline Json batches(std::string const& name) {
  return io::read_object(folder(name) / "golden.json").at("batches");
}

/// Every token behind the first of each sequence.
inline std::vector<models::Target> next_tokens(models::CausalBatch const& batch) {
  std::vector<models::Target> targets;
  for (std::size_t s = 0; s < batch.size(); ++s) {
    for (std::size_t i = 1; i < batch.ids(s).size(); ++i) {
      targets.push_back({batch.offsets()[s] + i - 1, batch.ids(s)[i]});
    }
  }
  return targets;
}

/// What a forward pass finds, all lanes one behind the other.
struct Outputs {
  std::vector<std::vector<float>> states; ///< [lanes, tokens, width], before each layer and behind the last
  std::vector<float> logits;              ///< [lanes, tokens, vocabulary]
  std::vector<float> log_p;               ///< [lanes, next tokens]
  std::vector<float> losses;              ///< [lanes]

  friend bool operator==(Outputs const&, Outputs const&) = default;

  /// One of the `lanes` lanes.
  [[nodiscard]] Outputs lane(std::size_t l) const {
    std::size_t const lanes = losses.size();
    auto const part = [&](std::vector<float> const& all) {
      std::size_t const size = all.size() / lanes;
      std::span<float const> const own = std::span(all).subspan(l * size, size);
      return std::vector<float>(own.begin(), own.end());
    };
    Outputs one{{}, part(logits), part(log_p), part(losses)};
    for (auto const& state : states) {
      one.states.push_back(part(state));
    }
    return one;
  }
};

template <tensor::WeightStorage T, random::Perturbation P>
Outputs run(models::Opt<T> const& model, models::CausalBatch const& batch, random::Perturbed<P> const& at,
            Runtime& runtime) {
  Workspace::Frame const frame(runtime.workspace());
  Outputs out;
  out.states.emplace_back();
  Lanes<float> const last =
      model.hidden(batch, at, runtime, {}, [&](std::size_t layer, Lanes<float const> x) {
        require(layer + 1 == out.states.size(), "layers out of order");
        out.states.back() = golden::copy(x);
        out.states.emplace_back();
      });
  out.states.back() = golden::copy(last);
  std::vector<std::size_t> all(batch.tokens());
  std::iota(all.begin(), all.end(), std::size_t{0});
  out.logits = golden::copy(model.word_scores(batch, all, at, runtime));
  auto const targets = next_tokens(batch);
  Lanes<float> const log_p = model.log_probabilities(batch, targets, at, runtime);
  out.log_p = golden::copy(log_p);
  for (std::size_t l = 0; l < log_p.lanes; ++l) {
    double const sum = std::accumulate(log_p.row(l, 0), log_p.row(l, 0) + targets.size(), 0.0);
    out.losses.push_back(static_cast<float>(-sum / static_cast<double>(targets.size())));
  }
  return out;
}

/// The weights as they are.
template <tensor::WeightStorage T>
Outputs run(models::Opt<T> const& model, models::CausalBatch const& batch, Runtime& runtime) {
  return run(model, batch, random::unperturbed(), runtime);
}

/// The largest relative error among all outputs of one lane.
inline double relative_error(Outputs const& found, Outputs const& expected) {
  double worst = found.states.size() == expected.states.size() ? 0.0 : 1.0;
  for (std::size_t i = 0; i < found.states.size(); ++i) {
    worst = std::max(worst, golden::relative_error(found.states[i], expected.states[i]));
  }
  worst = std::max(worst, golden::relative_error(found.logits, expected.logits));
  worst = std::max(worst, golden::relative_error(found.log_p, expected.log_p));
  return std::max(worst, golden::relative_error(found.losses, expected.losses));
}

} // namespace opt
