// SPDX-License-Identifier: Apache-2.0
// What a zeroth-order step learns: one number for every random direction.
#pragma once

#include <cstdint>
#include <vector>

namespace pocketllm::optimize {

/// The slope of the loss along z(seed).
struct Slope {
  std::uint64_t seed = 0; ///< of the direction z
  float slope = 0.0F;     ///< loss for a unit of z, or what the estimator gives instead
  friend constexpr bool operator==(Slope const&, Slope const&) = default;
};

/// The estimate sum_i slope_i z(seed_i). It is all that a step leaves behind: checkpoint, momentum and
/// message alike.
using Gradient = std::vector<Slope>;

} // namespace pocketllm::optimize
