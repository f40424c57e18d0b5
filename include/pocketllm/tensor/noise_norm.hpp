// SPDX-License-Identifier: Apache-2.0
// How long a direction is.
#pragma once

#include <pocketllm/core/runtime.hpp>
#include <pocketllm/random/noise.hpp>
#include <pocketllm/random/perturbed.hpp>
#include <pocketllm/simd/batch.hpp>
#include <pocketllm/tensor/visit.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace pocketllm::tensor {

/// sqrt(d) / |z(seed)| over the d trained weights of a model: z times this is uniform on the sphere of radius
/// sqrt(d) if z is Gaussian. It makes all of z once, and stores none of it. The same bits for any number of
/// threads and on any instruction set.
template <HasTensors Model, random::Perturbation P>
[[nodiscard]] float sphere_scale(Model const& model, P const& perturbation, std::uint64_t seed,
                                 Runtime& runtime) {
  double squares = 0.0;
  std::size_t trained = 0;
  for_each_tensor(model, [&](auto const& w) {
    if (!w.trained()) {
      return;
    }
    random::Stream const stream{seed, w.key(), w.shape().size() == 1};
    std::vector<double> of_rows(w.rows());
    runtime.pool().parallel_for(w.rows(), [&](std::size_t row, std::size_t) {
      std::array<float, random::block_cols> z;
      for (std::size_t first = 0; first < w.cols(); first += z.size()) {
        std::size_t const count = std::min(z.size(), w.cols() - first);
        random::fill_row<simd::native>(perturbation, stream, row, first, count, z.data());
        for (std::size_t i = 0; i < count; ++i) { // the square of a float is exact in double
          of_rows[row] += static_cast<double>(z[i]) * static_cast<double>(z[i]);
        }
      }
    });
    for (double const of_row : of_rows) {
      squares += of_row;
    }
    trained += w.size();
  });
  return squares == 0.0 ? 1.0F : static_cast<float>(std::sqrt(static_cast<double>(trained) / squares));
}

} // namespace pocketllm::tensor
