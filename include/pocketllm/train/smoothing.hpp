// SPDX-License-Identifier: Apache-2.0
// The running mean that makes a noisy loss readable, in the progress display and in the plot.
#pragma once

#include <cmath>

namespace pocketllm::train {

/// Exponentially weighted mean: a value's weight falls by the factor `decay` with each later one. It is
/// divided by the sum of the weights, so the first values are not pulled towards zero (as in Adam, arXiv
/// 1412.6980, section 3). Values that are not finite are left out.
class ExponentialMean {
public:
  /// 0.95 averages over about 1 / (1 - 0.95) = 20 values.
  explicit ExponentialMean(double decay = 0.95) noexcept : decay_(decay) {}

  /// Takes the next value; one that is not finite changes nothing.
  void add(double value) noexcept {
    if (std::isfinite(value)) {
      sum_ = decay_ * sum_ + (1.0 - decay_) * value;
      weight_ = decay_ * weight_ + (1.0 - decay_);
    }
  }

  /// NaN before the first value.
  [[nodiscard]] double value() const noexcept { return weight_ > 0.0 ? sum_ / weight_ : std::nan(""); }

private:
  double decay_;
  double sum_ = 0.0, weight_ = 0.0;
};

} // namespace pocketllm::train
