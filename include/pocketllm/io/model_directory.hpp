// SPDX-License-Identifier: Apache-2.0
// The files of a model's directory in the layout of the Hugging Face hub.
#pragma once

#include <pocketllm/core/error.hpp>

#include <algorithm>
#include <array>
#include <filesystem>
#include <string_view>
#include <system_error>

namespace pocketllm::io {

inline constexpr std::string_view config_file = "config.json";        ///< the architecture and its sizes
inline constexpr std::string_view weights_file = "model.safetensors"; ///< all tensors, if in one file
/// In its place beside several files: which of them has which tensor.
inline constexpr std::string_view weights_index_file = "model.safetensors.index.json";

/// Files that belong to the model beside config.json and weights; saving copies those that are there.
inline constexpr std::array<std::string_view, 12> companion_files{"vocab.json",
                                                                  "merges.txt",
                                                                  "tokenizer.json",
                                                                  "tokenizer_config.json",
                                                                  "special_tokens_map.json",
                                                                  "added_tokens.json",
                                                                  "vocab.txt",
                                                                  "sentencepiece.bpe.model",
                                                                  "spiece.model",
                                                                  "tokenizer.model",
                                                                  "chat_template.jinja",
                                                                  "generation_config.json"};

/// Whether something of that name is there; a path that may not be looked at counts as not there.
[[nodiscard]] inline bool path_exists(std::filesystem::path const& path) noexcept {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

/// Whether there is a directory (or a link to one) of that name.
[[nodiscard]] inline bool directory_exists(std::filesystem::path const& path) noexcept {
  std::error_code ignored;
  return std::filesystem::is_directory(path, ignored);
}

/// Whether a file of that name holds weights, in whichever format, or their index.
[[nodiscard]] inline bool is_weights_name(std::string_view name) {
  constexpr std::array<std::string_view, 7> endings{
      ".safetensors", ".safetensors.index.json", ".bin", ".bin.index.json", ".h5", ".msgpack", ".pt"};
  return std::any_of(endings.begin(), endings.end(), [&](auto ending) { return name.ends_with(ending); });
}

/// Throws Error that says what is expected unless `directory` is one and has a config.json.
inline void require_model_directory(std::filesystem::path const& directory) {
  constexpr char const* expected = "expected a directory with config.json and model.safetensors (or "
                                   "model.safetensors.index.json and its shards)";
  require(path_exists(directory), directory.string(), ": no such directory; ", expected);
  require(directory_exists(directory), directory.string(), ": is not a directory; ", expected);
  require(path_exists(directory / config_file), directory.string(), ": has no config.json; ", expected);
}

} // namespace pocketllm::io
