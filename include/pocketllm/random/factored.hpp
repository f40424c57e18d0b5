// SPDX-License-Identifier: Apache-2.0
// Perturbations whose z is a product of two thin factors, for those who can do without z itself.
#pragma once

#include <pocketllm/random/gaussian.hpp>
#include <pocketllm/random/perturbation.hpp>
#include <pocketllm/random/stream.hpp>
#include <pocketllm/simd/batch.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>

namespace pocketllm::random {

/// A perturbation that makes z = U V^T of matrices (not of tensors of one dimension) with factors() columns
/// of U and V, where factors() = 0 says that it has none. fill() gives z[i][j] = U[i][0] V[j][0], to which
/// the further products are added by fused multiply-adds, one behind the other. `row_factor<A>`(stream, i, r)
/// is U[.][r] of the `width<A>` rows from i; `column_factors<A>`(stream, block) is V for a block of columns,
/// [factors(), block_cols], valid until the next call in the same thread. V depends on a seed by
/// columns_seed(seed) alone: along directions that agree in it, sum_k c_k U_k V^T = (sum_k c_k U_k) V^T.
template <class P>
concept Factored = Perturbation<P> && requires(P const p, Stream stream, std::size_t n) {
  { p.factors() } -> std::same_as<std::size_t>;
  { p.columns_seed(stream.seed) } -> std::same_as<std::uint64_t>;
  { p.template row_factor<simd::scalar>(stream, n, n) } -> std::same_as<simd::f32<simd::scalar>>;
  { p.template column_factors<simd::scalar>(stream, n) } -> std::same_as<float const*>;
};

static_assert(!Factored<Gaussian>);

} // namespace pocketllm::random
