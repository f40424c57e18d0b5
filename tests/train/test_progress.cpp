// SPDX-License-Identifier: Apache-2.0
#include <pocketllm/train/progress.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

namespace test_progress {

using namespace pocketllm;
using namespace pocketllm::train;

namespace {

/// A display on a string, with a clock that the test sets.
struct Display {
  explicit Display(std::uint64_t total, ProgressOptions options = {}) {
    options.clock = [this] { return now; };
    progress.emplace(out, total, options);
  }
  double now = 1000.0;
  std::ostringstream out;
  std::optional<Progress> progress;
};

std::vector<std::string> split(std::string const& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);) {
    parts.push_back(part);
  }
  return parts;
}

} // namespace

TEST_CASE("without a terminal: the first and the last step, and lines in between that are not too many") {
  Display display(100);
  for (std::uint64_t step = 1; step <= 100; ++step) {
    display.now += 0.5; // 10 seconds are 20 steps, more than the 10 of a tenth
    display.progress->update(step, 2.0);
  }
  display.progress->finish();
  CHECK(display.out.str() == "step 1/100, loss 2.0000, 2.0 steps/s, 50 s left\n"
                             "step 21/100, loss 2.0000, 2.0 steps/s, 40 s left\n"
                             "step 41/100, loss 2.0000, 2.0 steps/s, 30 s left\n"
                             "step 61/100, loss 2.0000, 2.0 steps/s, 20 s left\n"
                             "step 81/100, loss 2.0000, 2.0 steps/s, 9.5 s left\n"
                             "step 100/100, loss 2.0000, 2.0 steps/s, took 50 s\n");
}

TEST_CASE("without a terminal: long steps are shown every tenth of the run") {
  Display display(20);
  for (std::uint64_t step = 1; step <= 20; ++step) {
    display.now += 60;
    display.progress->update(step, 1.0);
  }
  auto const lines = split(display.out.str(), '\n');
  REQUIRE(lines.size() == 11); // 1, 3, ... 19, 20
  CHECK(lines[1] == "step 3/20, loss 1.0000, 60.0 s/step, 17 min 00 s left");
}

TEST_CASE("a run that ends early shows where, once") {
  Display display(100);
  display.progress->update(1, 1.0);
  display.now += 4;
  display.progress->update(2, 1.0);
  display.progress->finish();
  display.progress.reset();
  CHECK(display.out.str() == "step 1/100, loss 1.0000\n"
                             "step 2/100, loss 1.0000, 2.0 s/step, 3 min 16 s left\n");
  Display unused(100);
  unused.progress.reset();
  CHECK(unused.out.str().empty());
}

TEST_CASE("a resumed run goes by its own steps") {
  Display display(100, {.first = 50});
  display.now += 10;
  display.progress->update(60, 1.0);
  CHECK(display.out.str() == "step 60/100, loss 1.0000, 1.0 s/step, 40 s left\n");
}

TEST_CASE("on a terminal: one line, redrawn at most ten times a second, never as wide as the terminal") {
  for (bool const unicode : {false, true}) {
    for (std::size_t width = 0; width <= 130; ++width) {
      Display display(20'000, {.interactive = true, .width = width, .unicode = unicode});
      for (std::uint64_t step = 1; step <= 20'000; step += 37) {
        display.now += 0.04;
        display.progress->update(step, 0.5);
      }
      std::string const text = display.out.str();
      CHECK(text.find('\n') == std::string::npos);
      CHECK(text.starts_with('\r'));
      auto const lines = split(text.substr(1), '\r');
      CHECK(lines.size() <= 541 * 0.04 / 0.1 + 2);
      for (std::string const& line : lines) {
        REQUIRE(columns_of(line) <= (width == 0 ? 0 : width - 1));
        REQUIRE((unicode || columns_of(line) == line.size()));
      }
      if (width == 130) {
        CHECK(lines.back().find("loss 0.5000") != std::string::npos);
        CHECK(lines.back().find("left") != std::string::npos);
        CHECK(lines.back().find("steps/s") != std::string::npos);
      }
      display.progress.reset();
      CHECK((width < 2 || display.out.str().ends_with('\n')));
    }
  }
}

TEST_CASE("a note stands on a line of its own and wipes what was drawn there") {
  Display display(10, {.interactive = true, .width = 60});
  display.progress->update(5, 1.0);
  std::size_t const drawn = display.out.str().size() - 1;
  display.progress->note("accuracy 91 %");
  auto const lines = split(display.out.str(), '\n');
  REQUIRE(lines.size() == 2);
  auto const note = split(lines[0], '\r').back();
  CHECK(note == "accuracy 91 %" + std::string(drawn - 13, ' '));
  CHECK(lines[1].starts_with("\r["));

  Display plain(10);
  plain.progress->note("accuracy 91 %");
  CHECK(plain.out.str() == "accuracy 91 %\n");
}

TEST_CASE("a shorter line wipes the longer one before it") {
  Display display(1000, {.interactive = true, .width = 60});
  display.progress->update(1, 123456.0);
  display.now += 100;
  display.progress->update(1000, 0.1);
  auto const lines = split(display.out.str().substr(1), '\r');
  REQUIRE(lines.size() == 2);
  CHECK(lines[1].size() >= lines[0].size());
}

TEST_CASE("the bar is full only at the end") {
  CHECK(bar(0.0, 10, false) == "          ");
  CHECK(bar(0.3, 10, false) == "===>      ");
  CHECK(bar(0.999, 10, false) == "=========>");
  CHECK(bar(1.0, 10, false) == "==========");
  CHECK(bar(0.25, 2, true) == "\u258c ");
  CHECK(bar(0.999, 1, true) == "\u2589");
  CHECK(bar(1.0, 2, true) == "\u2588\u2588");
}

TEST_CASE("the loss is a mean that begins at the first value and survives one that is not a number") {
  ExponentialMean mean(0.9);
  CHECK(std::isnan(mean.value()));
  mean.add(3.0);
  CHECK(mean.value() == doctest::Approx(3.0));
  mean.add(1.0);
  CHECK(mean.value() == doctest::Approx((0.9 * 3.0 + 1.0) / 1.9));
  mean.add(std::nan(""));
  mean.add(INFINITY);
  CHECK(mean.value() == doctest::Approx((0.9 * 3.0 + 1.0) / 1.9));

  Display display(3);
  display.progress->update(1, std::nan(""));
  CHECK(display.out.str() == "step 1/3, loss nan\n");
  display.progress->update(3, 2.0);
  CHECK(display.out.str().ends_with("step 3/3, loss 2.0000\n"));
}

TEST_CASE("a file is no terminal and has the width that is asked for") {
  std::FILE* const file = std::tmpfile();
  REQUIRE(file != nullptr);
  CHECK_FALSE(is_terminal(fileno(file)));
  CHECK(terminal_width(fileno(file), 77) == 77);
  std::fclose(file);
}

} // namespace test_progress
