// SPDX-License-Identifier: Apache-2.0
// All kernels for one instruction set, whose options this file is compiled with and whose level
// POCKETLLM_KERNELS names. Everything instantiated here has the architecture among its template arguments, so
// that it cannot stand in for a function of the program, which must run anywhere.
#include <pocketllm/layers/attention_head.hpp>
#include <pocketllm/layers/layer_norm.hpp>
#include <pocketllm/models/gather.hpp>
#include <pocketllm/models/vocabulary_head.hpp>
#include <pocketllm/simd/entry.hpp>
#include <pocketllm/tensor/coded.hpp>
#include <pocketllm/tensor/noise_norm.hpp>
#include <pocketllm/tensor/packed.hpp>
#include <pocketllm/tensor/perturbed_row.hpp>
#include <pocketllm/tensor/product_kernel.hpp>
#include <pocketllm/tensor/update.hpp>

namespace {
namespace pl = pocketllm;
using A = pl::simd::POCKETLLM_KERNELS;
static_assert(std::same_as<A, pl::simd::native> || !pl::simd::has_levels,
              "compiled with the options of another instruction set");
} // namespace

#define POCKETLLM_KERNEL(...)                                                                                \
  static_assert(pl::simd::is_dispatched<__VA_ARGS__>);                                                       \
  template struct pocketllm::simd::detail::Entry<__VA_ARGS__, A>;
#define POCKETLLM_KERNELS_OF_BASE(T, P)                                                                      \
  POCKETLLM_KERNEL(pl::tensor::kernel::Product<T, P>)                                                        \
  POCKETLLM_KERNEL(pl::tensor::kernel::PerturbedRow<T, P>)
#define POCKETLLM_KERNELS_OF(T, P)                                                                           \
  POCKETLLM_KERNELS_OF_BASE(T, P)                                                                            \
  POCKETLLM_KERNEL(pl::tensor::kernel::Update<T, P>)

POCKETLLM_KERNEL(pl::tensor::kernel::PackedShape)
POCKETLLM_KERNEL(pl::tensor::kernel::PackPanel)
POCKETLLM_KERNEL(pl::tensor::kernel::CodeWords)
POCKETLLM_KERNEL(pl::tensor::kernel::CodePanel)
POCKETLLM_KERNEL(pl::layers::kernel::AttentionHead)
POCKETLLM_KERNEL(pl::layers::kernel::NormalizeRow)
POCKETLLM_KERNEL(pl::models::kernel::ScoreRow)
POCKETLLM_KERNEL(pl::models::kernel::AddScores)
POCKETLLM_KERNEL(pl::tensor::kernel::NoiseSquares<pl::random::Gaussian>)
POCKETLLM_KERNEL(pl::tensor::kernel::NoiseSquares<pl::random::Rademacher>)
POCKETLLM_KERNEL(pl::tensor::kernel::NoiseSquares<pl::random::LowRank>)
POCKETLLM_KERNEL(pl::tensor::kernel::NoiseSquares<pl::random::AnyPerturbation>)

#define POCKETLLM_KERNELS_OF_ANY(T)                                                                          \
  POCKETLLM_KERNELS_OF(T, pl::random::Gaussian)                                                              \
  POCKETLLM_KERNELS_OF(T, pl::random::Rademacher)                                                            \
  POCKETLLM_KERNELS_OF(T, pl::random::LowRank)                                                               \
  POCKETLLM_KERNELS_OF(T, pl::random::AnyPerturbation)
#define POCKETLLM_KERNELS_OF_ANY_BASE(T)                                                                     \
  POCKETLLM_KERNELS_OF_BASE(T, pl::random::Gaussian)                                                         \
  POCKETLLM_KERNELS_OF_BASE(T, pl::random::Rademacher)                                                       \
  POCKETLLM_KERNELS_OF_BASE(T, pl::random::LowRank)                                                          \
  POCKETLLM_KERNELS_OF_BASE(T, pl::random::AnyPerturbation)

POCKETLLM_KERNELS_OF_ANY(float)
POCKETLLM_KERNELS_OF_ANY(pl::f16)
POCKETLLM_KERNELS_OF_ANY(pl::bf16)
POCKETLLM_KERNELS_OF_ANY_BASE(pl::i8)
POCKETLLM_KERNELS_OF_ANY_BASE(pl::i4)
