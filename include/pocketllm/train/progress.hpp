// SPDX-License-Identifier: Apache-2.0
// How far a run is, for the person who waits: one line that is redrawn, or a few plain lines in a log.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/train/format.hpp>
#include <pocketllm/train/progress_bar.hpp>
#include <pocketllm/train/resources.hpp>
#include <pocketllm/train/smoothing.hpp>
#include <pocketllm/train/terminal.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>

namespace pocketllm::train {

/// Seconds on a clock that never goes back.
[[nodiscard]] inline double steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Where and how often progress is shown.
struct ProgressOptions {
  bool interactive = false; ///< redraw one line with carriage returns; else plain lines (train/terminal.hpp)
  std::size_t width = 80;   ///< columns of the terminal
  bool unicode = false;     ///< draw the bar with block elements instead of ASCII
  std::uint64_t first = 0;  ///< steps that a resumed run has done before
  double redraw_seconds = 0.1; ///< the eye sees no more than 10 lines a second
  double plain_share = 0.1; ///< a plain line is written when this share of the steps is done since the last
  double plain_seconds = 10.0;                    ///< ... and so much time went by, in seconds
  std::function<double()> clock = steady_seconds; ///< seconds; another one in tests
};

/// Shows steps done, smoothed loss, speed and time left. Speed and time left go by the mean over this run.
class Progress {
public:
  /// `total` counts all steps, those of `options.first` included. `out` must outlive this.
  Progress(std::ostream& out, std::uint64_t total, ProgressOptions options = {})
      : out_(out), total_(total), options_(std::move(options)), step_(options_.first),
        begin_(options_.clock()), shown_at_(begin_) {}
  ~Progress() {
    try {
      finish();
    } catch (...) { // a stream may be set to throw; there is nobody left to tell
    }
  }
  Progress(Progress const&) = delete;
  Progress& operator=(Progress const&) = delete;

  /// `step` steps are done, the last one with this loss. The first and the last step are always shown.
  void update(std::uint64_t step, double loss) {
    bool const first = updates_++ == 0;
    step_ = step;
    loss_.add(loss);
    last_loss_ = loss;
    double const now = options_.clock();
    if (first || step >= total_ || due(now)) {
      show(now);
    }
  }

  /// Writes a line of its own, such as the result of an evaluation, above the one that is redrawn.
  void note(std::string_view line) {
    if (options_.interactive) {
      out_ << '\r' << line << std::string(drawn_ - std::min(drawn_, columns_of(line)), ' ') << '\n';
      drawn_ = 0;
      if (updates_ != 0) {
        show(options_.clock());
      }
      out_.flush();
    } else {
      out_ << line << std::endl;
    }
  }

  /// Shows the last state, unless it was shown, and ends the line. What follows begins on a new line.
  void finish() {
    if (updates_ != 0 && shown_step_ != step_) {
      show(options_.clock());
    }
    if (drawn_ != 0) {
      drawn_ = 0;
      out_ << std::endl;
    }
  }

private:
  [[nodiscard]] bool due(double now) const {
    if (options_.interactive) {
      return now - shown_at_ >= options_.redraw_seconds;
    }
    double const share = options_.plain_share * static_cast<double>(total_);
    return static_cast<double>(step_ - shown_step_) >= share && now - shown_at_ >= options_.plain_seconds;
  }

  void show(double now) {
    shown_at_ = now;
    shown_step_ = step_;
    auto const done = static_cast<double>(step_ - std::min(step_, options_.first));
    double const per_step = done > 0.0 ? (now - begin_) / done : 0.0;
    auto const left = static_cast<double>(total_ - std::min(step_, total_));
    std::string const time = left > 0.0 ? format_duration(left * per_step) + " left"
                                        : concat("took ", format_duration(now - begin_));
    ProgressText const text{concat(step_, "/", total_), concat("loss ", fixed(loss(), 4)),
                            per_step > 0.0 ? speed(per_step) : "", per_step > 0.0 ? time : ""};
    if (!options_.interactive) {
      out_ << "step " << text.in_words() << std::endl;
      return;
    }
    double const share =
        total_ == 0 ? 1.0 : std::min(1.0, static_cast<double>(step_) / static_cast<double>(total_));
    // one column stays free: a character in the last one makes some terminals wrap
    std::size_t const width = options_.width > 0 ? options_.width - 1 : 0;
    std::string const line = progress_line(text, share, width, options_.unicode);
    std::size_t const columns = columns_of(line);
    out_ << '\r' << line << std::string(drawn_ - std::min(drawn_, columns), ' ') << std::flush;
    drawn_ = columns;
  }

  /// The mean, or the last loss when that one is not a number to take a mean of.
  [[nodiscard]] double loss() const noexcept {
    return std::isfinite(last_loss_) ? loss_.value() : last_loss_;
  }

  [[nodiscard]] static std::string speed(double per_step) {
    return per_step < 1.0 ? fixed(1.0 / per_step, 1) + " steps/s" : fixed(per_step, 1) + " s/step";
  }

  std::ostream& out_;
  std::uint64_t total_;
  ProgressOptions options_;
  std::uint64_t step_, updates_ = 0, shown_step_ = 0;
  double begin_, shown_at_;
  ExponentialMean loss_;
  double last_loss_ = 0.0;
  std::size_t drawn_ = 0; ///< columns of the line that the cursor is in
};

} // namespace pocketllm::train
