// SPDX-License-Identifier: Apache-2.0
// What a run takes: memory of this process; sizes and durations in words.
#pragma once

#include <pocketllm/core/error.hpp>

#include <sys/resource.h>
#if defined(__APPLE__)
#include <mach/mach.h>
#endif

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <string>
#include <string_view>

namespace pocketllm::train {

namespace detail {

/// A field of a file of Linux' /proc/self in bytes, e.g. "VmHWM:    81234 kB"; 0 where there is none.
[[nodiscard]] inline std::size_t proc_bytes(char const* file, std::string_view field) {
  std::ifstream status(file);
  std::string word;
  while (status >> word) {
    std::size_t kibibytes = 0;
    if (word == field && status >> kibibytes) {
      return kibibytes * 1024; // "kB" there means 1024
    }
    status.clear();
    status.ignore(1 << 16, '\n');
  }
  return 0;
}

[[nodiscard]] inline std::string two_digits(std::uint64_t number) {
  return concat(number < 10 ? "0" : "", number);
}

} // namespace detail

/// Memory of this process that is in RAM now, in bytes; 0 where the system does not tell. Pages of a memory
/// map that were read count.
[[nodiscard]] inline std::size_t resident_memory() {
#if defined(__APPLE__)
  mach_task_basic_info info{};
  mach_msg_type_number_t count = MACH_TASK_BASIC_INFO_COUNT;
  auto* const words = reinterpret_cast<task_info_t>(&info);
  return task_info(mach_task_self(), MACH_TASK_BASIC_INFO, words, &count) == KERN_SUCCESS ? info.resident_size
                                                                                          : 0;
#else
  return detail::proc_bytes("/proc/self/status", "VmRSS:");
#endif
}

/// The most that resident_memory() has been since the process began, in bytes; 0 where the system does not
/// tell.
[[nodiscard]] inline std::size_t peak_resident_memory() {
  if (std::size_t const peak = detail::proc_bytes("/proc/self/status", "VmHWM:"); peak != 0) {
    return peak;
  }
  rusage usage{};
  if (getrusage(RUSAGE_SELF, &usage) != 0) {
    return 0;
  }
#if defined(__APPLE__)
  return static_cast<std::size_t>(usage.ru_maxrss);
#else
  return static_cast<std::size_t>(usage.ru_maxrss) * 1024;
#endif
}

/// Memory that is this process's alone and was written, which the system can neither share nor drop (it kills
/// programs for such), in bytes; 0 where the system does not tell. Linux and Android.
[[nodiscard]] inline std::size_t private_dirty_memory() {
  return detail::proc_bytes("/proc/self/smaps_rollup", "Private_Dirty:");
}

/// A number of bytes with decimal units, as in "81 MB" or "1.55 GB".
[[nodiscard]] inline std::string format_bytes(std::size_t bytes) {
  auto const rounded = [bytes](std::uint64_t unit) { return (std::uint64_t{bytes} + unit / 2) / unit; };
  if (bytes < 1000) {
    return concat(bytes, " B");
  }
  if (rounded(1000) < 1000) {
    return concat(rounded(1000), " kB");
  }
  if (rounded(1'000'000) < 1000) {
    return concat(rounded(1'000'000), " MB");
  }
  std::uint64_t const hundredths = rounded(10'000'000);
  return concat(hundredths / 100, ".", detail::two_digits(hundredths % 100), " GB");
}

/// A time in seconds with one or two units, as in "4.2 s", "48 s", "1 min 05 s" or "3 h 07 min"; "unknown"
/// when it is negative, not finite or above 10,000 days.
[[nodiscard]] inline std::string format_duration(double seconds) {
  if (!(seconds >= 0.0 && seconds < 864e6)) {
    return "unknown";
  }
  auto const tenths = static_cast<std::uint64_t>(std::llround(seconds * 10.0));
  if (tenths < 100) {
    return concat(tenths / 10, ".", tenths % 10, " s");
  }
  auto const whole = static_cast<std::uint64_t>(std::llround(seconds));
  if (whole < 60) {
    return concat(whole, " s");
  }
  if (whole < 3600) {
    return concat(whole / 60, " min ", detail::two_digits(whole % 60), " s");
  }
  std::uint64_t const minutes = (whole + 30) / 60;
  if (minutes < 24 * 60) {
    return concat(minutes / 60, " h ", detail::two_digits(minutes % 60), " min");
  }
  std::uint64_t const hours = (minutes + 30) / 60;
  return concat(hours / 24, " d ", detail::two_digits(hours % 24), " h");
}

} // namespace pocketllm::train
