// SPDX-License-Identifier: Apache-2.0
// Weights that are all zero and take no memory: for a pass that is to tell what activations take.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/tensor/tensor.hpp>
#include <pocketllm/tensor/visit.hpp>

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <memory>

namespace pocketllm::tensor {

namespace detail {

/// So many zero bytes, aligned to a page. Pages that are only read are all the system's one page of zeros.
[[nodiscard]] inline std::shared_ptr<std::byte const> zero_bytes(std::size_t count) {
  std::size_t const size = std::max<std::size_t>(count, 1);
  void* const data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  require(data != MAP_FAILED, "no room for ", size, " bytes of addresses: ", std::strerror(errno));
  return {static_cast<std::byte const*>(data),
          [size](std::byte const* bytes) { ::munmap(const_cast<std::byte*>(bytes), size); }};
}

} // namespace detail

/// Lets all tensors of `model` that have no data yet be zero, in a memory map that they share. They may be
/// read, which takes no memory; writing one of them allocates it. Throws Error when the system has no
/// addresses left.
template <HasTensors Model>
void borrow_zeros(Model& model) {
  std::size_t most = 0;
  for_each_tensor(model, [&](auto const& tensor) { most = std::max(most, tensor.bytes()); });
  std::shared_ptr<std::byte const> const zeros = detail::zero_bytes(most);
  for_each_tensor(model, [&]<class T>(Tensor<T>& tensor) {
    if (tensor.has_data()) {
      return;
    }
    void const* const data = zeros.get();
    if constexpr (QuantizedStorage<T>) {
      using Scale = typename Tensor<T>::Scale;
      tensor.borrow(static_cast<T const*>(data), zeros, static_cast<Scale const*>(data), zeros);
    } else {
      tensor.borrow(static_cast<T const*>(data), zeros);
    }
  });
}

} // namespace pocketllm::tensor
