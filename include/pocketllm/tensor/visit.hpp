// SPDX-License-Identifier: Apache-2.0
// The one way in which loading, saving, updating and counting see the weights of a model.
#pragma once

#include <pocketllm/tensor/tensor.hpp>

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace pocketllm::tensor {

namespace detail {
/// A visitor of tensors of any storage, to ask whether a type can be visited.
struct AnyVisitor {
  template <WeightStorage T>
  void operator()(Tensor<T> const&) const noexcept {}
};
} // namespace detail

/// A model: `model.for_each_tensor(f)` calls f(Tensor<T>&), or with Tensor<T> const& when the model is const, once for
/// each distinct weight, always in the same order. T may differ from tensor to tensor.
template <class Model>
concept HasTensors = requires(Model& model, Model const& view) {
  model.for_each_tensor(detail::AnyVisitor{});
  view.for_each_tensor(detail::AnyVisitor{});
};

/// Calls f(tensor) for every weight of `model`.
template <class Model, class F>
  requires HasTensors<std::remove_const_t<Model>>
void for_each_tensor(Model& model, F&& f) {
  model.for_each_tensor(std::forward<F>(f));
}

/// The number of weights of all tensors, trained or not.
template <HasTensors Model>
[[nodiscard]] std::size_t parameter_count(Model const& model) {
  std::size_t count = 0;
  for_each_tensor(model, [&](auto const& tensor) { count += tensor.size(); });
  return count;
}

/// The bytes that the weights take in their storage types.
template <HasTensors Model>
[[nodiscard]] std::size_t weight_bytes(Model const& model) {
  std::size_t bytes = 0;
  for_each_tensor(model, [&]<class T>(Tensor<T> const& tensor) { bytes += tensor.size() * sizeof(T); });
  return bytes;
}

/// The names of all tensors, in the order in which they are visited.
template <HasTensors Model>
[[nodiscard]] std::vector<std::string> tensor_names(Model const& model) {
  std::vector<std::string> names;
  for_each_tensor(model, [&](auto const& tensor) { names.push_back(tensor.name()); });
  return names;
}

namespace detail {
struct ExampleModel {
  Tensor<float> weight;
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

static_assert(HasTensors<detail::ExampleModel>);
static_assert(!HasTensors<Tensor<float>> && !HasTensors<int>);

} // namespace pocketllm::tensor
