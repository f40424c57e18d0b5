// SPDX-License-Identifier: Apache-2.0
// What the tests of all models share: activations as plain numbers, and a model's twin at a point.
#pragma once

#include <pocketllm/core/lanes.hpp>
#include <pocketllm/random/noise.hpp>
#include <pocketllm/random/perturbed.hpp>
#include <pocketllm/tensor/tensor.hpp>

#include <algorithm>
#include <cstddef>
#include <vector>

namespace golden {

using namespace pocketllm;

inline std::vector<float> copy(Lanes<float const> x) {
  std::vector<float> values;
  for (std::size_t l = 0; l < x.lanes; ++l) {
    for (std::size_t r = 0; r < x.rows; ++r) {
      values.insert(values.end(), x.row(l, r), x.row(l, r) + x.cols);
    }
  }
  return values;
}

/// The naive twin of a point: a model of floats, the Twin, into which theta + c z is written, element by
/// element.
template <class Twin, class Model, random::Perturbation P>
Twin written_at(Model const& model, P const& perturbation, random::Point point) {
  std::vector<std::vector<float>> weights;
  model.for_each_tensor([&](auto const& w) {
    std::vector<float>& values = weights.emplace_back();
    std::vector<float> z(w.cols());
    for (std::size_t r = 0; r < w.rows(); ++r) {
      double const c = w.trained() ? static_cast<double>(point.coefficient) : 0.0;
      if (c != 0.0) {
        random::fill_row<simd::scalar>(perturbation, {point.seed, w.key()}, r, 0, w.cols(), z.data());
      }
      for (std::size_t i = 0; i < w.cols(); ++i) {
        double const theta = static_cast<double>(to_float(w.row(r)[i]));
        values.push_back(static_cast<float>(theta + c * static_cast<double>(z[i])));
      }
    }
  });
  Twin twin(model.config());
  std::size_t next = 0;
  twin.for_each_tensor([&](auto& w) {
    w.allocate();
    std::copy(weights[next].begin(), weights[next].end(), w.mutable_data());
    ++next;
  });
  return twin;
}

} // namespace golden
