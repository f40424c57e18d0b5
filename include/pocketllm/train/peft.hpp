// SPDX-License-Identifier: Apache-2.0
// LoRA adapters as the `peft` package keeps them: adapter_config.json and adapter_model.safetensors.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/io/convert.hpp>
#include <pocketllm/io/output_file.hpp>
#include <pocketllm/io/safetensors.hpp>
#include <pocketllm/io/safetensors_writer.hpp>
#include <pocketllm/io/save.hpp>
#include <pocketllm/io/strict_json.hpp>
#include <pocketllm/layers/lora.hpp>

#include <nlohmann/json.hpp>

#include <cmath>
#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pocketllm::train {

/// The file of the `peft` package that says which layers have terms, of which rank and scale.
inline constexpr std::string_view adapter_config_file = "adapter_config.json";
/// The file of the `peft` package that has the terms' tensors.
inline constexpr std::string_view adapter_weights_file = "adapter_model.safetensors";

/// What adapter_config.json says beside the terms.
struct AdapterSource {
  std::string base_model;              ///< directory or name of the model that the adapter is for
  std::string task_type = "CAUSAL_LM"; ///< peft's name of the task, or empty
};

namespace detail {

/// What peft puts in front of the names of a model's tensors.
inline constexpr std::string_view peft_prefix = "base_model.model.";

template <class Layer>
[[nodiscard]] float lora_alpha(Layer const& layer) {
  return layer.lora->scale * static_cast<float>(layer.lora->rank());
}

/// adapter_config.json: rank and alpha of the first term, and of those that differ.
template <tensor::HasTensors Model>
[[nodiscard]] nlohmann::ordered_json adapter_config(Model const& model, AdapterSource const& source) {
  nlohmann::ordered_json config{{"peft_type", "LORA"},
                                {"base_model_name_or_path", source.base_model},
                                {"task_type", nullptr},
                                {"inference_mode", true},
                                {"r", 0},
                                {"lora_alpha", 0.0F},
                                {"lora_dropout", 0.0},
                                {"bias", "none"},
                                {"fan_in_fan_out", false},
                                {"use_rslora", false},
                                {"use_dora", false},
                                {"target_modules", nlohmann::ordered_json::array()},
                                {"rank_pattern", nlohmann::ordered_json::object()},
                                {"alpha_pattern", nlohmann::ordered_json::object()}};
  if (!source.task_type.empty()) {
    config["task_type"] = source.task_type;
  }
  layers::for_each_adaptable(model, [&](auto const& layer) {
    if (!layer.lora) {
      return;
    }
    std::string const name = layer.layer_name();
    std::size_t const rank = layer.lora->rank();
    float const alpha = lora_alpha(layer);
    if (config["target_modules"].empty()) {
      config["r"] = rank;
      config["lora_alpha"] = alpha;
    }
    config["target_modules"].push_back(name);
    if (config["r"] != rank) {
      config["rank_pattern"][name] = rank;
    }
    if (config["lora_alpha"] != alpha) {
      config["alpha_pattern"][name] = alpha;
    }
  });
  require(!config["target_modules"].empty(), "the model has no LoRA terms to save");
  return config;
}

/// The number under `key`, of the pattern that the layer's name is or ends with, or else that for all.
[[nodiscard]] inline float pattern_value(io::Json const& config, std::string_view layer,
                                         std::string const& patterns, std::string const& key) {
  io::Json const exceptions = config.value(patterns, io::Json::object());
  for (auto const& [pattern, value] : exceptions.items()) {
    if (layer == pattern || layer.ends_with("." + pattern)) {
      return value.get<float>();
    }
  }
  return config.at(key).get<float>();
}

/// Throws Error for kinds of adapters that are not terms of low rank.
inline void require_lora(io::Json const& config) {
  std::string const type = config.value("peft_type", "");
  require(type == "LORA", "peft_type is \"", type, "\"; supported is \"LORA\"");
  for (char const* const key : {"use_dora", "fan_in_fan_out"}) {
    auto const found = config.find(key);
    require(found == config.end() || found->is_null() || *found == false, key, " is ",
            found == config.end() ? "" : found->dump(), ", which is not supported");
  }
  require(config.value("bias", "none") == "none",
          "bias is not \"none\"; only terms of low rank are supported");
  auto const saved = config.find("modules_to_save");
  require(saved == config.end() || saved->is_null() || saved->empty(),
          "modules_to_save is not empty; only terms of low rank are supported");
}

/// The tensor of the file as floats, [*, cols] or [rows, *].
inline void read_factor(io::SafetensorsFile const& file, tensor::Tensor<float>& to) {
  std::string const name = std::string(peft_prefix) + to.name();
  io::TensorEntry const* const entry = file.content.find(name);
  require(entry != nullptr && entry->shape == to.shape(), io::tensor_place(file.content.file(), name),
          entry == nullptr ? " is missing" : " has another shape", ": expected ", io::shape_text(to.shape()),
          entry == nullptr ? "" : ", found ", entry == nullptr ? "" : io::shape_text(entry->shape));
  to.allocate();
  io::copy_weights(*entry, file.content.file(), to.mutable_data(), [](auto) {});
}

} // namespace detail

