// SPDX-License-Identifier: Apache-2.0
// Sparse directions: only small weights are perturbed and moved.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/random/shaper.hpp>
#include <pocketllm/random/stream.hpp>
#include <pocketllm/simd/batch.hpp>
#include <pocketllm/simd/convert.hpp>
#include <pocketllm/tensor/part.hpp>
#include <pocketllm/tensor/tensor.hpp>
#include <pocketllm/tensor/visit.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string_view>
#include <vector>

namespace pocketllm::tensor {

namespace detail {

/// The element of rank `rank` (from 0) among the magnitudes of a tensor, by counting: in two readings and
/// 256 kB, however large the tensor is. Magnitudes have the order of their bits.
template <FloatStorage T>
[[nodiscard]] float magnitude_of_rank(Tensor<T> const& w, std::size_t rank) {
  auto const bits_of = [](T value) { return std::bit_cast<std::uint32_t>(std::abs(to_float(value))); };
  std::vector<std::uint32_t> counts(1U << 16);
  auto const bin_of = [&](auto&& bin) { // the bin of that rank, and the rank within it
    std::fill(counts.begin(), counts.end(), 0U);
    for (T const value : w.values()) {
      bin(bits_of(value));
    }
    std::uint32_t at = 0;
    for (; rank >= counts[at]; ++at) {
      rank -= counts[at];
    }
    return at;
  };
  std::uint32_t const upper = bin_of([&](std::uint32_t bits) { ++counts[bits >> 16]; });
  std::uint32_t const lower =
      bin_of([&](std::uint32_t bits) { counts[bits & 0xffffU] += bits >> 16 == upper ? 1 : 0; });
  return std::bit_cast<float>(upper << 16 | lower);
}

} // namespace detail

/// Only weights of small magnitude have noise, as in Sparse-MeZO (Liu et al., arXiv 2402.15751): in each
/// trained tensor those up to a threshold, which is the magnitude that `share` of its weights do not exceed
/// when the run begins. Which they are is seen from the weights as they are in each step, while they are read
/// anyway; nothing is stored but a number for each tensor. Of a tensor that begins at zero, as LoRA's B, all
/// have noise: a threshold of zero would stop each weight at its first step.
///
/// The model must outlive it and stay where it is.
class SmallWeights final : public random::Shaper {
public:
  /// Reads all trained weights, which must be those that the run begins with. Throws Error unless the share
  /// is above 0 and below 1.
  template <HasTensors Model>
  SmallWeights(Model const& model, float share) : share_(share) {
    require(share > 0.0F && share < 1.0F, "the share of small weights is ", share,
            "; it must be above 0 and below 1");
    for_each_tensor(model, [&]<class T>(Tensor<T> const& w) {
      if constexpr (FloatStorage<T>) {
        if (w.trained() && w.size() > 0) {
          double const wanted = std::ceil(static_cast<double>(share) * static_cast<double>(w.size()));
          auto const rank =
              std::min(w.size(), std::max(static_cast<std::size_t>(wanted), std::size_t{1})) - 1;
          float const magnitude = detail::magnitude_of_rank(w, rank);
          float const threshold = magnitude > 0.0F ? magnitude : std::numeric_limits<float>::infinity();
          tensors_.add(w.key(), {&w, threshold, &silence<T>});
        }
      }
    });
  }

  /// What the perturbation in a journal calls the share.
  static constexpr std::string_view parameter_name = "smallest";
  [[nodiscard]] std::string_view name() const noexcept override { return parameter_name; }
  [[nodiscard]] float parameter() const noexcept override { return share_; }

  void shape(random::Stream stream, std::size_t row, std::size_t block, std::size_t count,
             float* z) const noexcept override {
    if (Entry const* const entry = tensors_.find(stream.tensor)) {
      entry->silence(*entry, row, block * random::block_cols, count, z);
    }
  }

private:
  struct Entry {
    void const* tensor;
    float threshold;
    void (*silence)(Entry const&, std::size_t row, std::size_t first, std::size_t count, float* z) noexcept;
  };

  template <class T>
  static void silence(Entry const& entry, std::size_t row, std::size_t first, std::size_t count,
                      float* z) noexcept {
    using A = simd::native;
    T const* const w = static_cast<Tensor<T> const*>(entry.tensor)->row(row) + first;
    simd::u32<A> const threshold = simd::splat<A>(std::bit_cast<std::uint32_t>(entry.threshold));
    for (std::size_t i = 0; i < count; i += simd::width<A>) {
      simd::f32<A> const weights =
          i + simd::width<A> <= count ? simd::load_as_float<A>(w + i) : load_part<A>(w + i, count - i);
      simd::u32<A> const magnitude = simd::as_bits<A>(weights) & simd::splat<A>(0x7fffffffU);
      simd::u32<A> const noise = simd::as_bits<A>(simd::load<A>(z + i));
      simd::store<A>(z + i,
                     simd::as_float<A>(simd::select<A>(threshold < magnitude, simd::splat<A>(0U), noise)));
    }
  }

  float share_;
  random::ByTensor<Entry> tensors_;
};

} // namespace pocketllm::tensor
