// SPDX-License-Identifier: Apache-2.0
// The models of bench_step: the sizes behind a name, with random weights, or those of a directory.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/core/runtime.hpp>
#include <pocketllm/io/load.hpp>
#include <pocketllm/models/roberta.hpp>
#include <pocketllm/tensor/update.hpp>
#include <pocketllm/tensor/visit.hpp>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

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

/// Fills a model as one that is to be pre-trained: matrices from a normal distribution of deviation 0.02,
/// gains of LayerNorm one, biases zero. In place, tensor by tensor, so that there is never more memory in use
/// than the weights take.
template <pocketllm::tensor::HasTensors Model>
void fill_at_random(Model& model, pocketllm::Runtime& runtime) {
  namespace pl = pocketllm;
  pl::tensor::for_each_tensor(model, [&]<class T>(pl::tensor::Tensor<T>& tensor) {
    bool const matrix = tensor.shape().size() > 1;
    bool const gain = !matrix && tensor.name().ends_with(".weight");
    tensor.allocate();
    std::fill_n(tensor.mutable_data(), tensor.size(), pl::from_float<T>(gain ? 1.0F : 0.0F));
    if (matrix) { // the update is what makes noise with all threads
      pl::random::Point const deviation{/*seed=*/0, 0.02F};
      pl::tensor::update(tensor, pl::random::Gaussian{}, {&deviation, 1}, 1.0F, runtime);
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

/// Floating-point operations of one forward pass, two for each multiply-add of linear layers and attention:
/// `sequences` of `tokens` each, and in each the scores of `words` at one token, for which the last layer computes
/// no more than keys and values at the others. What else there is (LayerNorm, GELU, softmax) does not count.
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
