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

/// The sizes of a model's layers, and what `peft` calls the model's task: an encoder that it is to call as it
/// is, whatever its head, has no other than this.
template <class Config>
[[nodiscard]] auto const& shape_of(Config const& config) noexcept {
  if constexpr (requires { config.decoder; }) {
    return config.decoder;
  } else {
    return config.encoder;
  }
}
template <class Model>
inline constexpr char const* peft_task =
    pocketllm::models::TextGenerator<Model> ? "CAUSAL_LM" : "FEATURE_EXTRACTION";

} // namespace detail

/// Writes the prefix to the directory `out`, in one step. `base` is the directory of the model it belongs to.
template <class Model>
void save_prefix(pocketllm::models::Prefixed<Model> const& model, std::filesystem::path const& out,
                 std::filesystem::path const& base) {
  namespace io = pocketllm::io;
  auto const& shape = detail::shape_of(model.config());
  nlohmann::ordered_json const config{{"peft_type", "PREFIX_TUNING"},
                                      {"task_type", detail::peft_task<Model>},
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

/// The prefix of a directory that --adapter prefix wrote.
class PrefixFile {
public:
  /// Throws Error when there is none.
  explicit PrefixFile(std::filesystem::path const& adapter)
      : file_(adapter / adapter_weights_file), entry_(file_.content.find("prompt_embeddings")) {
    pocketllm::require(entry_ != nullptr && entry_->shape.size() == 2, file_.content.file(),
                       ": no prompt_embeddings [tokens, numbers]; expected the prefix that --adapter prefix "
                       "writes");
  }

  PrefixFile(PrefixFile const&) = delete; // it knows where its own entry is
  PrefixFile& operator=(PrefixFile const&) = delete;

  [[nodiscard]] std::size_t tokens() const noexcept { return entry_->shape[0]; }

  /// Gives its values to the prefix of a model. Throws Error when it is of another model.
  template <class Model>
  void copy_to(pocketllm::models::Prefixed<Model>& prefixed) const {
    auto& prefix = prefixed.prefix();
    pocketllm::require(entry_->shape == prefix.shape(), file_.content.file(), ": prompt_embeddings has ",
                       entry_->shape[1], " numbers a token, ", prefix.cols(), " are expected by the model");
    prefix.allocate();
    pocketllm::io::copy_weights(*entry_, file_.content.file(), prefix.mutable_data(), [](auto const&) {});
  }

private:
  pocketllm::io::SafetensorsFile file_;
  pocketllm::io::TensorEntry const* entry_;
};

/// The model with the prefix of the directory `adapter`. Throws Error when there is none, or one of another
/// model.
template <class Model>
[[nodiscard]] pocketllm::models::Prefixed<Model> load_prefix(Model model,
                                                             std::filesystem::path const& adapter) {
  PrefixFile const file(adapter);
  pocketllm::models::Prefixed<Model> prefixed(std::move(model), file.tokens());
  file.copy_to(prefixed);
  return prefixed;
}

} // namespace examples
