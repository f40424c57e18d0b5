// SPDX-License-Identifier: Apache-2.0
// How long a direction is.
#pragma once

#include <pocketllm/core/runtime.hpp>
#include <pocketllm/random/noise.hpp>
#include <pocketllm/random/perturbed.hpp>
#include <pocketllm/simd/kernel.hpp>
#include <pocketllm/tensor/visit.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <vector>

namespace pocketllm::tensor {
namespace kernel {

/// sums[piece] = the sum of the squares of z over some rows of a tensor.
template <class P>
struct NoiseSquares {
  struct Task {
    P const& perturbation;
    random::Stream stream;
    std::size_t rows, cols;
    double* sums;

    static constexpr std::size_t piece_rows = 64; ///< noise for some 10 microseconds, and few sums
    [[nodiscard]] std::size_t pieces() const noexcept { return (rows + piece_rows - 1) / piece_rows; }
  };
  using Signature = void(Task const&, std::size_t);

  /// Sixteen sums side by side, so that vectors of any width add in the same order; the square of a float is
  /// exact in double.
  template <class A>
  static void run(Task const& t, std::size_t piece) noexcept {
    std::array<double, random::lanes> sums{};
    std::array<float, random::block_cols> z;
    std::size_t const begin = piece * Task::piece_rows, end = std::min(t.rows, begin + Task::piece_rows);
    for (std::size_t row = begin; row < end; ++row) {
      for (std::size_t first = 0, block = 0; first < t.cols; first += z.size(), ++block) {
        std::size_t const count = std::min(z.size(), t.cols - first);
        t.perturbation.template fill<A>(t.stream, row, block, count, z.data());
        std::fill(z.begin() + static_cast<std::ptrdiff_t>(count), z.end(), 0.0F);
        for (std::size_t i = 0; i < count; i += sums.size()) {
          for (std::size_t lane = 0; lane < sums.size(); ++lane) {
            sums[lane] += static_cast<double>(z[i + lane]) * static_cast<double>(z[i + lane]);
          }
        }
      }
    }
    t.sums[piece] = std::accumulate(sums.begin(), sums.end(), 0.0);
  }
};

} // namespace kernel
} // namespace pocketllm::tensor

template <class P>
inline constexpr bool pocketllm::simd::is_dispatched<pocketllm::tensor::kernel::NoiseSquares<P>> =
    pocketllm::random::is_own_perturbation<P>;

namespace pocketllm::tensor {

/// sqrt(d) / |z(seed)| over the d trained weights of a model: z times this is uniform on the sphere of radius
/// sqrt(d) if z is Gaussian. It makes all of z once, and stores none of it. The same bits for any number of
/// threads and on any instruction set.
template <class A = simd::native, HasTensors Model, random::Perturbation P>
[[nodiscard]] float sphere_scale(Model const& model, P const& perturbation, std::uint64_t seed,
                                 Runtime& runtime) {
  using Kernel = kernel::NoiseSquares<P>;
  double squares = 0.0;
  std::size_t trained = 0;
  for_each_tensor(model, [&](auto const& w) {
    if (w.trained()) {
      typename Kernel::Task task{
          perturbation, {seed, w.key(), w.shape().size() == 1}, w.rows(), w.cols(), {}};
      std::vector<double> sums(task.pieces());
      task.sums = sums.data();
      runtime.pool().parallel_for(
          task.pieces(), [&](std::size_t piece, std::size_t) { simd::invoke<A, Kernel>(task, piece); });
      squares = std::accumulate(sums.begin(), sums.end(), squares);
      trained += w.size();
    }
  });
  return squares == 0.0 ? 1.0F : static_cast<float>(std::sqrt(static_cast<double>(trained) / squares));
}

} // namespace pocketllm::tensor
