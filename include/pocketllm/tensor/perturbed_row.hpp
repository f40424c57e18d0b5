// SPDX-License-Identifier: Apache-2.0
// Rows of perturbed weights at all points: embeddings, biases, gains and label words need a few at a time.
#pragma once

#include <pocketllm/random/noise.hpp>
#include <pocketllm/random/perturbed.hpp>
#include <pocketllm/simd/arithmetic.hpp>
#include <pocketllm/simd/kernel.hpp>
#include <pocketllm/tensor/part.hpp>
#include <pocketllm/tensor/tensor.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace pocketllm::tensor {

/// Columns of one row that are wanted.
struct RowRange {
  std::size_t row = 0;   ///< of the tensor; 0 in a vector
  std::size_t first = 0; ///< column
  std::size_t count = 0; ///< columns
};

namespace kernel {

/// out[l * lane_stride + i] (+)= w[range] + c_l z(s_l)
template <class T, class P>
struct PerturbedRow {
  struct Task {
    Tensor<T> const& w;
    random::Perturbed<P> at;
    RowRange range;
    float* out;
    std::size_t lane_stride;
    bool add;
  };
  using Signature = void(Task const&);

  template <class A>
  static void run(Task const& t) noexcept {
    std::array<float, random::block_cols> z;
    for (std::size_t done = 0; done < t.range.count; done += z.size()) {
      std::size_t const count = std::min(z.size(), t.range.count - done);
      auto const from = t.w.row(t.range.row);
      std::size_t const column = t.range.first + done;
      std::optional<std::uint64_t> seed; // of what is in z
      for (std::size_t l = 0; l < t.at.lanes(); ++l) {
        random::Point const point = t.at.points[l];
        bool const noisy = point.coefficient != 0.0F && t.w.trained();
        if (noisy && seed != point.seed) {
          random::fill_row<A>(t.at.perturbation, {point.seed, t.w.key(), t.w.shape().size() == 1},
                              t.range.row, column, count, z.data());
          seed = point.seed;
        }
        float* const to = t.out + l * t.lane_stride + done;
        if (noisy) {
          write<A>(t.add, from, column, z.data(), point.coefficient, count, to);
        } else {
          static constexpr std::array<float, random::block_cols> zeros{};
          write<A>(t.add, from, column, zeros.data(), 0.0F, count, to);
        }
      }
    }
  }

private:
  template <class A, class Row>
  static void write(bool add, Row w, std::size_t column, float const* z, float coefficient, std::size_t count,
                    float* out) noexcept {
    simd::f32<A> const c = simd::splat<A>(coefficient);
    bool const vectors = FloatStorage<T> || column % simd::width<A> == 0; // where codes can be loaded from
    std::size_t i = 0;
    for (; vectors && i + simd::width<A> <= count; i += simd::width<A>) {
      simd::f32<A> const value = simd::fma<A>(c, simd::load<A>(z + i), load_weights<A>(w, column + i));
      simd::store<A>(out + i, add ? value + simd::load<A>(out + i) : value);
    }
    for (; i < count; ++i) {
      float const value =
          simd::fma<simd::scalar>(coefficient, z[i], load_weights<simd::scalar>(w, column + i));
      out[i] = add ? value + out[i] : value;
    }
  }
};

} // namespace kernel
} // namespace pocketllm::tensor

template <class T, class P>
inline constexpr bool pocketllm::simd::is_dispatched<pocketllm::tensor::kernel::PerturbedRow<T, P>> =
    pocketllm::tensor::is_own_storage<T>&& pocketllm::random::is_own_perturbation<P>;

namespace pocketllm::tensor {

/// out[l * lane_stride + i] = w[range] + c_l z(s_l) in float, for all points. A tensor that is not trained
/// has no noise.
template <class A = simd::native, WeightStorage T, random::Perturbation P>
void perturbed_row(Tensor<T> const& w, random::Perturbed<P> const& at, RowRange range, float* out,
                   std::size_t lane_stride) noexcept {
  using Kernel = kernel::PerturbedRow<T, P>;
  simd::invoke<A, Kernel>(typename Kernel::Task{w, at, range, out, lane_stride, false});
}

/// The same, added to what is in `out`.
template <class A = simd::native, WeightStorage T, random::Perturbation P>
void add_perturbed_row(Tensor<T> const& w, random::Perturbed<P> const& at, RowRange range, float* out,
                       std::size_t lane_stride) noexcept {
  using Kernel = kernel::PerturbedRow<T, P>;
  simd::invoke<A, Kernel>(typename Kernel::Task{w, at, range, out, lane_stride, true});
}

} // namespace pocketllm::tensor
