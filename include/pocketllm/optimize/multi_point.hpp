// SPDX-License-Identifier: Apache-2.0
// Estimators with several directions in a step, all of whose points are evaluated in one visit to the
// weights.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/core/split_mix.hpp>
#include <pocketllm/optimize/estimator.hpp>
#include <pocketllm/optimize/gradient.hpp>
#include <pocketllm/random/perturbed.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace pocketllm::optimize {

namespace detail {

/// Adds the pairs theta + epsilon z, theta - epsilon z of the first `count` of a step's `directions`.
inline void add_pairs(std::vector<random::Point>& points, SeedRule const& seeds, std::uint64_t step,
                      std::size_t directions, std::size_t count, float epsilon) {
  for (std::size_t k = 0; k < count; ++k) {
    std::uint64_t const direction = seeds.seed(step, directions, k);
    points.push_back({direction, epsilon});
    points.push_back({direction, -epsilon});
  }
}

} // namespace detail

/// n-SPSA (Malladi et al., arXiv 2305.17333, section 2): the mean of n two-point estimates. n may rise over
/// the first steps, as the noise of the gradient comes to matter more.
struct MultiPoint {
  /// What a journal calls it.
  static constexpr std::string_view name = "multi-point";
  float epsilon = 1e-3F;        ///< from theta to a point, in units of z
  std::uint64_t seed = 0;       ///< of the run
  std::uint64_t shared = 1;     ///< see SeedRule
  std::uint32_t directions = 4; ///< n
  std::uint32_t at_start = 0;   ///< n at the first step; 0 for the same
  std::uint64_t growth = 0;     ///< steps in which it rises in a straight line

  template <class Self, class F>
  static void parameters(Self& self, F&& f) {
    f("epsilon", self.epsilon);
    f("directions", self.directions);
    f("at_start", self.at_start);
    f("growth", self.growth);
  }
  /// The largest n of the run, so that directions have the same seeds whatever n is in a step.
  [[nodiscard]] std::size_t slopes() const noexcept { return std::max(directions, at_start); }
  /// The rule of the run's seeds, for the header of a journal.
  [[nodiscard]] SeedRule seeds() const noexcept { return {seed, shared}; }

  /// n in a step.
  [[nodiscard]] std::uint32_t count(std::uint64_t step) const noexcept {
    if (at_start == 0 || step >= growth) {
      return directions;
    }
    double const share = static_cast<double>(step) / static_cast<double>(growth);
    double const more = (static_cast<double>(directions) - static_cast<double>(at_start)) * share;
    return static_cast<std::uint32_t>(static_cast<double>(at_start) + more);
  }

  /// Pairs theta + epsilon z, theta - epsilon z.
  [[nodiscard]] std::vector<random::Point> points(std::uint64_t step) const {
    std::vector<random::Point> points;
    detail::add_pairs(points, seeds(), step, slopes(), count(step), epsilon);
    return points;
  }

  /// Throws Error unless there are pairs of points, and a loss for each.
  [[nodiscard]] Gradient gradient(std::span<random::Point const> points,
                                  std::span<float const> losses) const {
    require(!points.empty() && points.size() % 2 == 0 && losses.size() == points.size(),
            "MultiPoint needs pairs of points and as many losses, not ", points.size(), " and ",
            losses.size());
    std::size_t const pairs = points.size() / 2;
    float const n = static_cast<float>(pairs);
    Gradient gradient;
    for (std::size_t i = 0; i < points.size(); i += 2) {
      gradient.push_back({points[i].seed, (losses[i] - losses[i + 1]) / (2.0F * epsilon * n)});
    }
    return gradient;
  }
};

/// One-sided differences, slope = (L(theta + epsilon z) - L(theta)) / (n epsilon) along each of n directions
/// (Nesterov and Spokoiny, Foundations of Computational Mathematics 17, 2017, equation 29): n + 1 points, of
/// which one has no noise.
struct OneSided {
  /// What a journal calls it.
  static constexpr std::string_view name = "one-sided";
  float epsilon = 1e-3F;        ///< from theta to a point, in units of z
  std::uint64_t seed = 0;       ///< of the run
  std::uint64_t shared = 1;     ///< see SeedRule
  std::uint32_t directions = 1; ///< n

  template <class Self, class F>
  static void parameters(Self& self, F&& f) {
    f("epsilon", self.epsilon);
    f("directions", self.directions);
  }
  /// n: one for each direction.
  [[nodiscard]] std::size_t slopes() const noexcept { return directions; }
  /// The rule of the run's seeds, for the header of a journal.
  [[nodiscard]] SeedRule seeds() const noexcept { return {seed, shared}; }

  /// theta, and theta + epsilon z for each direction.
  [[nodiscard]] std::vector<random::Point> points(std::uint64_t step) const {
    std::vector<random::Point> points{random::origin};
    for (std::uint32_t k = 0; k < directions; ++k) {
      points.push_back({seeds().seed(step, slopes(), k), epsilon});
    }
    return points;
  }

  /// Throws Error unless there are at least two points, and a loss for each.
  [[nodiscard]] Gradient gradient(std::span<random::Point const> points,
                                  std::span<float const> losses) const {
    require(points.size() > 1 && losses.size() == points.size(),
            "OneSided needs at least two points and as many losses, not ", points.size(), " and ",
            losses.size());
    float const n = static_cast<float>(points.size() - 1);
    Gradient gradient;
    for (std::size_t i = 1; i < points.size(); ++i) {
      gradient.push_back({points[i].seed, (losses[i] - losses[0]) / (epsilon * n)});
    }
    return gradient;
  }
};

static_assert(Estimator<MultiPoint> && Estimator<OneSided>);

} // namespace pocketllm::optimize
