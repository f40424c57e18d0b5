// SPDX-License-Identifier: Apache-2.0
#include "temporary_folder.hpp"
#include <pocketllm/train/svg_plot.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace test_svg_plot {

using namespace pocketllm;
using namespace pocketllm::train;

namespace {

std::vector<std::string> labels(Axis const& axis) {
  std::vector<std::string> all;
  for (double const tick : axis.ticks()) {
    all.push_back(axis.label(tick));
  }
  return all;
}

std::size_t count(std::string const& text, std::string_view part) {
  std::size_t found = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) {
    ++found;
  }
  return found;
}

/// Whether tags open and close in pairs, as XML wants it; attributes are not looked at.
bool well_formed(std::string const& svg) {
  std::vector<std::string> open;
  for (auto at = svg.find('<'); at != std::string::npos; at = svg.find('<', at + 1)) {
    auto const end = svg.find('>', at);
    std::string const tag = svg.substr(at + 1, end - at - 1);
    std::string const name =
        tag.substr(tag.starts_with('/') ? 1 : 0, tag.find_first_of(" /", 1) - (tag.starts_with('/') ? 1 : 0));
    if (tag.starts_with('/')) {
      if (open.empty() || open.back() != name) {
        return false;
      }
      open.pop_back();
    } else if (!tag.ends_with('/')) {
      open.push_back(name);
    }
  }
  return open.empty();
}

} // namespace

TEST_CASE("ticks are round numbers that enclose the values") {
  using Labels = std::vector<std::string>;
  CHECK(labels(Axis(0.03, 0.76, 5, 0, 1)) == Labels{"0.0", "0.2", "0.4", "0.6", "0.8"});
  CHECK(labels(Axis(66.3, 93.8, 5, 0, 1)) == Labels{"60", "70", "80", "90", "100"});
  CHECK(labels(Axis(0, 500, 8, 0, 1)) == Labels{"0", "100", "200", "300", "400", "500"});
  CHECK(labels(Axis(-0.1, 0.1, 4, 0, 1)) == Labels{"-0.10", "-0.05", "0.00", "0.05", "0.10"});
  CHECK(labels(Axis(0.693, 0.694, 5, 0, 1)) ==
        Labels{"0.6930", "0.6932", "0.6934", "0.6936", "0.6938", "0.6940"});
  CHECK(labels(Axis(0.5, 0.5, 5, 0, 1)).size() >= 3);
  CHECK(labels(Axis(0, 0, 5, 0, 1)).size() >= 3);
}

TEST_CASE("an axis for any range has few ticks, both ends among them") {
  for (double low : {-1e29, -3.7, 0.0, 1e-20, 5.0, 1e12}) {
    for (double width : {0.0, 1e-25, 1e-9, 0.001, 0.9, 1.0, 1.1, 42.0, 1e8, 1e29}) {
      CAPTURE(low);
      CAPTURE(width);
      Axis const axis(low, low + width, 5, 100, 0);
      auto const ticks = axis.ticks();
      REQUIRE(ticks.size() >= 2);
      REQUIRE(ticks.size() <= 8);
      CHECK(axis.at(ticks.front()) == doctest::Approx(100));
      CHECK(axis.at(ticks.back()) == doctest::Approx(0));
      CHECK(axis.at(low) <= 100 + 1e-6);
      CHECK(axis.at(low + width) >= -1e-6);
    }
  }
}

TEST_CASE("a plot has its points, its lines and its words") {
  TrainingPlot plot;
  plot.title = "a < b & \"c\"\x01";
  plot.subtitle = "bad \xff byte";
  for (int i = 1; i <= 50; ++i) {
    plot.losses.push_back({static_cast<double>(i), 1.0 / i});
  }
  plot.accuracies = {{0, 0.66}, {25, 0.9}, {50, 0.938}};
  std::string const svg = render_svg(plot);
  CHECK(well_formed(svg));
  CHECK(count(svg, "<circle") == 50 + 3 + 1); // and one in the legend
  CHECK(count(svg, "<polyline") == 2);
  CHECK(svg.find("a &lt; b &amp; &quot;c&quot; </text>") != std::string::npos);
  CHECK(svg.find("bad \xef\xbf\xbd byte") != std::string::npos);
  CHECK(svg.find(">100 %</text>") != std::string::npos);
  CHECK(svg.find("prefers-color-scheme: dark") != std::string::npos);
}

TEST_CASE("only finite values are drawn, and no plot is too empty") {
  double const nan = std::nan(""), infinity = std::numeric_limits<double>::infinity();
  TrainingPlot plot;
  plot.losses = {{1, nan}, {2, infinity}, {3, -infinity}, {nan, 1}, {4, 0.5}, {5, 1e300}};
  plot.accuracies = {{1, nan}};
  std::string svg = render_svg(plot);
  CHECK(well_formed(svg));
  CHECK(count(svg, "<circle") == 1);
  CHECK(svg.find("nan") == std::string::npos);
  CHECK(svg.find("inf") == std::string::npos);
  svg = render_svg({});
  CHECK(well_formed(svg));
  CHECK(count(svg, "<circle") == 0);
  CHECK(svg.find("nan") == std::string::npos);
}

TEST_CASE("a long run's picture stays small and ends with the last step") {
  TrainingPlot plot;
  for (int i = 1; i <= 20'000; ++i) {
    plot.losses.push_back({static_cast<double>(i), i % 7 * 0.1});
  }
  std::string const svg = render_svg(plot);
  CHECK(svg.size() < 100'000);
  CHECK(count(svg, "<circle") <= 1001);
  auto const kept = train::detail::thinned(plot.losses);
  CHECK(kept.size() > 900);
  CHECK(kept.back().step == 20'000);
}

TEST_CASE("a picture that cannot be written names the file") {
  test::TemporaryFolder const folder;
  write_svg(folder.path() / "plot.svg", {});
  CHECK(folder.read("plot.svg") == render_svg({}));
  CHECK(folder.error([&] { write_svg(folder.path() / "none" / "plot.svg", {}); })
            .starts_with("none/plot.svg: cannot be written (No such file or directory)"));
}

} // namespace test_svg_plot
