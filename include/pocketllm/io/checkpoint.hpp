// SPDX-License-Identifier: Apache-2.0
// The weights of a Hugging Face directory: one safetensors file, or an index and its shards.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/io/model_directory.hpp>
#include <pocketllm/io/safetensors.hpp>
#include <pocketllm/io/strict_json.hpp>

#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pocketllm::io {

/// All tensors of a directory, mapped. Nothing is read but headers until a tensor's bytes are touched.
class Checkpoint {
public:
  /// A tensor and the file that holds it.
  struct Located {
    TensorEntry const* entry = nullptr;    ///< null when there is none of that name
    SafetensorsFile const* file = nullptr; ///< whose mapping has the bytes; null with `entry`
    /// Whether there is a tensor of that name.
    explicit operator bool() const noexcept { return entry != nullptr; }
  };

  /// Opens model.safetensors, or else the shards of model.safetensors.index.json. Throws Error that names the
  /// file, what was expected and what was found; where there are only PyTorch files, how to convert them.
  [[nodiscard]] static Checkpoint open(std::filesystem::path const& directory) {
    if (path_exists(directory / weights_file)) {
      Checkpoint checkpoint((directory / weights_file).string());
      checkpoint.files_.emplace_back(directory / weights_file);
      return checkpoint;
    }
    if (path_exists(directory / weights_index_file)) {
      return open_shards(directory);
    }
    fail_without_weights(directory);
  }

  /// The file that names all tensors: model.safetensors or the index.
  [[nodiscard]] std::string const& name() const noexcept { return name_; }
  /// The mapped files: the one, or the shards in the order of their names.
  [[nodiscard]] std::vector<SafetensorsFile> const& files() const noexcept { return files_; }

  /// The number of tensors in all files.
  [[nodiscard]] std::size_t size() const noexcept {
    std::size_t count = 0;
    for (SafetensorsFile const& file : files_) {
      count += file.content.tensors().size();
    }
    return count;
  }

  /// The tensor of that name. Valid while the checkpoint is.
  [[nodiscard]] Located find(std::string_view name) const noexcept {
    for (SafetensorsFile const& file : files_) {
      if (TensorEntry const* const entry = file.content.find(name)) {
        return {entry, &file};
      }
    }
    return {};
  }

private:
  explicit Checkpoint(std::string name) : name_(std::move(name)) {}

  using WeightMap = std::map<std::string, std::string>; // from a tensor's name to its shard

  static WeightMap read_weight_map(std::filesystem::path const& index) {
    Json const json = read_object(index);
    auto const found = json.find("weight_map");
    require(found != json.end() && found->is_object() && !found->empty(), index.string(),
            ": expected \"weight_map\", an object from tensors to files, found ",
            found == json.end()  ? "none"
            : found->is_object() ? "an empty one"
                                 : found->type_name());
    WeightMap map;
    for (auto const& [tensor, shard] : found->items()) {
      require(shard.is_string(), tensor_place(index.string(), tensor), ": weight_map has ", shard.type_name(),
              ", expected the name of a file");
      std::string const& file = shard.get_ref<std::string const&>();
      require(!file.empty() && file.find_first_of(std::string_view("/\\\0", 3)) == std::string::npos,
              tensor_place(index.string(), tensor), ": weight_map has ", text::quote(file),
              ", expected the name of a file in the same directory");
      map.emplace(tensor, file);
    }
    return map;
  }

  static Checkpoint open_shards(std::filesystem::path const& directory) {
    Checkpoint checkpoint((directory / weights_index_file).string());
    WeightMap const map = read_weight_map(directory / weights_index_file);
    std::map<std::string, std::string> first_tensor_of; // from a shard to one of its tensors, for the message
    for (auto const& [tensor, shard] : map) {
      first_tensor_of.emplace(shard, tensor);
    }
    for (auto const& [shard, tensor] : first_tensor_of) { // before any is opened: the most common mistake
      require(path_exists(directory / shard), tensor_place(checkpoint.name_, tensor), ": expected in ",
              (directory / shard).string(), ", which is missing; fetch all shards");
    }
    for (auto const& [shard, tensor] : first_tensor_of) {
      checkpoint.files_.emplace_back(directory / shard);
      checkpoint.check_shard(shard, map);
    }
    for (auto const& [tensor, shard] : map) {
      Located const found = checkpoint.find(tensor);
      require(static_cast<bool>(found), tensor_place(checkpoint.name_, tensor), ": expected in ", shard,
              ", found in none of the shards");
    }
    return checkpoint;
  }

  /// The tensors of the shard opened last must be those that the index looks for there.
  void check_shard(std::string const& shard, WeightMap const& map) const {
    Safetensors const& content = files_.back().content;
    for (TensorEntry const& entry : content.tensors()) {
      auto const mapped = map.find(entry.name);
      if (mapped == map.end()) {
        fail(tensor_place(content.file(), entry.name), " is not in the weight_map of ", name_);
      }
      if (mapped->second != shard) {
        fail(tensor_place(content.file(), entry.name), ": found in this shard, expected in ", mapped->second,
             " by the weight_map of ", name_);
      }
    }
  }

  [[noreturn]] static void fail_without_weights(std::filesystem::path const& directory) {
    if (path_exists(directory / "pytorch_model.bin") ||
        path_exists(directory / "pytorch_model.bin.index.json")) {
      fail(
          directory.string(),
          ": found pytorch_model.bin, expected model.safetensors; convert it, in that directory, ",
          "with: python3 -c \"import glob, torch, safetensors.torch as s; s.save_file({k: v.clone() for f in "
          "glob.glob('pytorch_model*.bin') for k, v in torch.load(f, 'cpu', weights_only=True).items()}, "
          "'model.safetensors', {'format': 'pt'})\"");
    }
    fail(directory.string(),
         ": has no weights; expected model.safetensors, or model.safetensors.index.json and its shards");
  }

  std::string name_;
  std::vector<SafetensorsFile> files_;
};

} // namespace pocketllm::io