/// Writes the terms of a model's layers to `directory`, from where `peft` loads them onto the model
/// `source.base_model`. A directory with an adapter of that name is replaced in one step. Throws Error, with
/// the directory unchanged, when there are no terms, it holds something else, or it cannot be written.
template <tensor::HasTensors Model>
void save_adapter(Model const& model, std::filesystem::path const& directory, AdapterSource const& source) {
  std::string const config = detail::adapter_config(model, source).dump(2) + "\n";
  std::vector<io::TensorEntry> tensors;
  layers::for_each_adaptable(model, [&](auto const& layer) {
    if (layer.lora) {
      for (tensor::Tensor<float> const* const t : {&layer.lora->down, &layer.lora->up}) {
        tensors.push_back({std::string(detail::peft_prefix) + t->name(), *io::find_dtype("F32"), t->shape(),
                           std::as_bytes(t->values())});
      }
    }
  });
  auto const is_own = [](std::string const& name) {
    return name == adapter_config_file || io::is_weights_name(name);
  };
  auto const write = [&](std::filesystem::path const& path) {
    io::OutputFile file(path / adapter_config_file);
    file.write(config);
    file.sync();
    io::OutputFile weights(path / adapter_weights_file);
    io::write_safetensors(weights, tensors, {{"format", "pt"}});
    weights.sync();
  };
  io::detail::replace_directory(directory, adapter_config_file, is_own, write);
}

/// Reads an adapter that save_adapter or `peft` wrote onto a model without terms. Returns the number of
/// layers that got one. Throws Error that names the file when it is of another kind, or does not fit the
/// model.
template <tensor::HasTensors Model>
std::size_t load_adapter(Model& model, std::filesystem::path const& directory) {
  std::string const config_path = (directory / adapter_config_file).string();
  io::Json const config = io::read_object(config_path);
  io::SafetensorsFile const file(directory / adapter_weights_file);
  std::size_t used = 0, layers = 0;
  try {
    detail::require_lora(config);
    bool const by_root = config.value("use_rslora", false); // alpha / sqrt(rank)
    layers::for_each_adaptable(model, [&](auto& layer) {
      std::string const name = layer.layer_name();
      auto const* const found = file.content.find(std::string(detail::peft_prefix) + name + ".lora_A.weight");
      if (found == nullptr) {
        return;
      }
      require(!layer.lora, name, " has a LoRA term already");
      require(found->shape.size() == 2 && found->shape[0] >= 1, found->name, " is no matrix");
      std::size_t const rank = found->shape[0];
      float const alpha = detail::pattern_value(config, name, "alpha_pattern", "lora_alpha");
      float const divisor = by_root ? std::sqrt(static_cast<float>(rank)) : static_cast<float>(rank);
      layers::LoraTerm term(name, layer.weight.rows(), layer.weight.cols(), rank, alpha / divisor);
      detail::read_factor(file, term.down);
      detail::read_factor(file, term.up);
      layer.lora = std::move(term);
      used += 2;
      ++layers;
    });
  } catch (io::Json::exception const& error) {
    fail(config_path, ": ", error.what());
  } catch (Error const& error) {
    fail(config_path, ": ", error.what());
  }
  require(used != 0 && used == file.content.tensors().size(), file.content.file(), ": ",
          file.content.tensors().size(), " tensors, of which ", used,
          " belong to layers of this model; the adapter is for another one");
  return layers;
}

} // namespace pocketllm::train
