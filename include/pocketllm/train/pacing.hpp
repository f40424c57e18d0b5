// SPDX-License-Identifier: Apache-2.0
// Rest between the steps of a run: a duty cycle, and pauses for as long as something (heat, the battery)
// speaks against going on.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/train/stop.hpp>

#include <algorithm>
#include <chrono>
#include <functional>
#include <string>
#include <thread>

namespace pocketllm::train {

/// When to rest. Any of the functions may be empty.
struct Pacing {
  double duty = 1.0;                                ///< share of the time that is worked, above 0 and up to 1
  std::function<std::string()> reason_to_pause{};   ///< why not to go on now; empty to go on
  std::function<void(std::string const&)> paused{}; ///< called once when a pause begins, with the reason
  std::function<void()> resumed{};                  ///< called when it ends
  double ask_every = 5.0; ///< seconds between questions while paused: neither heat nor battery changes faster
};

namespace detail {

/// Sleeps, but no longer than until a stop is requested.
inline void sleep(double seconds, StopCondition const& stop) {
  constexpr double slice = 0.1; // so that Ctrl-C feels immediate
  using Clock = std::chrono::steady_clock;
  auto const end = Clock::now() + std::chrono::duration<double>(seconds);
  while (!stop.requested() && Clock::now() < end) {
    std::this_thread::sleep_for(
        std::min(std::chrono::duration<double>(slice), std::chrono::duration<double>(end - Clock::now())));
  }
}

} // namespace detail

/// To be called after a step that took `seconds`: returns when the next one may begin, or when a stop is
/// requested. Throws Error if the duty cycle is not in (0, 1].
inline void rest(Pacing const& pacing, double seconds, StopCondition const& stop) {
  require(pacing.duty > 0.0 && pacing.duty <= 1.0, "duty cycle ", pacing.duty,
          ": give a number above 0 and up to 1");
  detail::sleep(seconds * (1.0 / pacing.duty - 1.0), stop);
  bool pausing = false;
  while (pacing.reason_to_pause && !stop.requested()) {
    std::string const reason = pacing.reason_to_pause();
    if (reason.empty()) {
      break;
    }
    if (!pausing && pacing.paused) {
      pacing.paused(reason);
    }
    pausing = true;
    detail::sleep(pacing.ask_every, stop);
  }
  if (pausing && pacing.resumed) {
    pacing.resumed();
  }
}

} // namespace pocketllm::train
