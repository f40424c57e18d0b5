// SPDX-License-Identifier: Apache-2.0
// The random directions of a training, shaped as the options say.
#pragma once

#include "method_options.hpp"
#include <pocketllm/core/error.hpp>
#include <pocketllm/core/runtime.hpp>
#include <pocketllm/optimize/any.hpp>
#include <pocketllm/random/any_perturbation.hpp>
#include <pocketllm/tensor/noise_norm.hpp>
#include <pocketllm/tensor/small_weights.hpp>
#include <pocketllm/tensor/some_layers.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>

namespace examples {

/// The directions of a training.
class Directions {
public:
  explicit Directions(MethodOptions const& o)
      : o_(o), perturbation_(o.perturbation, static_cast<std::uint32_t>(o.rank)) {
    pocketllm::require(o.smallest == 0.0 || o.layers == 0,
                       "--smallest and --layers: directions are either sparse or blockwise");
  }

  /// Shapes them for a model that has the weights that the run begins with, and whose trained tensors are
  /// chosen. It must stay where it is.
  template <class Model>
  void begin(Model const& model) {
    if (o_.smallest != 0.0) {
      shaper_ = std::make_unique<pocketllm::tensor::SmallWeights>(model, static_cast<float>(o_.smallest));
    } else if (o_.layers != 0) {
      shaper_ = std::make_unique<pocketllm::tensor::SomeLayers>(model, static_cast<std::size_t>(o_.layers));
    }
    if (shaper_) {
      perturbation_ = perturbation_.shaped_by(*shaper_);
    }
  }

  [[nodiscard]] pocketllm::random::AnyPerturbation const& perturbation() const noexcept {
    return perturbation_;
  }

private:
  MethodOptions const& o_;
  pocketllm::random::AnyPerturbation perturbation_;
  std::unique_ptr<pocketllm::random::Shaper const> shaper_;
};

/// The estimator of a training, whose directions are on a sphere with --sphere.
template <class Model, class P>
[[nodiscard]] pocketllm::optimize::AnyEstimator estimator_for(MethodOptions const& o, std::uint64_t seed,
                                                              Model const& model, P const& perturbation,
                                                              pocketllm::Runtime& runtime) {
  auto estimator = estimator_of(o, seed);
  if (o.sphere) {
    // a step asks for each of its seeds several times
    estimator.scale = [&model, &runtime, perturbation,
                       known = std::map<std::uint64_t, float>()](std::uint64_t of) mutable {
      constexpr std::size_t most = 4096; // more than any step has
      if (known.size() > most) {
        known.clear();
      }
      auto const [at, added] = known.try_emplace(of, 1.0F);
      if (added) {
        at->second = pocketllm::tensor::sphere_scale(model, perturbation, of, runtime);
      }
      return at->second;
    };
  }
  return estimator;
}

} // namespace examples
