// SPDX-License-Identifier: Apache-2.0
// What measures, for the reports of the benchmarks: the processor and the compiler.
#pragma once

#include <sys/utsname.h>

#include <fstream>
#include <string>

namespace benchmarks {

/// What the system calls the processor or the device; its architecture where it has no name for it.
[[nodiscard]] inline std::string processor_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    bool const named = line.starts_with("model name") || line.starts_with("Hardware");
    if (std::size_t const colon = line.find(": "); named && colon != std::string::npos) {
      return line.substr(colon + 2);
    }
  }
  std::string board; // ends in a zero
  if (std::ifstream tree("/proc/device-tree/model"); std::getline(tree, board, '\0') && !board.empty()) {
    return board;
  }
  utsname system{};
  return ::uname(&system) == 0 ? system.machine : "unknown";
}

/// The compiler and its version; clang's macro begins with its name, GCC's is the version alone.
[[nodiscard]] inline std::string compiler_name() {
#if defined(__clang__)
  return __VERSION__;
#else
  return "GCC " __VERSION__;
#endif
}

} // namespace benchmarks
