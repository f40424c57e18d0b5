// SPDX-License-Identifier: Apache-2.0
// Kernels: functions written once for all instruction sets, and how one is called.
#pragma once

#include <utility>

namespace pocketllm::simd {

/// Calls K::run<A>(args...).
template <class A, class K, class... Args>
[[gnu::always_inline]] inline decltype(auto) invoke(Args&&... args) {
  return K::template run<A>(std::forward<Args>(args)...);
}

} // namespace pocketllm::simd
