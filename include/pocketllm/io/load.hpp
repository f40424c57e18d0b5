// SPDX-License-Identifier: Apache-2.0
// A model made from a Hugging Face directory: its configuration read, its tensors filled.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/io/checkpoint.hpp>
#include <pocketllm/io/convert.hpp>
#include <pocketllm/io/model_directory.hpp>
#include <pocketllm/io/quantized.hpp>
#include <pocketllm/io/strict_json.hpp>
#include <pocketllm/tensor/visit.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pocketllm::io {

/// A model that can be made from a directory: `Config::from_json` reads config.json, the constructor names
/// and shapes the tensors without data. Two members are optional: `ignores(name)` tells which tensors of a
/// file the model has no use for, `aliases(name)` gives other names under which a tensor may stand in a file.
template <class Model>
concept Loadable = tensor::HasTensors<Model> && std::move_constructible<Model> && requires(Json const& json) {
  { Model::Config::from_json(json) } -> std::same_as<typename Model::Config>;
  Model(Model::Config::from_json(json));
};

namespace detail {
struct LoadableExample : tensor::detail::OneTensor {
  struct Config {
    static Config from_json(Json const&) { return {}; }
  };
  explicit LoadableExample(Config const&) {}
};
} // namespace detail
static_assert(Loadable<detail::LoadableExample>);
static_assert(!Loadable<tensor::detail::OneTensor>);

/// How a model is loaded.
struct LoadOptions {
  /// Leave tensors whose type is the model's in the map of the file instead of copying them: nothing is read
  /// until it is used, and memory is the page cache's: clean pages that the system can drop. A tensor that is
  /// updated is copied then.
  bool borrow = false;
};

namespace detail {

template <class Model>
[[nodiscard]] std::vector<std::string> aliases_of(Model const& model, std::string const& name) {
  if constexpr (requires { model.aliases(name); }) {
    return model.aliases(name);
  } else {
    return {};
  }
}

template <class Model>
[[nodiscard]] bool is_ignored(Model const& model, std::string_view name) {
  if constexpr (requires { model.ignores(name); }) {
    return model.ignores(name);
  } else {
    return false;
  }
}

/// The tensor of the file under the name of `tensor` or one of its aliases, of the right shape.
template <tensor::WeightStorage T>
[[nodiscard]] Checkpoint::Located locate(tensor::Tensor<T> const& tensor,
                                         std::vector<std::string> const& aliases,
                                         Checkpoint const& checkpoint) {
  Checkpoint::Located found = checkpoint.find(tensor.name());
  for (auto alias = aliases.begin(); !found && alias != aliases.end(); ++alias) {
    found = checkpoint.find(*alias);
  }
  if (!found) {
    std::string others;
    for (std::string const& alias : aliases) {
      others += concat(" (or ", text::quote(alias, 200), ')');
    }
    fail(tensor_place(checkpoint.name(), tensor.name()), others, " is missing: expected ", weight_dtypes,
         " of shape ", shape_text(tensor.shape()), ", found no such name among ", checkpoint.size(),
         " tensors");
  }
  std::vector<std::size_t> expected = tensor.shape();
  if constexpr (tensor::QuantizedStorage<T>) {
    if (holds_codes<T>(*found.entry)) {
      expected = code_shape(tensor);
    }
  } else {
    require_floats(*found.entry, found.file->content.file());
  }
  if (found.entry->shape != expected) {
    fail(tensor_place(found.file->content.file(), found.entry->name), ": expected shape ",
         shape_text(expected), " by config.json, found ", shape_text(found.entry->shape));
  }
  return found;
}

template <tensor::QuantizedStorage T>
void fill(tensor::Tensor<T>& tensor, Checkpoint::Located const& found, Checkpoint const& checkpoint,
          LoadOptions const& options) {
  fill_quantized(tensor, found, checkpoint, options.borrow);
}

template <tensor::FloatStorage T>
void fill(tensor::Tensor<T>& tensor, Checkpoint::Located const& found, Checkpoint const&,
          LoadOptions const& options) {
  std::span<std::byte const> const bytes = found.entry->bytes;
  bool const aligned = reinterpret_cast<std::uintptr_t>(bytes.data()) % alignof(T) == 0;
  if (options.borrow && aligned && found.entry->type.weight == tensor::dtype_of<T>) {
    tensor.borrow(reinterpret_cast<T const*>(bytes.data()), found.file->map);
    return;
  }
  tensor.allocate();
  copy_weights(*found.entry, found.file->content.file(), tensor.mutable_data(),
               [&](std::span<std::byte const> done) { found.file->map->drop(done); });
}

} // namespace detail

/// The model that the config.json of a Hugging Face directory describes, its tensors without data. Throws
/// Error that names the file.
template <Loadable Model>
[[nodiscard]] Model make_model(std::filesystem::path const& directory) {
  require_model_directory(directory);
  std::filesystem::path const path = directory / config_file;
  Json const json = read_object(path);
  try {
    return Model(Model::Config::from_json(json));
  } catch (Error const& error) { // which knows the key but not the file
    fail(path.string(), ": ", error.what());
  } catch (Json::exception const& error) {
    fail(path.string(), ": ", error.what());
  }
}

/// Fills all tensors of the model from the checkpoint, converting where the types differ; tensors of codes
/// are quantised row by row from floats, or taken as they are (io/quantized.hpp). Throws Error that names the
/// file, the tensor, what was expected and what was found when one is missing or has another shape, or when
/// the file has one that the model neither has nor ignores. The pages of the file are given back as they are
/// copied, so memory peaks a few megabytes above the model's own.
template <tensor::HasTensors Model>
void fill(Model& model, Checkpoint const& checkpoint, LoadOptions const& options = {}) {
  std::set<std::string, std::less<>> known;
  // all names first: a wrong file costs no copying
  tensor::for_each_tensor(model, [&]<class T>(tensor::Tensor<T> const& tensor) {
    std::vector<std::string> aliases = detail::aliases_of(std::as_const(model), tensor.name());
    static_cast<void>(detail::locate(tensor, aliases, checkpoint));
    aliases.push_back(tensor.name());
    if constexpr (tensor::QuantizedStorage<T>) {
      for (std::string const& alias : aliases) {
        known.insert(scale_name(alias));
      }
    }
    known.insert(aliases.begin(), aliases.end());
  });
  for (SafetensorsFile const& file : checkpoint.files()) {
    for (TensorEntry const& entry : file.content.tensors()) {
      if (!known.contains(entry.name) && !detail::is_ignored(std::as_const(model), entry.name)) {
        fail(tensor_place(file.content.file(), entry.name), ": found ", entry.type.name, " ",
             shape_text(entry.shape),
             ", expected no tensor of that name: the model that config.json describes has none");
      }
    }
    if (!options.borrow) {
      file.map->advise_sequential();
    }
  }
  tensor::for_each_tensor(model, [&](auto& tensor) {
    std::vector<std::string> const aliases = detail::aliases_of(std::as_const(model), tensor.name());
    detail::fill(tensor, detail::locate(tensor, aliases, checkpoint), checkpoint, options);
  });
}

/// The model of a Hugging Face directory: config.json and model.safetensors, or shards and their index.
/// Throws Error that names the file and, where it is one, the tensor, what was expected and what was found.
template <Loadable Model>
[[nodiscard]] Model load(std::filesystem::path const& directory, LoadOptions const& options = {}) {
  Model model = make_model<Model>(directory);
  fill(model, Checkpoint::open(directory), options);
  return model;
}

} // namespace pocketllm::io
