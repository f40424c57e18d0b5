// SPDX-License-Identifier: Apache-2.0
// Walking over the tensors of a model.
#include "toy.hpp"
#include <pocketllm/tensor/visit.hpp>

namespace test_visit {

namespace tensor = pocketllm::tensor;

TEST_CASE("counts and names of a model with mixed tensors") {
  toy::Model<pocketllm::f16> const model({5, 7});
  CHECK(tensor::parameter_count(model) == 5 * 7 + 5 + 3 * 7);
  CHECK(tensor::weight_bytes(model) == 2 * (5 * 7 + 3 * 7) + 4 * 5);
  CHECK(tensor::tensor_names(model) == std::vector<std::string>{"layer.bias", "layer.weight", "table"});
}

TEST_CASE("a model that may be changed gives tensors that may be changed") {
  toy::Model<float> model({5, 7});
  tensor::for_each_tensor(model, [](auto& tensor) { tensor.set_trained(false); });
  CHECK_FALSE(model.weight.trained());
  CHECK_FALSE(model.bias.trained());
}

} // namespace test_visit
