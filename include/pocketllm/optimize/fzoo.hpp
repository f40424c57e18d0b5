// SPDX-License-Identifier: Apache-2.0
// FZOO: many one-sided points, and a step whose length does not depend on how steep the loss is.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/core/split_mix.hpp>
#include <pocketllm/optimize/estimator.hpp>
#include <pocketllm/optimize/gradient.hpp>
#include <pocketllm/random/perturbed.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace pocketllm::optimize {

/// FZOO (Dang et al., arXiv 2506.09034): with l_i = L(theta + epsilon u_i) and sigma the standard deviation
/// of the N losses (with N - 1), slope_i = (l_i - l_0) / (N sigma). The paper's has 1 / epsilon beside it,
/// which its code leaves out; without it a learning rate is a length: a step moves each weight by about rate
/// / sqrt(N), however steep the loss is. The paper's u_i are Rademacher.
///
/// Centred, the mean of the N losses stands for l_0, which need not be evaluated: what that takes from each
/// slope is the same for all.
struct Fzoo {
  /// What a journal calls it.
  static constexpr std::string_view name = "fzoo";
  float epsilon = 1e-3F;        ///< from theta to a point, in units of z
  std::uint64_t seed = 0;       ///< of the run
  std::uint64_t shared = 1;     ///< see SeedRule
  std::uint32_t directions = 8; ///< N
  bool centred = true;          ///< the mean loss for l_0: N points instead of N + 1

  template <class Self, class F>
  static void parameters(Self& self, F&& f) {
    f("epsilon", self.epsilon);
    f("directions", self.directions);
    f("centred", self.centred);
  }
  /// N: one for each direction.
  [[nodiscard]] std::size_t slopes() const noexcept { return directions; }
  /// The rule of the run's seeds, for the header of a journal.
  [[nodiscard]] SeedRule seeds() const noexcept { return {seed, shared}; }

  /// theta unless centred, and theta + epsilon z for each direction.
  [[nodiscard]] std::vector<random::Point> points(std::uint64_t step) const {
    std::vector<random::Point> points;
    if (!centred) {
      points.push_back(random::origin);
    }
    for (std::uint32_t k = 0; k < directions; ++k) {
      points.push_back({seeds().seed(step, slopes(), k), epsilon});
    }
    return points;
  }

  /// Slopes of zero when all losses are the same. Throws Error unless there are at least two directions, and
  /// a loss for each point.
  [[nodiscard]] Gradient gradient(std::span<random::Point const> points,
                                  std::span<float const> losses) const {
    std::size_t const first = centred ? 0 : 1;
    require(points.size() >= first + 2 && losses.size() == points.size(),
            "Fzoo needs at least two directions and a loss for each point, not ", points.size(),
            " points and ", losses.size(), " losses");
    double const n = static_cast<double>(points.size() - first);
    double mean = 0.0, squares = 0.0;
    for (float const loss : losses.subspan(first)) {
      mean += static_cast<double>(loss) / n;
    }
    for (float const loss : losses.subspan(first)) {
      squares += (static_cast<double>(loss) - mean) * (static_cast<double>(loss) - mean);
    }
    double const sigma = std::sqrt(squares / (n - 1.0)), base = centred ? mean : losses[0];
    Gradient gradient;
    for (std::size_t i = first; i < points.size(); ++i) {
      double const slope = sigma == 0.0 ? 0.0 : (static_cast<double>(losses[i]) - base) / (n * sigma);
      gradient.push_back({points[i].seed, static_cast<float>(slope)});
    }
    return gradient;
  }
};

static_assert(Estimator<Fzoo>);

} // namespace pocketllm::optimize
