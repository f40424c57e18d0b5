// SPDX-License-Identifier: Apache-2.0
// How the learning rate changes over a run.
#pragma once

#include <pocketllm/core/error.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <string_view>

namespace pocketllm::optimize {

/// A rate as a pure function of the step. With T steps and w of warm-up: rate (t + 1) / w for t < w, and
/// then, with p = (t - w) / (T - w), rate, rate (1 - p) or rate (1 + cos(pi p)) / 2.
struct Schedule {
  /// Of the rate behind the warm-up: as it is, or down to 0 in a straight line or half a cosine.
  enum class Shape : std::uint8_t { constant, linear, cosine };

  Shape shape = Shape::constant; ///< behind the warm-up
  float rate = 1e-6F;            ///< the highest, at the end of the warm-up
  std::uint64_t steps = 1;       ///< of the whole run
  std::uint64_t warm_up = 0;     ///< steps of the straight line up; 0 for none

  /// What is written down of it (train/part.hpp).
  template <class Self, class F>
  static void parameters(Self& self, F&& f) {
    f("shape", self.shape);
    f("rate", self.rate);
    f("steps", self.steps);
    f("warm_up", self.warm_up);
  }

  /// The rate of step `step`, counted from 0. Behind the last step p stays 1.
  [[nodiscard]] float at(std::uint64_t step) const noexcept {
    if (step < warm_up) {
      return rate * (static_cast<float>(step + 1) / static_cast<float>(warm_up));
    }
    double const length = static_cast<double>(std::max<std::uint64_t>(1, steps - std::min(steps, warm_up)));
    double const progress = std::min(1.0, static_cast<double>(step - warm_up) / length);
    switch (shape) {
    case Shape::linear:
      return static_cast<float>(static_cast<double>(rate) * (1.0 - progress));
    case Shape::cosine:
      return static_cast<float>(static_cast<double>(rate) * 0.5 *
                                (1.0 + std::cos(std::numbers::pi * progress)));
    case Shape::constant:
      break;
    }
    return rate;
  }

  /// As parse() reads it and a journal has it.
  [[nodiscard]] static constexpr std::string_view name_of(Shape shape) noexcept {
    return shape == Shape::constant ? "constant" : shape == Shape::linear ? "linear" : "cosine";
  }

  /// "constant", "linear" or "cosine". Throws Error otherwise.
  [[nodiscard]] static Shape parse(std::string_view name) {
    if (name == "constant") {
      return Shape::constant;
    }
    if (name == "linear") {
      return Shape::linear;
    }
    require(name == "cosine", "schedule \"", name, "\" is not known; use constant, linear or cosine");
    return Shape::cosine;
  }
};

} // namespace pocketllm::optimize
