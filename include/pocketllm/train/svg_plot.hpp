// SPDX-License-Identifier: Apache-2.0
// The course of a training run as a picture: an SVG file that stands alone and follows the reader's light or
// dark colours.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/text/utf8.hpp>
#include <pocketllm/train/format.hpp>
#include <pocketllm/train/plot_series.hpp>
#include <pocketllm/train/svg_axis.hpp>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

namespace pocketllm::train {

/// The curves of a training.
struct TrainingPlot {
  std::string title = "Training";          ///< above the plot, and what screen readers read
  std::string subtitle = {};               ///< below the title, e.g. model and settings; may be empty
  std::vector<PlotPoint> losses = {};      ///< of each step, on the left axis, with a smoothed line
  std::vector<PlotPoint> accuracies = {};  ///< of evaluations, 0 to 1, on the right axis in percent
  std::string loss_label = "loss";         ///< names the left axis and the line
  std::string accuracy_label = "accuracy"; ///< names the right axis and the dots
};

namespace detail {

/// `text` for XML: markup characters escaped, control characters as spaces, invalid bytes as U+FFFD.
[[nodiscard]] inline std::string xml(std::string_view text) {
  std::string result;
  for (char const c : text::replace_invalid_utf8(text)) {
    switch (c) {
    case '&':
      result += "&amp;";
      break;
    case '<':
      result += "&lt;";
      break;
    case '>':
      result += "&gt;";
      break;
    case '"':
      result += "&quot;";
      break;
    default:
      result += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
  }
  return result;
}

/// The colours: blue and orange are told apart by nearly everyone, on white and on black. Renderers without
/// media queries draw the light ones.
inline constexpr char const* plot_style = R"(<style>
  text { font: 13px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #57606a; }
  .title { font-size: 17px; font-weight: 600; fill: #1f2328; }
  .back { fill: #ffffff; }
  .grid { stroke: #e3e7eb; fill: none; }
  .axis { stroke: #8c959f; fill: none; }
  .dots { fill: #0b62c4; fill-opacity: 0.28; }
  .loss { stroke: #0b62c4; stroke-width: 2.2; fill: none; stroke-linejoin: round; stroke-linecap: round; }
  .loss-text { fill: #0b62c4; }
  .accuracy { stroke: #c4500b; stroke-width: 1.8; fill: none; stroke-linejoin: round; }
  .marks { fill: #c4500b; }
  .accuracy-text { fill: #c4500b; }
  @media (prefers-color-scheme: dark) {
    text { fill: #9aa4af; }
    .title { fill: #e6edf3; }
    .back { fill: #0d1117; }
    .grid { stroke: #262c34; }
    .axis { stroke: #6e7781; }
    .dots, .loss-text { fill: #62aaff; }
    .loss { stroke: #62aaff; }
    .marks, .accuracy-text { fill: #ff9a4d; }
    .accuracy { stroke: #ff9a4d; }
  }
</style>
)";

/// Draws one plot; all members are in pixels of the picture.
class PlotDrawing {
public:
  explicit PlotDrawing(TrainingPlot const& plot)
      : plot_(plot), losses_(drawable(plot.losses, 1.0)), accuracies_(drawable(plot.accuracies, 100.0)),
        right_(accuracies_.empty() ? width - 28.0 : width - 66.0), steps_(step_axis()),
        loss_axis_(value_axis(losses_, bottom, top)), accuracy_axis_(value_axis(accuracies_, bottom, top)) {}

  [[nodiscard]] std::string draw() {
    svg_ = concat("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 ", width, " ", height,
                  "\" width=\"", width, "\" height=\"", height, "\" role=\"img\">\n<title>", xml(plot_.title),
                  "</title>\n", plot_style, "<rect class=\"back\" width=\"100%\" height=\"100%\"/>\n");
    text(left, 30, "title", "start", plot_.title);
    text(left, 50, "", "start", plot_.subtitle);
    draw_axes();
    draw_legend();
    std::vector<PlotPoint> const line = thinned(smoothed(losses_));
    circles(thinned(losses_), loss_axis_, "dots", 2.0);
    polyline(line, loss_axis_, "loss");
    polyline(thinned(accuracies_), accuracy_axis_, "accuracy");
    circles(thinned(accuracies_), accuracy_axis_, "marks", 3.4);
    return std::move(svg_) + "</svg>\n";
  }

private:
  static constexpr int width = 760, height = 430;
  static constexpr double left = 66.0, top = 92.0, bottom = 372.0;

  [[nodiscard]] Axis step_axis() const {
    double last = 1.0; // a run begins at step 0
    for (auto const* points : {&losses_, &accuracies_}) {
      for (PlotPoint const& point : *points) {
        last = std::max(last, point.step);
      }
    }
    return {0.0, last, 8, left, right_};
  }

  void text(double x, double y, std::string_view style, std::string_view anchor, std::string_view words,
            std::string_view more = "") {
    if (!words.empty()) {
      svg_ += concat("<text x=\"", fixed(x, 1), "\" y=\"", fixed(y, 1), "\" class=\"", style,
                     "\" text-anchor=\"", anchor, "\"", more, ">", xml(words), "</text>\n");
    }
  }

  void line(double x1, double y1, double x2, double y2, std::string_view style) {
    svg_ += concat("<path class=\"", style, "\" d=\"M", fixed(x1, 1), " ", fixed(y1, 1), "L", fixed(x2, 1),
                   " ", fixed(y2, 1), "\"/>\n");
  }

  void draw_axes() {
    for (double const tick : losses_.empty() ? std::vector<double>{} : loss_axis_.ticks()) {
      line(left, loss_axis_.at(tick), right_, loss_axis_.at(tick), "grid");
      text(left - 9, loss_axis_.at(tick) + 4.5, "", "end", loss_axis_.label(tick));
    }
    for (double const tick : accuracies_.empty() ? std::vector<double>{} : accuracy_axis_.ticks()) {
      line(right_, accuracy_axis_.at(tick), right_ + 5, accuracy_axis_.at(tick), "axis");
      text(right_ + 9, accuracy_axis_.at(tick) + 4.5, "", "start", accuracy_axis_.label(tick) + " %");
    }
    line(left, bottom, right_, bottom, "axis");
    for (double const tick : steps_.ticks()) {
      line(steps_.at(tick), bottom, steps_.at(tick), bottom + 5, "axis");
      text(steps_.at(tick), bottom + 20, "", "middle", steps_.label(tick));
    }
    text((left + right_) / 2, bottom + 42, "", "middle", "step");
  }

  /// Both names above the plot, each at the side of its axis and beside a sample of its line.
  void draw_legend() {
    double const y = top - 18;
    if (!losses_.empty()) {
      line(left, y - 4.5, left + 22, y - 4.5, "loss");
      text(left + 29, y, "loss-text", "start", plot_.loss_label);
    }
    if (!accuracies_.empty()) {
      line(right_ - 22, y - 4.5, right_, y - 4.5, "accuracy");
      svg_ += concat("<circle class=\"marks\" cx=\"", fixed(right_ - 11, 1), "\" cy=\"", fixed(y - 4.5, 1),
                     "\" r=\"3.4\"/>\n");
      text(right_ - 29, y, "accuracy-text", "end", plot_.accuracy_label);
    }
  }

  void circles(std::vector<PlotPoint> const& points, Axis const& axis, std::string_view style,
               double radius) {
    svg_ += concat("<g class=\"", style, "\">");
    for (PlotPoint const& point : points) {
      svg_ += concat("<circle cx=\"", fixed(steps_.at(point.step), 1), "\" cy=\"",
                     fixed(axis.at(point.value), 1), "\" r=\"", fixed(radius, 1), "\"/>");
    }
    svg_ += "</g>\n";
  }

  void polyline(std::vector<PlotPoint> const& points, Axis const& axis, std::string_view style) {
    svg_ += concat("<polyline class=\"", style, "\" points=\"");
    for (PlotPoint const& point : points) {
      svg_ += concat(fixed(steps_.at(point.step), 1), ",", fixed(axis.at(point.value), 1), " ");
    }
    svg_ += "\"/>\n";
  }

  TrainingPlot const& plot_;
  std::vector<PlotPoint> losses_, accuracies_;
  double right_;
  Axis steps_, loss_axis_, accuracy_axis_;
  std::string svg_;
};

} // namespace detail

/// The plot as SVG: each step's loss as a faint dot, their running mean as a line, evaluations as joined
/// dots.
[[nodiscard]] inline std::string render_svg(TrainingPlot const& plot) {
  return detail::PlotDrawing(plot).draw();
}

/// Writes render_svg to a file. Throws Error when that fails.
inline void write_svg(std::filesystem::path const& path, TrainingPlot const& plot) {
  std::string const svg = render_svg(plot);
  errno = 0;
  std::ofstream file(path, std::ios::binary);
  file << svg << std::flush;
  if (!file) {
    fail(path.string(), ": cannot be written", errno != 0 ? concat(" (", std::strerror(errno), ")") : "",
         "; check the folder, its permissions and the space on the disk");
  }
}

} // namespace pocketllm::train
