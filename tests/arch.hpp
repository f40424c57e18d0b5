// SPDX-License-Identifier: Apache-2.0
// Tests of kernels for several instruction sets: a file arch_*.cpp is compiled once for each (see
// CMakeLists.txt), with POCKETLLM_TEST_ARCH as its name, and gives its functions out through a table.
#pragma once

#include <string_view>
#include <vector>

#define POCKETLLM_PASTE_(a, b) a##b
#define POCKETLLM_PASTE(a, b) POCKETLLM_PASTE_(a, b)
/// `name` with the instruction set behind it, e.g. noise_avx2.
#define POCKETLLM_ARCH_SYMBOL(name) POCKETLLM_PASTE(name##_, POCKETLLM_TEST_ARCH)

#if defined(__x86_64__) || defined(__i386__)
#define POCKETLLM_FOR_EACH_ARCH(X) X(scalar) X(sse2) X(avx2) X(avx512)
#else
#define POCKETLLM_FOR_EACH_ARCH(X) X(scalar) X(native)
#endif

namespace arch {

/// Whether this machine can run code compiled for the instruction set `name`.
inline bool runs(std::string_view name) {
#if defined(__x86_64__) || defined(__i386__)
  if (name == "avx2") {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  }
  if (name == "avx512") {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  }
#endif
  return !name.empty();
}

template <class Table>
struct Entry {
  std::string_view name;
  Table const* table;
};

/// The entries that run on this machine.
template <class Table>
std::vector<Entry<Table>> running(std::vector<Entry<Table>> entries) {
  std::erase_if(entries, [](Entry<Table> const& entry) { return !runs(entry.name); });
  return entries;
}

} // namespace arch
