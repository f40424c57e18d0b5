// SPDX-License-Identifier: Apache-2.0
// Rows of perturbed weights at all points: embeddings, biases, gains and label words need a few at a time.
#pragma once

#include <pocketllm/random/noise.hpp>
#include <pocketllm/random/perturbed.hpp>
#include <pocketllm/simd/convert.hpp>
#include <pocketllm/tensor/tensor.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace pocketllm::tensor {

/// Columns of one row that are wanted.
struct RowRange {
  std::size_t row = 0;
  std::size_t first = 0;
  std::size_t count = 0;
};

namespace detail {

/// out[i] (+)= w[i] + c z[i]
template <class A, bool Add, class T>
void write_perturbed(T const* w, float const* z, float coefficient, std::size_t count, float* out) noexcept {
  simd::f32<A> const c = simd::splat<A>(coefficient);
  std::size_t i = 0;
  for (; i + simd::width<A> <= count; i += simd::width<A>) {
    simd::f32<A> value = simd::fma<A>(c, simd::load<A>(z + i), simd::load_as_float<A>(w + i));
    if constexpr (Add) {
      value = value + simd::load<A>(out + i);
    }
    simd::store<A>(out + i, value);
  }
  for (; i < count; ++i) {
    float const value = simd::fma<simd::scalar>(coefficient, z[i], to_float(w[i]));
    out[i] = Add ? value + out[i] : value;
  }
}

template <class A, bool Add, WeightStorage T, random::Perturbation P>
void perturbed_row(Tensor<T> const& w, random::Perturbed<P> const& at, RowRange range, float* out,
                   std::size_t lane_stride) noexcept {
  constexpr std::size_t piece = 256; // columns whose z is kept on the stack
  std::array<float, piece> z{};
  for (std::size_t done = 0; done < range.count; done += piece) {
    std::size_t const count = std::min(piece, range.count - done);
    T const* const from = w.row(range.row) + range.first + done;
    std::optional<std::uint64_t> seed; // of what is in z; none for zeros
    for (std::size_t l = 0; l < at.lanes(); ++l) {
      random::Point const point = at.points[l];
      bool const noisy = point.coefficient != 0.0F && w.trained();
      if (noisy && seed != point.seed) {
        random::fill_row<A>(at.perturbation, {point.seed, w.key()}, range.row, range.first + done, count,
                            z.data());
        seed = point.seed;
      }
      write_perturbed<A, Add>(from, z.data(), noisy ? point.coefficient : 0.0F, count,
                              out + l * lane_stride + done);
    }
  }
}

} // namespace detail

/// out[l * lane_stride + i] = w[range] + c_l z(s_l) in float, for all points. A tensor that is not trained
/// has no noise.
template <class A = simd::native, WeightStorage T, random::Perturbation P>
void perturbed_row(Tensor<T> const& w, random::Perturbed<P> const& at, RowRange range, float* out,
                   std::size_t lane_stride) noexcept {
  detail::perturbed_row<A, false>(w, at, range, out, lane_stride);
}

/// The same, added to what is in `out`.
template <class A = simd::native, WeightStorage T, random::Perturbation P>
void add_perturbed_row(Tensor<T> const& w, random::Perturbed<P> const& at, RowRange range, float* out,
                       std::size_t lane_stride) noexcept {
  detail::perturbed_row<A, true>(w, at, range, out, lane_stride);
}

} // namespace pocketllm::tensor
