// SPDX-License-Identifier: Apache-2.0
// The definition of kernels' entries, for the files that compile kernels for one instruction set.
#pragma once

#include <pocketllm/simd/kernel.hpp>

#include <utility>

namespace pocketllm::simd::detail {

template <class K, class A, class... Args>
void Entry<K, A, void(Args...)>::run(Args... args) noexcept {
  K::template run<A>(std::forward<Args>(args)...);
}

} // namespace pocketllm::simd::detail
