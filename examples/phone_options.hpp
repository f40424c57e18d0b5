// SPDX-License-Identifier: Apache-2.0
// Options of programs that train on a phone, beside what its user does with it.
#pragma once

#include "command_line.hpp"
#include <pocketllm/core/error.hpp>
#include <pocketllm/train/cores.hpp>
#include <pocketllm/train/device_state.hpp>
#include <pocketllm/train/format.hpp>
#include <pocketllm/train/pacing.hpp>

#include <CLI/CLI.hpp>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iostream>
#include <limits>
#include <string>

namespace examples {

struct PhoneOptions {
  bool big_cores = false;
  std::int64_t nice = 0;
  double duty = 1.0;
  double pause_above = 0.0;       ///< degrees; 0: at no temperature
  std::int64_t pause_below = 0;   ///< percent; 0: at none
  std::int64_t memory_budget = 0; ///< MB; 0: none
  std::filesystem::path sysfs = "/sys";
};

inline void add_memory_budget(CLI::App& app, std::int64_t& megabytes) {
  app.add_option("--memory-budget", megabytes,
                 "Memory for weights and activations, in MB: takes the best --storage that fits, unless that "
                 "is given, and evaluates less at once if it must; refuses before the first step what does "
                 "not fit even so (default: no limit)")
      ->check(whole_number(1, std::numeric_limits<std::int32_t>::max()))
      ->type_name("MB");
}

inline void add_phone(CLI::App& app, PhoneOptions& o) {
  app.option_defaults()->group("On a phone");
  app.add_flag("--big-cores", o.big_cores, "Work on the fast cores only");
  app.add_option("--nice", o.nice, "Give way to other programs: 0 to 19")
      ->check(whole_number(0, 19))
      ->capture_default_str()
      ->type_name("N");
  app.add_option("--duty", o.duty, "Share of the time to work, the rest being slept, as in 0.5")
      ->check(number(false))
      ->check(CLI::Range(0.0, 1.0).description(""))
      ->capture_default_str()
      ->type_name("SHARE");
  app.add_option("--pause-above", o.pause_above,
                 "Pause while battery or processor are warmer, in degrees Celsius (default: never)")
      ->check(number(false))
      ->type_name("C");
  app.add_option("--pause-below", o.pause_below,
                 "Pause while the battery is not charging and emptier, in percent (default: never)")
      ->check(whole_number(1, 100))
      ->type_name("P");
  add_memory_budget(app, o.memory_budget);
  app.add_option("--sysfs", o.sysfs, "Where the system tells of cores, heat and battery")
      ->capture_default_str()
      ->type_name("DIR");
}

/// Asks the system for what the options say, before any thread is started. `threads` becomes the number of
/// the chosen cores if it is 0.
inline void settle(PhoneOptions const& o, std::int64_t& threads) {
  if (o.nice != 0) {
    pocketllm::train::give_way(static_cast<int>(o.nice));
  }
  if (o.big_cores) {
    auto const cores = pocketllm::train::big_cores(o.sysfs);
    pocketllm::require(!cores.empty(), "--big-cores: ", o.sysfs.string(),
                       " does not tell how fast cores are");
    pocketllm::train::stay_on(cores);
    threads = threads == 0 ? static_cast<std::int64_t>(cores.size()) : threads;
  }
  if (o.pause_above != 0.0 || o.pause_below != 0) {
    auto const state = pocketllm::train::read_device_state(o.sysfs);
    pocketllm::require(o.pause_above == 0.0 || state.celsius, "--pause-above: ", o.sysfs.string(),
                       " tells no temperature");
    pocketllm::require(o.pause_below == 0 || state.battery, "--pause-below: ", o.sysfs.string(),
                       " tells of no battery");
  }
}

/// How the options want steps to be paced. What happens is said on `out`.
[[nodiscard]] inline pocketllm::train::Pacing pacing(PhoneOptions const& o, std::ostream& out) {
  pocketllm::train::Pacing pacing;
  pacing.duty = o.duty;
  if (o.pause_above != 0.0 || o.pause_below != 0) {
    pacing.reason_to_pause = [o]() -> std::string {
      auto const state = pocketllm::train::read_device_state(o.sysfs);
      if (o.pause_above != 0.0 && state.celsius.value_or(0.0) > o.pause_above) {
        return pocketllm::concat(pocketllm::train::fixed(*state.celsius, 1), " degrees");
      }
      if (!state.charging && state.battery.value_or(100.0) < static_cast<double>(o.pause_below)) {
        return pocketllm::concat("battery at ", pocketllm::train::fixed(*state.battery, 0), " %");
      }
      return {};
    };
    pacing.paused = [&out](std::string const& reason) { out << "pause    " << reason << std::endl; };
    pacing.resumed = [&out] { out << "going on" << std::endl; };
  }
  return pacing;
}

} // namespace examples
