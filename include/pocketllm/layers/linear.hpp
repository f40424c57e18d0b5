// SPDX-License-Identifier: Apache-2.0
// y = activation(x W^T + b)
#pragma once

#include <pocketllm/layers/weights.hpp>
#include <pocketllm/simd/activation.hpp>
#include <pocketllm/tensor/packed.hpp>
#include <pocketllm/tensor/product.hpp>
#include <pocketllm/tensor/tensor.hpp>

#include <cstddef>
#include <string>

namespace pocketllm::layers {

template <Weights W>
struct Linear;

/// A dense layer: weight [out, in] in storage T, bias [out] where there is one.
template <tensor::WeightStorage T>
struct Linear<T> {
  tensor::Tensor<T> weight;   ///< [out, in], as safetensors holds it
  tensor::Tensor<float> bias; ///< [out], f32 whatever T is; default constructed where there is none

  Linear() = default;
  /// The tensors are called `name`.weight and `name`.bias; they have no data yet.
  Linear(std::string const& name, std::size_t out, std::size_t in, bool has_bias = true)
      : weight(name + ".weight", {out, in}) {
    if (has_bias) {
      bias = {name + ".bias", {out}};
    }
  }

  /// Without one, `bias` is neither visited nor added.
  [[nodiscard]] bool has_bias() const noexcept { return bias.size() != 0; }

  /// The layer with its result going to Y [lanes, rows, out]: layers that read the same X are computed
  /// together, `tensor::products(x, {query.into(q), key.into(k)}, at, runtime)`.
  [[nodiscard]] tensor::Factor<T> into(Lanes<float> y,
                                       simd::Activation activation = simd::Activation::none) const {
    return {weight, has_bias() ? &bias : nullptr, y, {}, activation};
  }
  /// The same, packed for the products that read Y.
  [[nodiscard]] tensor::Factor<T> into(tensor::Packed y,
                                       simd::Activation activation = simd::Activation::none) const {
    return {weight, has_bias() ? &bias : nullptr, {}, y, activation};
  }

  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    f(self.weight);
    if (self.has_bias()) {
      f(self.bias);
    }
  }
};

} // namespace pocketllm::layers
