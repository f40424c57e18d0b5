// SPDX-License-Identifier: Apache-2.0
// A model with a new classification head on the encoder of another one.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/models/encoder_model.hpp>
#include <pocketllm/models/pooling.hpp>

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>

namespace pocketllm::models {

/// The configuration of `base` with a classification head of `classes` outputs.
template <EncoderFamily F>
[[nodiscard]] EncoderModelConfig<F> with_classes(EncoderModelConfig<F> config, std::size_t classes,
                                                 Pooling pooling) {
  config.classes = classes;
  config.pooling = pooling;
  config.headless = false;
  return config;
}

/// A classifier whose encoder (and pooler, where it is used) is that of `base` and whose class layer is zero.
/// Throws Error when `pooling` asks for a pooler that `base` does not have.
template <EncoderFamily F, layers::Weights T>
[[nodiscard]] EncoderModel<F, T> with_class_head(EncoderModel<F, T> base, std::size_t classes,
                                                 Pooling pooling) {
  EncoderModel<F, T> model(with_classes(base.config(), classes, pooling));
  std::string const own = model.class_layer().weight.name(), bias = model.class_layer().bias.name();
  model.for_each_tensor([&]<class U>(tensor::Tensor<U>& tensor) {
    if (tensor.name() == own || tensor.name() == bias) {
      tensor.allocate();
      std::fill_n(tensor.mutable_data(), tensor.size(), from_float<U>(0.0F));
      return;
    }
    bool found = false;
    base.for_each_tensor([&]<class V>(tensor::Tensor<V>& other) {
      if constexpr (std::same_as<U, V>) {
        if (other.name() == tensor.name()) {
          tensor = std::move(other);
          found = true;
        }
      }
    });
    require(found, "the model has no ", tensor.name(), " to start a classifier from; pool the mean instead");
  });
  return model;
}

} // namespace pocketllm::models
