// SPDX-License-Identifier: Apache-2.0
// Estimators that look at how the loss curves along a direction, and choose the length of the step by that.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/core/split_mix.hpp>
#include <pocketllm/optimize/estimator.hpp>
#include <pocketllm/optimize/gradient.hpp>
#include <pocketllm/optimize/multi_point.hpp>
#include <pocketllm/random/perturbed.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <span>
#include <string_view>
#include <vector>

namespace pocketllm::optimize {

/// Newton's step along each of n directions, from three points on it, as one-and-a-half-order SPSA has it:
/// slope / |curvature| by (L+ - L-) / 2 epsilon and (L+ + L- - 2 L) / epsilon^2, divided by n. The curvature
/// counts as `floor` at least, and a step is never longer than `longest`, in units of z.
///
/// A learning rate of 1 goes to where this batch's loss would be least, so less than that is wanted.
struct Curved {
  /// What a journal calls it.
  static constexpr std::string_view name = "curved";
  float epsilon = 1e-2F;        ///< further out than a slope alone needs: curvature is a small difference
  std::uint64_t seed = 0;       ///< of the run
  std::uint64_t shared = 1;     ///< see SeedRule
  std::uint32_t directions = 4; ///< n
  float floor = 10.0F;          ///< least curvature, in loss for the square of a unit of z; above 0
  float longest = 1e-2F;        ///< before the division by n

  template <class Self, class F>
  static void parameters(Self& self, F&& f) {
    f("epsilon", self.epsilon);
    f("directions", self.directions);
    f("floor", self.floor);
    f("longest", self.longest);
  }
  /// n: one for each direction.
  [[nodiscard]] std::size_t slopes() const noexcept { return directions; }
  /// The rule of the run's seeds, for the header of a journal.
  [[nodiscard]] SeedRule seeds() const noexcept { return {seed, shared}; }

  /// theta, and theta + epsilon z and theta - epsilon z for each direction.
  [[nodiscard]] std::vector<random::Point> points(std::uint64_t step) const {
    std::vector<random::Point> points{random::origin};
    detail::add_pairs(points, seeds(), step, slopes(), directions, epsilon);
    return points;
  }

  /// Throws Error unless there is an odd number of points, three or more, and a loss for each.
  [[nodiscard]] Gradient gradient(std::span<random::Point const> points,
                                  std::span<float const> losses) const {
    require(points.size() > 2 && points.size() % 2 == 1 && losses.size() == points.size(),
            "Curved needs a point and pairs of points, and as many losses, not ", points.size(), " and ",
            losses.size());
    auto const at = [&](std::size_t i) { return static_cast<double>(losses[i]); };
    auto const far = static_cast<double>(epsilon), most = static_cast<double>(longest);
    std::size_t const pairs = points.size() / 2;
    Gradient gradient;
    for (std::size_t i = 1; i < points.size(); i += 2) {
      double const slope = (at(i) - at(i + 1)) / (2.0 * far);
      double const curvature = std::abs(at(i) + at(i + 1) - 2.0 * at(0)) / (far * far);
      double const length = slope / std::max(curvature, static_cast<double>(floor));
      gradient.push_back(
          {points[i].seed, static_cast<float>(std::clamp(length, -most, most) / static_cast<double>(pairs))});
    }
    return gradient;
  }
};

/// A line search along one direction in one visit to the weights: the loss at theta and at theta + r z and
/// theta - r z for lengths r that double from `shortest`. The step goes to the point of the least loss, or by
/// a rate below 1 some of the way there; nowhere when theta has it.
struct LineSearch {
  /// What a journal calls it.
  static constexpr std::string_view name = "line-search";
  float shortest = 2.5e-4F;  ///< the first length, in units of z
  std::uint64_t seed = 0;    ///< of the run
  std::uint64_t shared = 1;  ///< see SeedRule
  std::uint32_t lengths = 4; ///< how many, two points each; 1 or more

  template <class Self, class F>
  static void parameters(Self& self, F&& f) {
    f("shortest", self.shortest);
    f("lengths", self.lengths);
  }
  /// One: the way along the one direction.
  [[nodiscard]] static constexpr std::size_t slopes() noexcept { return 1; }
  /// The rule of the run's seeds, for the header of a journal.
  [[nodiscard]] SeedRule seeds() const noexcept { return {seed, shared}; }

  /// theta, and then theta + r z and theta - r z for r from the shortest on.
  [[nodiscard]] std::vector<random::Point> points(std::uint64_t step) const {
    std::uint64_t const direction = seeds().seed(step, slopes(), 0);
    std::vector<random::Point> points{random::origin};
    float length = shortest;
    for (std::uint32_t k = 0; k < lengths; ++k, length *= 2.0F) {
      points.push_back({direction, length});
      points.push_back({direction, -length});
    }
    return points;
  }

  /// The way to the least loss, backwards: a rule subtracts slopes. Throws Error unless there are at least
  /// two points, and a loss for each.
  [[nodiscard]] Gradient gradient(std::span<random::Point const> points,
                                  std::span<float const> losses) const {
    require(points.size() > 1 && losses.size() == points.size(),
            "LineSearch needs points and as many losses, not ", points.size(), " and ", losses.size());
    auto const least = std::distance(losses.begin(), std::min_element(losses.begin(), losses.end()));
    if (least == 0) {
      return {{points.back().seed, 0.0F}};
    }
    auto const doublings = static_cast<int>((least - 1) / 2); // as in points(): +, -, +, -, ...
    float const length = std::ldexp(shortest, doublings);
    return {{points.back().seed, least % 2 == 1 ? -length : length}};
  }
};

static_assert(Estimator<Curved> && Estimator<LineSearch>);

} // namespace pocketllm::optimize
