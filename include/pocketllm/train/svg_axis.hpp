// SPDX-License-Identifier: Apache-2.0
// An axis of a plot: a range that ends on round numbers, its ticks, and where a value lies on it.
#pragma once

#include <pocketllm/train/format.hpp>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

namespace pocketllm::train {

/// Values from `low` to `high` on a line from `from` to `to` (pixels; `to` may be the smaller one).
class Axis {
public:
  /// The smallest range with `low` and `high` in it whose ends are ticks. Ticks are multiples of 1, 2 or 5
  /// times a power of ten, about `ticks` of them. Both ends are finite; they may be the same.
  Axis(double low, double high, int ticks, double from, double to) : from_(from), to_(to) {
    if (!(high - low > 1e-9 * std::max(std::abs(low), std::abs(high)))) { // one value: it gets the middle
      double const margin = low == 0.0 ? 1.0 : 0.1 * std::abs(low);
      low -= margin;
      high += margin;
    }
    step_ = round_step((high - low) / ticks);
    // a billionth of a step: a bound that is a tick but for rounding needs no further tick
    first_ = std::floor(low / step_ + 1e-9);
    last_ = std::ceil(high / step_ - 1e-9);
  }

  /// Where `value` lies, in pixels.
  [[nodiscard]] double at(double value) const noexcept {
    return from_ + (to_ - from_) * (value / step_ - first_) / (last_ - first_);
  }

  /// Values of the ticks, both ends among them.
  [[nodiscard]] std::vector<double> ticks() const {
    std::vector<double> values;
    for (double i = first_; i <= last_; i += 1.0) {
      values.push_back(i * step_ + 0.0); // + 0.0: no minus sign before zero
    }
    return values;
  }

  /// A tick's value with the digits that tell it from its neighbours.
  [[nodiscard]] std::string label(double tick) const {
    return fixed(tick, static_cast<int>(std::max(0.0, -std::floor(std::log10(step_) + 1e-9))));
  }

private:
  [[nodiscard]] static double round_step(double step) noexcept {
    double const power = std::pow(10.0, std::floor(std::log10(step) + 1e-9));
    double const digits = step / power * (1.0 - 1e-9); // up to 10; what is 2 but for rounding counts as 2
    return power * (digits <= 1.0 ? 1.0 : digits <= 2.0 ? 2.0 : digits <= 5.0 ? 5.0 : 10.0);
  }

  double from_, to_;
  double step_ = 1.0, first_ = 0.0, last_ = 1.0; ///< ends in steps
};

} // namespace pocketllm::train
