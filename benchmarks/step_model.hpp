// SPDX-License-Identifier: Apache-2.0
// The models of the benchmarks: the sizes behind a name, with random weights, or those of a directory.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/core/runtime.hpp>
#include <pocketllm/io/atomic_directory.hpp>
#include <pocketllm/io/load.hpp>
#include <pocketllm/io/output_file.hpp>
#include <pocketllm/io/safetensors_writer.hpp>
#include <pocketllm/layers/lora.hpp>
#include <pocketllm/models/opt.hpp>
#include <pocketllm/models/roberta.hpp>
#include <pocketllm/tensor/quantize.hpp>
#include <pocketllm/tensor/update.hpp>
#include <pocketllm/tensor/visit.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace benchmarks {

/// The sizes of a model that has a name here; nothing for other names.
[[nodiscard]] inline std::optional<pocketllm::models::RobertaConfig> named_config(std::string_view name) {
  pocketllm::models::RobertaConfig config;
  if (name == "roberta-large") {
    config.encoder = {.layers = 24, .width = 1024, .heads = 16, .feed_forward = 4096};
  } else if (name == "roberta-base") {
    config.encoder = {.layers = 12, .width = 768, .heads = 12, .feed_forward = 3072};
  } else if (name == "tiny") { // examples/models/tiny-roberta
    config.encoder = {.layers = 4, .width = 256, .heads = 4, .feed_forward = 1024};
  } else {
    return {};
  }
  bool const tiny = name == "tiny";
  config.vocabulary = tiny ? 8192 : 50265;
  config.positions = tiny ? 258 : 514;
  return config;
}

namespace detail {

/// Codes of the same numbers, made row by row.
template <pocketllm::tensor::QuantizedStorage T>
void fill_quantized(pocketllm::tensor::Tensor<T>& tensor, pocketllm::Runtime& runtime) {
  namespace pl = pocketllm;
  using Layout = pl::tensor::QuantizedLayout<T>;
  auto const memory = tensor.allocate();
  std::size_t const cols = tensor.cols();
  runtime.pool().parallel_for(tensor.rows(), [&](std::size_t r, std::size_t) {
    std::vector<float> row(cols);
    pl::random::fill_row<pl::simd::native>(pl::random::Gaussian{}, {/*seed=*/0, tensor.key()}, r, 0, cols,
                                           row.data());
    for (float& value : row) {
      value *= 0.02F;
    }
    pl::tensor::quantize_row(row, memory.codes + r * Layout::row_units(cols),
                             memory.scales + r * Layout::row_scales(cols));
  });
}

} // namespace detail

/// Fills a model as one that is to be pre-trained: matrices from a normal distribution of deviation 0.02,
/// gains of LayerNorm one, biases zero. In place, tensor by tensor, so that there is never more memory in use
/// than the weights take.
template <pocketllm::tensor::HasTensors Model>
void fill_at_random(Model& model, pocketllm::Runtime& runtime) {
  namespace pl = pocketllm;
  pl::tensor::for_each_tensor(model, [&]<class T>(pl::tensor::Tensor<T>& tensor) {
    if constexpr (pl::tensor::QuantizedStorage<T>) {
      return detail::fill_quantized(tensor, runtime);
    } else {
      bool const matrix = tensor.shape().size() > 1;
      bool const gain = !matrix && tensor.name().ends_with(".weight");
      tensor.allocate();
      std::fill_n(tensor.mutable_data(), tensor.size(), pl::from_float<T>(gain ? 1.0F : 0.0F));
      if (matrix) { // the update is what makes noise with all threads
        pl::random::Point const deviation{/*seed=*/0, 0.02F};
        pl::tensor::update(tensor, pl::random::Gaussian{}, {&deviation, 1}, 1.0F, runtime);
      }
    }
  });
}

/// The model called `name`, or that of the directory `name`. Throws Error when it is neither, and when the
/// model does not score words.
template <pocketllm::tensor::WeightStorage T>
[[nodiscard]] pocketllm::models::Roberta<T> make_model(std::string const& name, pocketllm::Runtime& runtime) {
  using Model = pocketllm::models::Roberta<T>;
  if (auto const config = named_config(name)) {
    Model model(*config);
    fill_at_random(model, runtime);
    return model;
  }
  pocketllm::require(pocketllm::io::directory_exists(name), "--model ", name,
                     ": is no directory; give one, or roberta-large, roberta-base or tiny");
  Model model = pocketllm::io::load<Model>(name);
  pocketllm::require(model.config().classes == 0, "--model ", name,
                     ": has a classification head; a masked-language-model head is what is measured");
  return model;
}

