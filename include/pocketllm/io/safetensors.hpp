// SPDX-License-Identifier: Apache-2.0
// Reading safetensors files (https://huggingface.co/docs/safetensors): tensors by name, in memory or mapped.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/core/mapped_file.hpp>
#include <pocketllm/io/safetensors_header.hpp>

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pocketllm::io {

/// The tensors of a safetensors file that lies in memory. The bytes stay where they are and must outlive it.
class Safetensors {
public:
  /// Reads and checks the header; `file` is the name that messages give. Throws Error that names the file,
  /// the tensor, what was expected and what was found, for every way in which the file can be wrong.
  Safetensors(std::span<std::byte const> bytes, std::string file) : file_(std::move(file)) {
    FileParts const parts = split_file(bytes, file_);
    Json const header = parse_object(parts.header, file_ + ": header");
    for (auto const& [name, value] : header.items()) {
      if (name == "__metadata__") {
        read_metadata(value);
      } else {
        tensors_.push_back(read_entry(name, value, parts.data, file_));
      }
    }
    check_layout(parts.data);
    for (std::size_t i = 0; i < tensors_.size(); ++i) {
      index_.emplace(tensors_[i].name, i);
    }
  }

  /// The name of the file.
  [[nodiscard]] std::string const& file() const noexcept { return file_; }
  /// All tensors in the order of their bytes.
  [[nodiscard]] std::vector<TensorEntry> const& tensors() const noexcept { return tensors_; }
  /// Free text of the header's `__metadata__`.
  [[nodiscard]] std::map<std::string, std::string> const& metadata() const noexcept { return metadata_; }

  /// The tensor of that name, or null.
  [[nodiscard]] TensorEntry const* find(std::string_view name) const noexcept {
    auto const found = index_.find(name);
    return found == index_.end() ? nullptr : &tensors_[found->second];
  }

private:
  void read_metadata(Json const& json) {
    require(json.is_object(), file_, ": __metadata__ is ", json.type_name(),
            ", expected an object of strings");
    for (auto const& [key, value] : json.items()) {
      if (!value.is_string()) {
        fail(file_, ": __metadata__ ", text::quote(key), " is ", value.type_name(), ", expected a string");
      }
      metadata_.emplace(key, value.get_ref<std::string const&>());
    }
  }

  /// The tensors must cover the data from its first byte to its last, each byte once.
  void check_layout(std::span<std::byte const> data) {
    auto const offset = [&](TensorEntry const& entry) {
      return static_cast<std::size_t>(entry.bytes.data() - data.data());
    };
    std::sort(tensors_.begin(), tensors_.end(), [&](TensorEntry const& a, TensorEntry const& b) {
      return std::pair(offset(a), a.bytes.size()) < std::pair(offset(b), b.bytes.size());
    });
    std::size_t covered = 0;
    for (TensorEntry const& entry : tensors_) {
      std::size_t const begin = offset(entry);
      if (begin != covered) {
        fail(tensor_place(file_, entry.name),
             begin < covered ? " overlaps the one before it" : " leaves a hole", ": data_offsets begin at ",
             begin, ", expected ", covered, "; the file is damaged, fetch it again");
      }
      covered += entry.bytes.size();
    }
    require(covered == data.size(), file_, ": the tensors end at byte ", covered, " of the data, expected ",
            data.size(), " (the end of the file); the file is damaged, fetch it again");
  }

  std::string file_;
  std::vector<TensorEntry> tensors_;
  std::map<std::string, std::size_t, std::less<>> index_;
  std::map<std::string, std::string> metadata_;
};

/// A mapped safetensors file. `map` keeps the bytes of its tensors alive.
struct SafetensorsFile {
  std::shared_ptr<MappedFile const> map; ///< shared by copies of this
  Safetensors content;                   ///< whose bytes are those of `map`

  /// Throws Error when the file cannot be mapped or is wrong.
  explicit SafetensorsFile(std::filesystem::path const& path)
      : map(std::make_shared<MappedFile const>(path)), content(map->bytes(), path.string()) {}
};

} // namespace pocketllm::io
