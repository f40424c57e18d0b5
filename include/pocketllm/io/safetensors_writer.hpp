// SPDX-License-Identifier: Apache-2.0
// Writing safetensors files: the header first, then the tensors streamed from where they are.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/io/output_file.hpp>
#include <pocketllm/io/quantized_format.hpp>
#include <pocketllm/io/safetensors_header.hpp>
#include <pocketllm/tensor/visit.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

namespace pocketllm::io {

/// The tensors of a model as entries of a file, in the order in which they are to be written. The bytes stay
/// in the model. Throws Error that names the tensor when one has no data or two have the same name.
template <tensor::HasTensors Model>
[[nodiscard]] std::vector<TensorEntry> list_tensors(Model const& model) {
  std::vector<TensorEntry> entries;
  std::set<std::string> names;
  tensor::for_each_tensor(model, [&]<class T>(tensor::Tensor<T> const& tensor) {
    require(tensor.has_data() || tensor.size() == 0, "tensor ", text::quote(tensor.name(), 200),
            " has no data to save; load or initialise the model first");
    require(names.insert(tensor.name()).second, "tensor ", text::quote(tensor.name(), 200),
            " is there twice in the model; each needs a name of its own");
    FileDType const& type = *find_dtype(tensor::name_of(tensor::dtype_of<T>));
    if constexpr (tensor::QuantizedStorage<T>) {
      using Scale = typename tensor::Tensor<T>::Scale;
      entries.push_back({tensor.name(), type, code_shape(tensor), std::as_bytes(tensor.values())});
      entries.push_back({scale_name(tensor.name()), *find_dtype(tensor::name_of(tensor::dtype_of<Scale>)),
                         scale_shape(tensor), std::as_bytes(tensor.scales())});
    } else {
      entries.push_back({tensor.name(), type, tensor.shape(), std::as_bytes(tensor.values())});
    }
  });
  // Wide elements first: then all are aligned in the file whatever their numbers, and can be borrowed.
  std::stable_sort(entries.begin(), entries.end(),
                   [](TensorEntry const& a, TensorEntry const& b) { return a.type.bits > b.type.bits; });
  return entries;
}

/// The header of a file with these tensors one behind the other: JSON, padded with spaces so that the data
/// begins at a multiple of 8 bytes.
[[nodiscard]] inline std::string safetensors_header(std::span<TensorEntry const> tensors,
                                                    std::map<std::string, std::string> const& metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) {
    header["__metadata__"] = metadata;
  }
  std::size_t at = 0;
  for (TensorEntry const& entry : tensors) {
    header[entry.name] = {
        {"dtype", entry.type.name}, {"shape", entry.shape}, {"data_offsets", {at, at + entry.bytes.size()}}};
    at += entry.bytes.size();
  }
  try {
    std::string text = header.dump();
    text.resize((text.size() + 7) / 8 * 8, ' ');
    return text;
  } catch (
      nlohmann::json::exception const&) { // dump() checks the encoding of strings, and nothing else can fail
    fail("the name of a tensor or a metadata text is not UTF-8, as safetensors requires");
  }
}

/// Writes a whole file. `tensors` in the order wanted; their bytes as the type and shape say.
inline void write_safetensors(OutputFile& file, std::span<TensorEntry const> tensors,
                              std::map<std::string, std::string> const& metadata) {
  std::string const header = safetensors_header(tensors, metadata);
  std::uint64_t const length = header.size();
  file.write(std::as_bytes(std::span(&length, 1)));
  file.write(header);
  for (TensorEntry const& entry : tensors) {
    file.write(entry.bytes);
  }
}

} // namespace pocketllm::io
