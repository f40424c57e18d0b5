// SPDX-License-Identifier: Apache-2.0
// A trained prefix as the `peft` package keeps it: adapter_config.json and adapter_model.safetensors.
#pragma once

#include <pocketllm/pocketllm.hpp>

#include <nlohmann/json.hpp>

#include <cstddef>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace examples {

using pocketllm::train::adapter_config_file;
using pocketllm::train::adapter_weights_file;

namespace detail {

/// The prefix alone, as a model to write.
struct PrefixTensor {
  pocketllm::tensor::Tensor<float> prefix;
  template <class F>
  void for_each_tensor(F&& f) {
    f(prefix);
  }
  template <class F>
  void for_each_tensor(F&& f) const {
    f(prefix);
  }
};

} // namespace detail

/// Writes the prefix to the directory `out`, in one step. `base` is the directory of the model it belongs to.
template <class Model>
void save_prefix(pocketllm::models::Prefixed<Model> const& model, std::filesystem::path const& out,
                 std::filesystem::path const& base) {
  namespace io = pocketllm::io;
  auto const& shape = model.config().decoder;
  nlohmann::ordered_json const config{{"peft_type", "PREFIX_TUNING"},
                                      {"task_type", "CAUSAL_LM"},
                                      {"base_model_name_or_path", base.string()},
                                      {"inference_mode", true},
                                      {"num_virtual_tokens", model.prefix().rows()},
                                      {"num_layers", shape.layers},
                                      {"num_attention_heads", shape.heads},
                                      {"token_dim", shape.width},
                                      {"encoder_hidden_size", shape.width},
                                      {"num_transformer_submodules", 1},
                                      {"prefix_projection", false}};
  io::AtomicDirectory directory(out);
  io::OutputFile text(directory.path() / adapter_config_file);
  text.write(config.dump(2) + "\n");
  text.sync();
  io::OutputFile weights(directory.path() / adapter_weights_file);
  io::write_safetensors(weights, io::list_tensors(detail::PrefixTensor{model.prefix()}), {{"format", "pt"}});
  weights.sync();
  directory.commit();
}

/// The model with the prefix of the directory `adapter`. Throws Error when there is none, or one of another
/// model.
template <class Model>
[[nodiscard]] pocketllm::models::Prefixed<Model> load_prefix(Model model,
                                                             std::filesystem::path const& adapter) {
  namespace io = pocketllm::io;
  io::SafetensorsFile const file(adapter / adapter_weights_file);
  io::TensorEntry const* const entry = file.content.find("prompt_embeddings");
  pocketllm::require(entry != nullptr && entry->shape.size() == 2, file.content.file(),
                     ": no prompt_embeddings [tokens, numbers]; expected the prefix that finetune_causal "
                     "--adapter prefix writes");
  pocketllm::models::Prefixed<Model> prefixed(std::move(model), entry->shape[0]);
  auto& prefix = prefixed.prefix();
  pocketllm::require(entry->shape == prefix.shape(), file.content.file(), ": prompt_embeddings has ",
                     entry->shape[1], " numbers a token, ", prefix.cols(), " are expected by the model");
  prefix.allocate();
  io::copy_weights(*entry, file.content.file(), prefix.mutable_data(), [](auto const&) {});
  return prefixed;
}

} // namespace examples
