// SPDX-License-Identifier: Apache-2.0
// The perturbed product and the update of one instruction set, without templates.
#pragma once

#include "arch.hpp"
#include <pocketllm/core/lanes.hpp>
#include <pocketllm/core/runtime.hpp>
#include <pocketllm/random/perturbed.hpp>
#include <pocketllm/tensor/product.hpp>
#include <pocketllm/tensor/tensor.hpp>
#include <pocketllm/tensor/update.hpp>

#include <cstdint>
#include <span>

enum class Kind { gaussian, rademacher };

template <class T>
struct StorageKernels {
  using Tensor = pocketllm::tensor::Tensor<T>;
  using Points = std::span<pocketllm::random::Point const>;
  void (*product)(pocketllm::Lanes<float const> x, Tensor const& w,
                  pocketllm::tensor::Tensor<float> const* bias, Kind kind, Points points,
                  pocketllm::Lanes<float> y, pocketllm::Runtime& runtime);
  /// Y = gelu(X W^T + b) V^T and, from the same packed X, Z = tanh(X W^T).
  void (*chain)(pocketllm::Lanes<float const> x, Tensor const& w,
                pocketllm::tensor::Tensor<float> const& bias, Tensor const& v, Points points,
                pocketllm::Lanes<float> y, pocketllm::Lanes<float> z, pocketllm::Runtime& runtime);
  /// Y = X (W + scale B A)^T + b
  void (*low_rank)(pocketllm::Lanes<float const> x, Tensor const& w,
                   pocketllm::tensor::Tensor<float> const& bias, pocketllm::tensor::LowRank const& term,
                   Points points, pocketllm::Lanes<float> y, pocketllm::Runtime& runtime);
  /// Some elements of a row, [points, range.count].
  void (*row)(Tensor const& w, Points points, pocketllm::tensor::RowRange range, float* out);
  void (*update)(Tensor& w, Kind kind, Points terms, float decay, pocketllm::Runtime& runtime);
  /// Several in one visit; returns the number of weights that were said to be done.
  std::size_t (*updates)(Tensor& w, Kind kind, std::span<pocketllm::tensor::UpdateTerms const> updates,
                         pocketllm::Runtime& runtime);
  /// The same along directions of low rank, made from their factors or element by element.
  void (*low_rank_updates)(Tensor& w, std::uint32_t rank, bool by_factors,
                           std::span<pocketllm::tensor::UpdateTerms const> updates,
                           pocketllm::Runtime& runtime);
};

struct KernelTable {
  bool fused; ///< has a fused multiply-add, so that products have the same bits as those of others with one
  StorageKernels<float> f32;
  StorageKernels<pocketllm::f16> f16;
  StorageKernels<pocketllm::bf16> bf16;
  StorageKernels<pocketllm::i8> i8;
  StorageKernels<pocketllm::i4> i4;

  template <class T>
  [[nodiscard]] StorageKernels<T> const& of() const {
    if constexpr (std::is_same_v<T, float>) {
      return f32;
    } else if constexpr (std::is_same_v<T, pocketllm::f16>) {
      return f16;
    } else if constexpr (std::is_same_v<T, pocketllm::i8>) {
      return i8;
    } else if constexpr (std::is_same_v<T, pocketllm::i4>) {
      return i4;
    } else {
      return bf16;
    }
  }
};

#define POCKETLLM_DECLARE_KERNELS(name) extern KernelTable const kernels_##name;
POCKETLLM_FOR_EACH_ARCH(POCKETLLM_DECLARE_KERNELS)
