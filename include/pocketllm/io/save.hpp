// SPDX-License-Identifier: Apache-2.0
// A model written as a Hugging Face directory that `transformers` loads, in one step: all of it or nothing.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/io/atomic_directory.hpp>
#include <pocketllm/io/model_directory.hpp>
#include <pocketllm/io/safetensors_writer.hpp>
#include <pocketllm/io/strict_json.hpp>
#include <pocketllm/tensor/visit.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace pocketllm::io {

/// What is written beside the weights.
struct SaveOptions {
  /// The directory that the model was loaded from: its config.json and tokenizer files are copied.
  std::filesystem::path source;
  /// Put into the weights file beside {"format": "pt"}, which `transformers` asks for.
  std::map<std::string, std::string> metadata = {};
};

namespace detail {

/// config.json of the source with the type of the weights that are saved; all else, and the order, is kept.
/// Codes are declared as a quantisation of our own, so that other libraries refuse what they would misread.
[[nodiscard]] inline std::string config_text(std::filesystem::path const& source, tensor::DType type) {
  std::string const path = (source / config_file).string();
  std::string const text = text::read_whole_file(path);
  static_cast<void>(parse_object(text, path)); // for its checks
  auto config = nlohmann::ordered_json::parse(text);
  config.erase("quantization_config");
  if (type == tensor::DType::i8 || type == tensor::DType::i4) {
    config["quantization_config"] = {{"quant_method", "pocketllm"},
                                     {"bits", type == tensor::DType::i8 ? 8 : 4}};
    return config.dump(2) + "\n";
  }
  char const* const name = type == tensor::DType::f32   ? "float32"
                           : type == tensor::DType::f16 ? "float16"
                                                        : "bfloat16";
  config["dtype"] = name;
  if (config.contains("torch_dtype")) { // its name before transformers 4.56
    config["torch_dtype"] = name;
  }
  return config.dump(2) + "\n";
}

/// The type of the first matrix, which stands for the model's; vectors may be held in a wider one. Where
/// there are codes, they do; of 4 bits where there are any, since tables beside those have 8.
[[nodiscard]] inline tensor::DType matrix_type(std::vector<TensorEntry> const& tensors) {
  auto const has = [&](std::string_view type) {
    return std::any_of(tensors.begin(), tensors.end(),
                       [&](TensorEntry const& t) { return t.type.name == type; });
  };
  if (has("U8") || has("I8")) {
    return has("U8") ? tensor::DType::i4 : tensor::DType::i8;
  }
  auto const found =
      std::find_if(tensors.begin(), tensors.end(), [](TensorEntry const& t) { return t.shape.size() == 2; });
  return found == tensors.end() ? tensor::DType::f32 : found->type.weight.value_or(tensor::DType::f32);
}

/// Files in the directory to be replaced that `is_own(name)` does not claim: a card, a log, a journal. Throws
/// Error when it holds something but no file `marker`, or has directories in it, so that nobody loses files
/// by a slip of the keyboard.
template <class IsOwn>
[[nodiscard]] std::vector<std::filesystem::path> files_to_keep(std::filesystem::path const& target,
                                                               std::string_view marker, IsOwn&& is_own) {
  std::vector<std::filesystem::path> keep;
  if (!path_exists(target)) {
    return keep;
  }
  require(directory_exists(target), target.string(), ": is not a directory; choose another name to save to");
  std::error_code error;
  require(!std::filesystem::equivalent(target, std::filesystem::current_path(error), error), target.string(),
          ": is the current directory, which cannot be replaced; choose a directory in it");
  bool const known = path_exists(target / marker);
  for (auto const& entry : std::filesystem::directory_iterator(target, error)) {
    std::string const name = entry.path().filename().string();
    require(known, target.string(), ": is not empty and has no ", marker, ", so it is not a directory to ",
            "replace; choose another, or empty it");
    require(!directory_exists(entry.path()), target.string(), ": has a directory ", name,
            ", which saving would remove; choose another directory to save to, or move it away");
    if (!is_own(name)) {
      keep.push_back(entry.path());
    }
  }
  require(!error, target.string(), ": cannot be listed: ", error.message());
  return keep;
}

/// Puts what write(path) makes in the place of `directory`, in one step; see files_to_keep for what is kept
/// and refused.
template <class IsOwn, class Write>
void replace_directory(std::filesystem::path const& directory, std::string_view marker, IsOwn&& is_own,
                       Write&& write) {
  try {
    AtomicDirectory output(directory);
    std::vector<std::filesystem::path> const keep = files_to_keep(output.target(), marker, is_own);
    write(output.path());
    for (std::filesystem::path const& file : keep) {
      copy_synced(file, output.path() / file.filename());
    }
    output.commit();
  } catch (Error const& error) { // which names a temporary file
    fail(directory.string(), ": not saved, nothing is changed: ", error.what());
  }
}

inline void write_model(std::filesystem::path const& directory, std::vector<TensorEntry> const& tensors,
                        SaveOptions const& options) {
  OutputFile config(directory / config_file);
  config.write(config_text(options.source, matrix_type(tensors)));
  config.sync();
  for (std::string_view const name : companion_files) {
    if (path_exists(options.source / name)) {
      copy_synced(options.source / name, directory / name);
    }
  }
  std::map<std::string, std::string> metadata = options.metadata;
  metadata["format"] = "pt";
  OutputFile weights(directory / weights_file);
  write_safetensors(weights, tensors, metadata);
  weights.sync();
}

inline void save_tensors(std::vector<TensorEntry> const& tensors, std::filesystem::path const& directory,
                         SaveOptions const& options) {
  require_model_directory(options.source);
  auto const is_own = [](std::string const& name) {
    bool const companion =
        std::find(companion_files.begin(), companion_files.end(), name) != companion_files.end();
    return companion || is_weights_name(name) || name == config_file;
  };
  replace_directory(directory, config_file, is_own,
                    [&](std::filesystem::path const& path) { write_model(path, tensors, options); });
}

} // namespace detail

/// Writes the model to `directory` for `transformers` (and `load`): model.safetensors, config.json with the
/// type of the model's matrices, tokenizer files. Each tensor keeps its own type, so that what is loaded
/// again is what was saved. A model's directory of that name is replaced in one step, at every instant it is
/// the old one or the new one; files in it that belong to no model are kept. It may be the one that the model
/// borrows its weights from. Throws Error, with the directory unchanged, when it holds something else than a
/// model, when the disk is full, or when there is no permission.
template <tensor::HasTensors Model>
void save(Model const& model, std::filesystem::path const& directory, SaveOptions const& options) {
  detail::save_tensors(list_tensors(model), directory, options);
}

} // namespace pocketllm::io
