// SPDX-License-Identifier: Apache-2.0
// The points theta + c z(seed) at which a loss is to be evaluated: seeds and numbers, never weights.
#pragma once

#include <pocketllm/random/any_perturbation.hpp>

#include <cstddef>
#include <cstdint>
#include <span>

namespace pocketllm::random {

/// One point theta + coefficient * z(seed).
struct Point {
  std::uint64_t seed = 0;   ///< of the direction z
  float coefficient = 0.0F; ///< 0 for the weights themselves, whatever the seed
  friend constexpr bool operator==(Point const&, Point const&) = default;
};

/// The weights themselves.
inline constexpr Point origin{0, 0.0F};

/// A model's weights seen at several points at once, one a lane. Points that share a seed should be
/// neighbours: their z is made once.
template <Perturbation P>
struct Perturbed {
  P perturbation;                ///< makes z(seed)
  std::span<Point const> points; ///< of the caller's, one for each lane

  /// As many as points.
  [[nodiscard]] std::size_t lanes() const noexcept { return points.size(); }
};

/// The weights at `points`, which must outlive the view.
template <Perturbation P>
[[nodiscard]] Perturbed<P> perturb(P const& perturbation, std::span<Point const> points) noexcept {
  return {perturbation, points};
}

/// The weights as they are: one lane, no noise. For inference and evaluation.
template <Perturbation P = Gaussian>
[[nodiscard]] Perturbed<P> unperturbed(P const& perturbation = {}) noexcept {
  return {perturbation, {&origin, 1}};
}

} // namespace pocketllm::random
