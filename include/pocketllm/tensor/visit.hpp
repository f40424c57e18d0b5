// SPDX-License-Identifier: Apache-2.0
// The one way to all weights of a model: loading, saving, updating and counting walk over its tensors by
// this.
#pragma once

#include <pocketllm/tensor/tensor.hpp>

#include <cstddef>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace pocketllm::tensor {

namespace detail {
/// Takes a tensor of any storage: what a model must be able to call.
struct AnyTensorVisitor {
  template <WeightStorage T>
  void operator()(Tensor<T> const&) const {}
};

struct NoTensors {};
struct TensorsOnlyToRead {
  template <class F>
  void for_each_tensor(F&& f) const {
    f(Tensor<float>());
  }
  template <class F>
  void for_each_tensor(F&& f) = delete;
};
struct OneTensor {
  Tensor<f16> weight;
  template <class F>
  void for_each_tensor(F&& f) {
    f(weight);
  }
  template <class F>
  void for_each_tensor(F&& f) const {
    f(weight);
  }
};
} // namespace detail

/// A model whose weights can be walked over: `model.for_each_tensor(f)` calls f(Tensor<T>&), or
/// f(Tensor<T> const&) when the model is const, once for each tensor, always in the same order. T may differ
/// from tensor to tensor. A tensor that serves twice (a tied decoder) is visited once. What the first layer
/// reads from comes before its tensors, and what reads from the last layer behind them.
///
/// Layers, which models are made of, have `static void visit(self, f)` for it: it calls f(tensor) for each of
/// the layer's own; self is const or not.
template <class Model>
concept HasTensors = requires(Model& model, Model const& reader, detail::AnyTensorVisitor visitor) {
  model.for_each_tensor(visitor);
  reader.for_each_tensor(visitor);
};

static_assert(HasTensors<detail::OneTensor>);
static_assert(!HasTensors<detail::NoTensors> && !HasTensors<detail::TensorsOnlyToRead>);

/// Calls f(tensor) once for each tensor of the model.
template <class Model, class F>
requires HasTensors<std::remove_const_t<Model>>
void for_each_tensor(Model& model, F&& f) { model.for_each_tensor(std::forward<F>(f)); }

/// Number of weights: elements of all tensors.
template <HasTensors Model>
[[nodiscard]] std::size_t parameter_count(Model const& model) {
  std::size_t count = 0;
  for_each_tensor(model, [&](auto const& tensor) { count += tensor.size(); });
  return count;
}

/// Bytes that the weights take, whether owned or borrowed.
template <HasTensors Model>
[[nodiscard]] std::size_t weight_bytes(Model const& model) {
  std::size_t bytes = 0;
  for_each_tensor(model, [&](auto const& tensor) { bytes += tensor.bytes(); });
  return bytes;
}

/// The names of all tensors, in the model's order.
template <HasTensors Model>
[[nodiscard]] std::vector<std::string> tensor_names(Model const& model) {
  std::vector<std::string> names;
  for_each_tensor(model, [&](auto const& tensor) { names.push_back(tensor.name()); });
  return names;
}

} // namespace pocketllm::tensor
