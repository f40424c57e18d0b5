// SPDX-License-Identifier: Apache-2.0
// y = x W^T + b
#pragma once

#include <pocketllm/tensor/product.hpp>
#include <pocketllm/tensor/tensor.hpp>

#include <cstddef>
#include <string>

namespace pocketllm::layers {

/// A dense layer: weight [out, in] in storage T, bias [out].
template <tensor::WeightStorage T>
struct Linear {
  tensor::Tensor<T> weight;
  tensor::Tensor<float> bias;

  Linear() = default;
  Linear(std::string const& name, std::size_t out, std::size_t in)
      : weight(name + ".weight", {out, in}), bias(name + ".bias", {out}) {}

  /// X [lanes or 1, rows, in] -> Y [lanes, rows, out]
  template <random::Perturbation P>
  void operator()(Lanes<float const> x, random::Perturbed<P> const& at, Lanes<float> y,
                  Runtime& runtime) const {
    tensor::product(x, weight, &bias, at, y, runtime);
  }

  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    f(self.weight);
    f(self.bias);
  }
};

} // namespace pocketllm::layers
