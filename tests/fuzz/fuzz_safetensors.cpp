// SPDX-License-Identifier: Apache-2.0
// Fuzzes the reader of safetensors files: any bytes give tensors within the file, or an Error.
#include <pocketllm/core/error.hpp>
#include <pocketllm/io/convert.hpp>
#include <pocketllm/io/safetensors.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

namespace {

/// Reads all elements of all tensors, whatever their addresses.
template <class T>
void read_all(pocketllm::io::Safetensors const& file) {
  for (auto const& entry : file.tensors()) {
    try {
      std::vector<T> weights(entry.bytes.size() * 8 / entry.type.bits);
      pocketllm::io::copy_weights(entry, file.file(), weights.data(), [](auto) {});
    } catch (pocketllm::Error const&) { // a type that cannot be a weight, or a number too large for T
    }
    if (file.find(entry.name) != &entry) {
      std::abort();
    }
  }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  try {
    pocketllm::io::Safetensors const file(std::as_bytes(std::span(data, size)), "fuzz.safetensors");
    read_all<float>(file);
    read_all<pocketllm::f16>(file);
    read_all<pocketllm::bf16>(file);
  } catch (pocketllm::Error const&) { // the expected answer to most inputs
  }
  return 0;
}
