// SPDX-License-Identifier: Apache-2.0
// The line of the progress display: a bar and what stands beside it, never wider than asked for.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/train/terminal.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <string>

namespace pocketllm::train {

/// What the display says, most important first. Parts that are not known are empty.
struct ProgressText {
  std::string steps, ///< "50/500"
      loss,          ///< "loss 0.5123"
      speed,         ///< "9.2 steps/s", or "1.4 s/step" for slow ones
      time;          ///< "48 s left", or "took 55 s" at the end

  /// As a line of a log: "50/500, loss 0.5123, 9.2 steps/s, 48 s left".
  [[nodiscard]] std::string in_words() const {
    std::string line = steps;
    for (std::string const& part : {loss, speed, time}) {
      line += concat(part.empty() ? "" : ", ", part);
    }
    return line;
  }
};

/// A bar of `columns` columns of which the share `share` (0 to 1) is filled, in ASCII to a whole column, in
/// Unicode to an eighth.
[[nodiscard]] inline std::string bar(double share, std::size_t columns, bool unicode) {
  constexpr std::array eighths{"", "\u258f", "\u258e", "\u258d", "\u258c", "\u258b", "\u258a", "\u2589"};
  // rounded down, so that the bar is full only when all is done
  auto const filled = static_cast<std::size_t>(std::floor(share * static_cast<double>(columns * 8)));
  std::string text;
  for (std::size_t i = 0; i < filled / 8; ++i) {
    text += unicode ? "\u2588" : "=";
  }
  if (filled / 8 < columns) {
    text += unicode ? eighths[filled % 8] : filled > 0 ? ">" : "";
  }
  return text + std::string(columns - columns_of(text), ' ');
}

/// A line of at most `width` columns: the bar takes what the text leaves, and of a text that is too long the
/// last parts are left out.
[[nodiscard]] inline std::string progress_line(ProgressText const& text, double share, std::size_t width,
                                               bool unicode) {
  // a bar of fewer columns says nothing, a longer one draws the eye from the numbers
  constexpr std::size_t shortest = 8, longest = 30, frame = 3; // two brackets and a space
  std::string words = text.steps.substr(0, width);
  for (std::string const& part : {text.loss, text.time, text.speed}) {
    if (!part.empty() && words.size() + 2 + part.size() <= width) {
      words += concat("  ", part);
    }
  }
  if (words.size() + frame + shortest > width) {
    return words;
  }
  std::size_t const columns = std::min(longest, width - words.size() - frame);
  std::string const drawn = bar(share, columns, unicode);
  return concat(unicode ? "\u2595" : "[", drawn, unicode ? "\u258f " : "] ", words);
}

} // namespace pocketllm::train
