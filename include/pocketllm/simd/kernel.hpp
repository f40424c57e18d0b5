// SPDX-License-Identifier: Apache-2.0
// Kernels: functions written once for all instruction sets, and how the one to run is chosen.
//
// As a rule that is the one the including file is compiled for. With POCKETLLM_DISPATCH (which CMake's
// pocketllm_link_dispatch sets, and adds what must be linked), a program calls kernels that were compiled
// apart; one for any x86-64 processor asks when it runs what the machine has, and calls those for that.
#pragma once

#include <pocketllm/simd/batch.hpp>

#include <concepts>
#include <cstdlib>
#include <string_view>
#include <utility>

namespace pocketllm::simd {

/// A class with a static function template `run<A>`(...) for an architecture A. `Signature` is the type of
/// `run<A>`.
template <class K>
concept Kernel = requires {
  typename K::Signature;
};

namespace detail {
struct NoKernel {};
struct SomeKernel {
  using Signature = void(int);
};
} // namespace detail
static_assert(Kernel<detail::SomeKernel> && !Kernel<detail::NoKernel>);

/// Whether a kernel is among those that pocketllm_link_dispatch compiles for several instruction sets.
/// Kernels of a user's own storage or perturbation are not; they run as they are compiled in place.
template <class K>
inline constexpr bool is_dispatched = false;

/// The instruction sets that kernels are compiled for: of AArch64 the first alone.
enum class Level : unsigned char { baseline, avx2, avx512 };
#if defined(__aarch64__)
using BaselineLevel = xsimd::neon64; ///< what every AArch64 has
#else
using BaselineLevel = xsimd::sse2; ///< what every x86-64 has
#endif
using Avx2Level = xsimd::fma3<xsimd::avx2>; ///< AVX2 with FMA
using Avx512Level = xsimd::avx512bw;        ///< AVX-512 F, CD, DQ, BW and VL

/// Whether a program asks when it runs which of them the machine has.
inline constexpr bool has_levels = std::same_as<BaselineLevel, xsimd::sse2>;

namespace detail {

/// Declared here, defined and instantiated for K and A where kernels are compiled (entry.hpp).
template <class K, class A, class S = typename K::Signature>
struct Entry;
template <class K, class A, class... Args>
struct Entry<K, A, void(Args...)> {
  static void run(Args... args) noexcept;
};

} // namespace detail

/// The best level that the machine has. The environment variable POCKETLLM_LEVEL (baseline, avx2, avx512)
/// lowers it, to compare or to look for a fault.
[[nodiscard]] inline Level best_level() noexcept {
  Level level = Level::baseline;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    level = Level::avx2;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl")) {
      level = Level::avx512;
    }
  }
  char const* const variable = std::getenv("POCKETLLM_LEVEL");
  std::string_view const wanted = variable != nullptr ? variable : "";
  if (wanted == "baseline" || (wanted == "avx2" && level == Level::avx512)) {
    level = wanted == "avx2" ? Level::avx2 : Level::baseline;
  }
#endif
  return level;
}

/// Runs the kernel K for the architecture A.
template <class A, Kernel K, class... Args>
inline void invoke(Args&&... args) {
#if defined(POCKETLLM_DISPATCH)
  if constexpr (std::same_as<A, native> && is_dispatched<K>) {
    if constexpr (has_levels) {
      static Level const level = best_level();
      if (level == Level::avx512) {
        return detail::Entry<K, Avx512Level>::run(std::forward<Args>(args)...);
      }
      if (level == Level::avx2) {
        return detail::Entry<K, Avx2Level>::run(std::forward<Args>(args)...);
      }
    }
    if constexpr (std::same_as<A, BaselineLevel>) { // which no program needs to compile for itself
      return detail::Entry<K, BaselineLevel>::run(std::forward<Args>(args)...);
    } else {
      return K::template run<A>(std::forward<Args>(args)...);
    }
  } else
#endif
    K::template run<A>(std::forward<Args>(args)...);
}

} // namespace pocketllm::simd
