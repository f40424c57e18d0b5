// SPDX-License-Identifier: Apache-2.0
// A user's program that chooses its kernels when it runs: a product of known numbers.
#include <pocketllm/tensor/product.hpp>

#include <iostream>
#include <vector>

int main() {
  namespace pl = pocketllm;
  constexpr std::size_t in = 40, out = 30, rows = 20;
  pl::tensor::Tensor<float> weight("weight", {out, in});
  weight.allocate();
  for (std::size_t i = 0; i < weight.size(); ++i) {
    weight.mutable_data()[i] = static_cast<float>(i % 7);
  }
  std::vector<float> const x(rows * in, 2.0F);
  std::vector<float> y(rows * out);
  pl::Runtime runtime;
  pl::tensor::product(pl::Lanes<float const>{x.data(), 1, rows, in}, weight, nullptr,
                      pl::random::unperturbed(), pl::Lanes<float>{y.data(), 1, rows, out}, runtime);
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t n = 0; n < out; ++n) {
      float expected = 0.0F;
      for (std::size_t k = 0; k < in; ++k) {
        expected += 2.0F * weight.row(n)[k];
      }
      if (y[r * out + n] != expected) {
        std::cerr << "row " << r << ", output " << n << ": " << y[r * out + n] << " instead of " << expected
                  << '\n';
        return 1;
      }
    }
  }
  return 0;
}
