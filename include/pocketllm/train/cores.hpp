// SPDX-License-Identifier: Apache-2.0
// A phone's fast cores, and staying on them: which they are by Linux' sysfs, and what this process asks of
// the scheduler.
#pragma once

#include <pocketllm/core/error.hpp>

#include <sys/resource.h>
#if defined(__linux__)
#include <sched.h>
#endif

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <span>
#include <vector>

namespace pocketllm::train {

namespace detail {

/// The number in a file of sysfs; `otherwise` if there is none.
[[nodiscard]] inline double sysfs_number(std::filesystem::path const& file, double otherwise) {
  std::ifstream in(file);
  double value = 0.0;
  return in >> value ? value : otherwise;
}

} // namespace detail

/// The indices of the cores that are worth waiting for, in order: those with at least half of the fastest
/// one's capacity (the kernel's figure of a core's speed, of which little cores have a quarter to a third)
/// or, where there is none, three quarters of its clock (little cores have about 0.65 of it). All cores where
/// they are alike; none where the system does not tell. `sysfs` is where it is mounted.
[[nodiscard]] inline std::vector<std::size_t> big_cores(std::filesystem::path const& sysfs = "/sys") {
  struct Core {
    std::size_t index;
    double capacity, clock; ///< 0: unknown
  };
  constexpr std::size_t most = 1024; // of CPU_SETSIZE
  std::vector<Core> cores;
  for (std::size_t i = 0; i < most; ++i) {
    std::filesystem::path const folder = sysfs / "devices/system/cpu" / concat("cpu", i);
    std::error_code none;
    if (!std::filesystem::exists(folder, none)) {
      break;
    }
    if (detail::sysfs_number(folder / "online", 1.0) != 0.0) { // the first core has no such file
      cores.push_back({i, detail::sysfs_number(folder / "cpu_capacity", 0.0),
                       detail::sysfs_number(folder / "cpufreq/cpuinfo_max_freq", 0.0)});
    }
  }
  auto const known = [&](double Core::*speed) {
    return std::all_of(cores.begin(), cores.end(), [&](Core const& core) { return core.*speed > 0.0; });
  };
  bool const by_capacity = known(&Core::capacity);
  if (!by_capacity && !known(&Core::clock)) {
    return {};
  }
  double Core::*const speed = by_capacity ? &Core::capacity : &Core::clock;
  double fastest = 0.0;
  for (Core const& core : cores) {
    fastest = std::max(fastest, core.*speed);
  }
  std::vector<std::size_t> big;
  for (Core const& core : cores) {
    if (core.*speed >= fastest * (by_capacity ? 0.5 : 0.75)) {
      big.push_back(core.index);
    }
  }
  return big;
}

/// Keeps the calling thread, and those that it starts from now on, on these cores. Throws Error where the
/// system refuses or has no such call.
inline void stay_on(std::span<std::size_t const> cores) {
#if defined(__linux__)
  cpu_set_t set;
  CPU_ZERO(&set);
  for (std::size_t const core : cores) {
    require(core < CPU_SETSIZE, "core ", core, ": the system counts ", CPU_SETSIZE, " at most");
    CPU_SET(core, &set);
  }
  require(sched_setaffinity(0, sizeof set, &set) == 0, "cannot stay on ", cores.size(),
          " cores: ", std::strerror(errno), "; leave the choice to the system");
#else
  fail("this system does not let a program choose among ", cores.size(),
       " cores; leave the choice to the system");
#endif
}

/// Gives way to others: adds `nice` (0 to 19) to what was asked of the calling thread before, and of those
/// that it starts from now on. Throws Error if the system refuses.
inline void give_way(int nice) {
  require(nice >= 0 && nice <= 19, "nice ", nice, ": give a number from 0 to 19");
  errno = 0;
  int const before = getpriority(PRIO_PROCESS, 0);
  require(errno == 0 && setpriority(PRIO_PROCESS, 0, std::min(19, before + nice)) == 0, "nice ", nice, ": ",
          std::strerror(errno));
}

} // namespace pocketllm::train
