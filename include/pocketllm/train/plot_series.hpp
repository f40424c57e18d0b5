// SPDX-License-Identifier: Apache-2.0
// The points of a plot, made ready to draw: finite, smoothed, and no more of them than can be seen.
#pragma once

#include <pocketllm/train/smoothing.hpp>
#include <pocketllm/train/svg_axis.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

namespace pocketllm::train {

/// A value at a step. Values that are not finite are not drawn.
struct PlotPoint {
  double step = 0.0;  ///< on the horizontal axis
  double value = 0.0; ///< a loss, or an accuracy from 0 to 1
};

namespace detail {

/// Those of the points that can be drawn, values times `scale`. Beyond 1e30 the differences that axes are
/// made of may overflow.
[[nodiscard]] inline std::vector<PlotPoint> drawable(std::span<PlotPoint const> points, double scale) {
  std::vector<PlotPoint> kept;
  for (PlotPoint const& point : points) {
    if (std::abs(point.step) < 1e30 && std::abs(point.value) < 1e30) { // false for NaN
      kept.push_back({point.step, point.value * scale});
    }
  }
  return kept;
}

/// At most about 1,000 of the points, the last one among them: more cannot be told apart in the picture, and
/// would make a long run's file megabytes long.
[[nodiscard]] inline std::vector<PlotPoint> thinned(std::vector<PlotPoint> const& points) {
  std::size_t const stride = points.size() / 1000 + 1;
  std::vector<PlotPoint> kept;
  for (std::size_t i = (points.size() + stride - 1) % stride; i < points.size(); i += stride) {
    kept.push_back(points[i]);
  }
  return kept;
}

/// The running mean of the values at each point.
[[nodiscard]] inline std::vector<PlotPoint> smoothed(std::vector<PlotPoint> points) {
  // a line over 20 values in short runs, over a fiftieth of the run in long ones
  double const values = std::max(20.0, static_cast<double>(points.size()) / 50.0);
  ExponentialMean mean(1.0 - 1.0 / values);
  for (PlotPoint& point : points) {
    mean.add(point.value);
    point.value = mean.value();
  }
  return points;
}

/// The axis for the values of points; without points, from 0 to 1.
[[nodiscard]] inline Axis value_axis(std::vector<PlotPoint> const& points, double from, double to) {
  auto const [low, high] = std::minmax_element(
      points.begin(), points.end(), [](PlotPoint const& a, PlotPoint const& b) { return a.value < b.value; });
  return points.empty() ? Axis(0.0, 1.0, 5, from, to) : Axis(low->value, high->value, 5, from, to);
}

} // namespace detail

} // namespace pocketllm::train