/// The sizes of OPT models that have a name here (Zhang et al., arXiv 2205.01068, table 1).
[[nodiscard]] inline std::optional<pocketllm::models::OptConfig> named_opt(std::string_view name) {
  pocketllm::models::OptConfig config;
  if (name == "opt-1.3b") {
    config.decoder = {.layers = 24, .width = 2048, .heads = 32, .feed_forward = 8192};
  } else if (name == "opt-125m") {
    config.decoder = {.layers = 12, .width = 768, .heads = 12, .feed_forward = 3072};
  } else {
    return {};
  }
  config.embedding_width = config.decoder.width;
  config.vocabulary = 50272;
  config.positions = 2048;
  return config;
}

/// Whether `name` is that of an OPT here, or of a directory that holds one.
[[nodiscard]] inline bool is_opt(std::string const& name) {
  namespace io = pocketllm::io;
  std::filesystem::path const file = std::filesystem::path(name) / io::config_file;
  return named_opt(name) ||
         (io::path_exists(file) && io::read_object(file).value("model_type", io::Json()) == "opt");
}

/// An OPT by name, or that of a directory; weights that stay as they are then lie in the map of its file.
template <class W>
[[nodiscard]] pocketllm::models::Opt<W> make_opt(std::string const& name, bool frozen,
                                                 pocketllm::Runtime& runtime) {
  using Model = pocketllm::models::Opt<W>;
  if (auto const config = named_opt(name)) {
    Model model(*config);
    fill_at_random(model, runtime);
    return model;
  }
  return pocketllm::io::load<Model>(name, {.borrow = frozen});
}

/// Writes an OPT to a new directory, for this program to read again.
template <class W>
void write_opt(pocketllm::models::Opt<W> const& model, std::filesystem::path const& directory) {
  namespace io = pocketllm::io;
  auto const& c = model.config();
  nlohmann::ordered_json const config{{"model_type", "opt"},
                                      {"hidden_size", c.decoder.width},
                                      {"num_attention_heads", c.decoder.heads},
                                      {"num_hidden_layers", c.decoder.layers},
                                      {"ffn_dim", c.decoder.feed_forward},
                                      {"vocab_size", c.vocabulary},
                                      {"max_position_embeddings", c.positions}};
  io::AtomicDirectory output(directory);
  io::OutputFile text(output.path() / io::config_file);
  text.write(config.dump(2) + "\n");
  text.sync();
  io::OutputFile weights(output.path() / io::weights_file);
  io::write_safetensors(weights, io::list_tensors(model), {{"format", "pt"}});
  weights.sync();
  output.commit();
}

/// As for the encoder below; every token but the last of a text is predicted, and attends to those before it.
[[nodiscard]] inline double forward_operations(pocketllm::models::OptConfig const& config,
                                               std::size_t sequences, std::size_t tokens) {
  auto const& d = config.decoder;
  auto const real = [](std::size_t count) { return static_cast<double>(count); };
  double const linear = 4.0 * real(d.width) * real(d.width) + 2.0 * real(d.width) * real(d.feed_forward);
  double const attention = real(tokens + 1) * real(d.width); // half of Q K^T and of its product with V
  double const head = real(config.embedding_width) * real(config.vocabulary);
  return 2.0 * real(sequences) * real(tokens) * (real(d.layers) * (linear + attention) + head);
}

/// Floating-point operations of one forward pass, two for each multiply-add of linear layers and attention:
/// `sequences` of `tokens` each, and in each the scores of `words` at one token, for which the last layer
/// computes no more than keys and values at the others. What else there is (LayerNorm, GELU, softmax) does
/// not count.
[[nodiscard]] inline double forward_operations(pocketllm::models::RobertaConfig const& config,
                                               std::size_t sequences, std::size_t tokens, std::size_t words) {
  auto const& e = config.encoder;
  auto const real = [](std::size_t count) { return static_cast<double>(count); };
  double const square = real(e.width) * real(e.width);
  double const feed_forward = 2.0 * real(e.width) * real(e.feed_forward);
  double const attention = 2.0 * real(tokens) * real(e.width); // Q K^T, and its softmax times V
  double const layer = real(tokens) * (4.0 * square + feed_forward + attention);
  double const last = real(tokens) * 2.0 * square + 2.0 * square + feed_forward + attention;
  double const head = square + real(e.width) * real(words);
  return 2.0 * real(sequences) * (real(e.layers - 1) * layer + last + head);
}

} // namespace benchmarks
