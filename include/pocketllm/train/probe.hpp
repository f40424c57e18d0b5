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
#include <numeric>
#include <span>
#include <vector>

namespace pocketllm::train {

/// How much a probe looks at.
struct ProbeOptions {
  std::size_t directions = 4; ///< the same for all batches, each of which costs 1 + 2 directions points
  std::size_t max_lanes = 0;  ///< points at once; 0 for all
  float distance = 1e-2F; ///< where the loss is measured: further out than a step's points, to see it curve
  std::uint64_t seed = 0; ///< direction k has output k of SplitMix64
};

/// What a probe found along random directions z.
struct Probe {
  double loss = 0.0;  ///< at the weights
  double slope = 0.0; ///< root of the mean square of z . grad L of a batch
  /// Mean of z' H z, which for noise of variance 1 estimates the trace of the Hessian.
  double curvature = 0.0;
  double bend = 0.0; ///< mean of |z' H z|
  /// Share of a batch's squared slope that is of all batches, not of its own examples alone: the mean product
  /// of the slopes of two different batches along a direction, over slope^2. 1 of a single batch, which
  /// does not tell.
  double signal = 1.0;

  /// What a signal is taken for at least, since 8 batches and 4 directions know it to 0.1 only. The quarter
  /// of it that is taken of a step lowers the loss wherever the signal is above an eighth of this.
  static constexpr double least_signal = 0.05;

  /// The curvature that lengths are measured by. Where it is not clearly upwards in the mean, which gives no
  /// least loss to aim at, the mean size of what it is along a direction, either way: less than half of
  /// that is within what the directions differ by.
  [[nodiscard]] double scale() const noexcept { return curvature > 0.5 * bend ? curvature : bend; }

  /// The share to take of a step that would be best for its batch if the loss were a parabola. A step of rate
  /// r along z, with the slope s of a batch, changes the loss of all examples by -r signal s^2 + r^2 s^2 z' H
  /// z / 2 in the mean: least at r = signal / trace. A quarter of that, since the loss curves more in other
  /// places and the signal falls while a model learns.
  [[nodiscard]] double length_share() const noexcept { return 0.25 * std::clamp(signal, least_signal, 1.0); }

  /// A rate to begin with, and to let fall, for steps of SGD along the mean of `directions` two-point
  /// estimates, for which the best is `directions` times that of one. 0 where the loss does not curve at all.
  [[nodiscard]] double learning_rate(double directions = 1.0) const noexcept {
    return scale() > 0.0 ? length_share() * directions / scale() : 0.0;
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

/// What the losses of batches along the same directions add up to.
class ProbeSums {
public:
  explicit ProbeSums(std::size_t directions) : slopes_(directions, 0.0) {}

  /// A batch's: at the weights, then at +distance and -distance along each direction.
  void add(std::span<float const> losses, double distance) {
    auto const at = [&](std::size_t i) { return static_cast<double>(losses[i]); };
    loss_ += at(0);
    for (std::size_t k = 0; k < slopes_.size(); ++k) {
      double const plus = at(1 + 2 * k), minus = at(2 + 2 * k);
      double const slope = (plus - minus) / (2.0 * distance);
      slopes_[k] += slope;
      squares_ += slope * slope;
      double const curvature = (plus + minus - 2.0 * at(0)) / (distance * distance);
      curvature_ += curvature;
      bend_ += std::abs(curvature);
    }
    batches_ += 1.0;
  }

  [[nodiscard]] Probe mean() const {
    double const count = batches_ * static_cast<double>(slopes_.size());
    Probe mean{loss_ / batches_, std::sqrt(squares_ / count), curvature_ / count, bend_ / count};
    if (batches_ > 1.0 && squares_ > 0.0) {
      // (sum of slopes)^2 is the squares and the products of all ordered pairs
      double const all = std::inner_product(slopes_.begin(), slopes_.end(), slopes_.begin(), 0.0);
      mean.signal = (all - squares_) / ((batches_ - 1.0) * squares_);
    }
    return mean;
  }

private:
  std::vector<double> slopes_; ///< of each direction, summed over batches
  double loss_ = 0.0, squares_ = 0.0, curvature_ = 0.0, bend_ = 0.0, batches_ = 0.0;
};

} // namespace detail

/// Probes the loss around the weights on some batches, along the same random directions. The weights are only
/// read. Throws Error when there are no batches, and when a loss is not a finite number.
template <class Model, class O, random::Perturbation P>
requires Objective<O, Model, P>
[[nodiscard]] Probe probe(Model const& model, O const& objective, std::span<typename O::Batch const> batches,
                          P const& perturbation, ProbeOptions const& options, Runtime& runtime) {
  require(!batches.empty() && options.directions > 0, "a probe needs a batch and a direction");
  double const distance = static_cast<double>(options.distance);
  std::vector<random::Point> points{random::origin};
  for (std::size_t k = 0; k < options.directions; ++k) {
    points.push_back({split_mix(options.seed, k), options.distance});
    points.push_back({points.back().seed, -options.distance});
  }
  detail::ProbeSums sums(options.directions);
  for (auto const& batch : batches) {
    std::vector<float> const losses =
        detail::losses_at(model, objective, batch, perturbation, std::span<random::Point const>(points),
                          options.max_lanes, runtime);
    sums.add(losses, distance);
  }
  Probe const mean = sums.mean();
  require(std::isfinite(mean.loss) && std::isfinite(mean.curvature),
          "the loss around the weights is not a finite number; the examples or the weights are damaged");
  return mean;
}

} // namespace pocketllm::train
