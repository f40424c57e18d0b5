// SPDX-License-Identifier: Apache-2.0
// A learning rate and a distance for a training that has not begun, from how the loss curves around the
// weights.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/core/runtime.hpp>
#include <pocketllm/core/split_mix.hpp>
#include <pocketllm/random/perturbed.hpp>
#include <pocketllm/train/objective.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace pocketllm::train {

/// How much a probe looks at.
struct ProbeOptions {
  std::size_t directions = 8; ///< a batch; each visit to the weights evaluates 1 + 2 directions points
  std::size_t max_lanes = 0;  ///< points at once; 0 for all
  float distance = 1e-2F; ///< where the loss is measured: further out than a step's points, to see it curve
  std::uint64_t seed = 0; ///< direction k of batch b has output b * directions + k of SplitMix64
};

/// What a probe found along random directions z.
struct Probe {
  double loss = 0.0;  ///< at the weights
  double slope = 0.0; ///< root of the mean square of z . grad L
  /// Mean of z' H z, which for noise of variance 1 estimates the trace of the Hessian.
  double curvature = 0.0;
  double bend = 0.0; ///< mean of |z' H z|

  /// The curvature that lengths are measured by: where the loss does not curve upwards in the mean, which
  /// gives no least loss to aim at, the mean size of what it curves along a direction, either way.
  [[nodiscard]] double scale() const noexcept { return curvature > 0.0 ? curvature : bend; }

  /// A rate for steps of SGD along the mean of `directions` two-point estimates. A step of rate r along z
  /// changes the loss by -r s^2 + r^2 s^2 z' H z / 2 in the mean, where s is the slope: least at r = 1 /
  /// trace, and at n times that for the mean of n directions. A fifth of it, since a batch's slope is not
  /// that of all examples and the loss curves more in other places. 0 where it does not curve at all.
  [[nodiscard]] double learning_rate(double directions = 1.0) const noexcept {
    return scale() > 0.0 ? 0.2 * directions / scale() : 0.0;
  }
  /// The distance at which the curvature has added a thousandth of the loss: the slope's error is small then,
  /// and its difference of losses far above their rounding. 1e-3 where the loss does not curve.
  [[nodiscard]] float epsilon() const noexcept {
    double const distance = std::sqrt(2e-3 * loss / scale());
    return scale() > 0.0 && loss > 0.0 ? static_cast<float>(std::clamp(distance, 1e-5, 1e-1)) : 1e-3F;
  }
};

namespace detail {

/// The losses of one batch at all points, a few at a time.
template <class Model, class O, random::Perturbation P>
[[nodiscard]] std::vector<float>
losses_at(Model const& model, O const& objective, typename O::Batch const& batch, P const& perturbation,
          std::span<random::Point const> points, std::size_t most, Runtime& runtime) {
  std::vector<float> losses;
  for (std::size_t first = 0; first < points.size();) {
    std::size_t const count = std::min(points.size() - first, most == 0 ? points.size() : most);
    auto const some =
        objective(model, batch, random::perturb(perturbation, points.subspan(first, count)), runtime);
    losses.insert(losses.end(), some.begin(), some.end());
    first += count;
  }
  return losses;
}

} // namespace detail

/// Probes the loss around the weights on some batches, each with random directions of its own. The weights
/// are only read. Throws Error when there are no batches, and when a loss is not a finite number.
template <class Model, class O, random::Perturbation P>
requires Objective<O, Model, P>
[[nodiscard]] Probe probe(Model const& model, O const& objective, std::span<typename O::Batch const> batches,
                          P const& perturbation, ProbeOptions const& options, Runtime& runtime) {
  require(!batches.empty() && options.directions > 0, "a probe needs a batch and a direction");
  double const distance = static_cast<double>(options.distance);
  Probe sum;
  double squares = 0.0;
  for (std::size_t b = 0; b < batches.size(); ++b) {
    std::vector<random::Point> points{random::origin};
    for (std::size_t k = 0; k < options.directions; ++k) {
      std::uint64_t const seed = split_mix(options.seed, b * options.directions + k);
      points.push_back({seed, options.distance});
      points.push_back({seed, -options.distance});
    }
    std::vector<float> const losses =
        detail::losses_at(model, objective, batches[b], perturbation, std::span<random::Point const>(points),
                          options.max_lanes, runtime);
    for (std::size_t i = 1; i < losses.size(); i += 2) {
      auto const at = [&](std::size_t j) { return static_cast<double>(losses[j]); };
      double const slope = (at(i) - at(i + 1)) / (2.0 * distance);
      squares += slope * slope;
      double const curvature = (at(i) + at(i + 1) - 2.0 * at(0)) / (distance * distance);
      sum.curvature += curvature;
      sum.bend += std::abs(curvature);
    }
    sum.loss += static_cast<double>(losses[0]);
  }
  double const count = static_cast<double>(batches.size() * options.directions);
  Probe const mean{sum.loss / static_cast<double>(batches.size()), std::sqrt(squares / count),
                   sum.curvature / count, sum.bend / count};
  require(std::isfinite(mean.loss) && std::isfinite(mean.curvature),
          "the loss around the weights is not a finite number; the examples or the weights are damaged");
  return mean;
}

} // namespace pocketllm::train
