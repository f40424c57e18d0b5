// SPDX-License-Identifier: Apache-2.0
// Estimators: where to evaluate the loss in a step, and what slopes follow from the answers.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/core/split_mix.hpp>
#include <pocketllm/optimize/gradient.hpp>
#include <pocketllm/random/perturbed.hpp>

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace pocketllm::optimize {

/// points(step) says where the loss is to be evaluated; gradient(points, losses) what was learnt. Both are
/// pure functions of their arguments and of the estimator's parameters, so that a run can be continued at any
/// step.
template <class E>
concept Estimator = requires(E const e, std::uint64_t step, std::span<random::Point const> points,
                             std::span<float const> losses) {
  { e.points(step) } -> std::convertible_to<std::span<random::Point const>>;
  { e.gradient(points, losses) } -> std::same_as<Gradient>;
};

/// Two-point SPSA (Spall 1992) as in MeZO (Malladi et al., arXiv 2305.17333, definition 1):
/// slope = (L(theta + epsilon z) - L(theta - epsilon z)) / (2 epsilon).
struct TwoPoint {
  /// What a journal calls it.
  static constexpr std::string_view name = "two-point";
  float epsilon = 1e-3F;    ///< the distance; 1e-3 for all weights
  std::uint64_t seed = 0;   ///< of the run; step t uses output t of SplitMix64
  std::uint64_t shared = 1; ///< see SeedRule

  /// What is written down of it beside its name and seeds (train/part.hpp).
  template <class Self, class F>
  static void parameters(Self& self, F&& f) {
    f("epsilon", self.epsilon);
  }
  /// Slopes of a step, at most. Slope k of step t is along z(seeds().seed(t, slopes(), k)).
  [[nodiscard]] static constexpr std::size_t slopes() noexcept { return 1; }
  /// The rule of the run's seeds, for the header of a journal.
  [[nodiscard]] SeedRule seeds() const noexcept { return {seed, shared}; }

  /// theta + epsilon z and theta - epsilon z.
  [[nodiscard]] std::array<random::Point, 2> points(std::uint64_t step) const noexcept {
    std::uint64_t const direction = seeds().seed(step, slopes(), 0);
    return {random::Point{direction, epsilon}, random::Point{direction, -epsilon}};
  }

  /// Throws Error unless there are two points and two losses.
  [[nodiscard]] Gradient gradient(std::span<random::Point const> points,
                                  std::span<float const> losses) const {
    require(points.size() == 2 && losses.size() == 2, "TwoPoint needs two points and two losses, not ",
            points.size(), " and ", losses.size());
    return {{points[0].seed, (losses[0] - losses[1]) / (2.0F * epsilon)}};
  }
};

static_assert(Estimator<TwoPoint>);
static_assert(!Estimator<random::Gaussian>);

} // namespace pocketllm::optimize
