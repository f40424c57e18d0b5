// SPDX-License-Identifier: Apache-2.0
// Directions of low rank: z = U V^T.
#pragma once

#include <pocketllm/random/factored.hpp>
#include <pocketllm/random/gaussian.hpp>
#include <pocketllm/random/perturbation.hpp>
#include <pocketllm/random/stream.hpp>
#include <pocketllm/simd/arithmetic.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace pocketllm::random {

/// z = U V^T / sqrt(rank) with U [rows, rank] and V [cols, rank] of N(0, 1), as in LOZO (Chen et al., ICLR
/// 2025), whose update has 1 / rank where this has its root: with the root the elements of z have variance 1,
/// as those of Gaussian. U follows from the whole seed, V from its upper half alone, so an estimator whose
/// steps share that half (SeedRule::shared, LOZO's nu) moves each matrix in one subspace for so long. Tensors
/// of one dimension have Gaussian noise.
///
/// Neither z nor U nor V is ever stored: a block of V's columns serves all rows of a piece of a matrix, and
/// an element costs `rank` multiply-adds.
struct LowRank {
  /// What a journal and AnyPerturbation call it.
  static constexpr std::string_view name = "low-rank";
  static constexpr std::uint32_t most = 16; ///< the largest rank
  std::uint32_t rank = 2;                   ///< 1 to `most`

  template <class Self, class F>
  static void parameters(Self& self, F&& f) {
    f("rank", self.rank);
  }

  /// See Perturbation; Gaussian noise for tensors of one dimension.
  template <class A>
  void fill(Stream stream, std::size_t row, std::size_t block, std::size_t count, float* out) const noexcept {
    if (stream.vector) {
      return Gaussian{}.fill<A>(stream, row, block, count, out);
    }
    std::size_t const terms = factors();
    Block const& v = columns<A>(stream, block, terms);
    std::array<float, most> u;
    Gaussian{}.fill<A>({stream.seed, stream.tensor ^ of_rows}, row, 0, terms, u.data());
    float const scale = 1.0F / std::sqrt(static_cast<float>(terms));
    for (std::size_t i = 0; i < count; i += lanes) { // whole vectors of any width
      for (std::size_t j = i; j < i + lanes; j += simd::width<A>) {
        simd::f32<A> sum = simd::splat<A>(u[0] * scale) * simd::load<A>(v.values.data() + j);
        for (std::size_t r = 1; r < terms; ++r) {
          sum = simd::fma<A>(simd::splat<A>(u[r] * scale),
                             simd::load<A>(v.values.data() + r * block_cols + j), sum);
        }
        simd::store<A>(out + j, sum);
      }
    }
  }

  /// The rank, but 1 at least and `most` at most.
  [[nodiscard]] std::size_t factors() const noexcept { return std::clamp<std::size_t>(rank, 1, most); }
  /// The upper half of a seed, which V follows from.
  [[nodiscard]] static constexpr std::uint64_t columns_seed(std::uint64_t seed) noexcept {
    return seed & ~0xffffffffULL;
  }
  /// U / sqrt(rank), column r; see Factored.
  template <class A>
  [[nodiscard]] [[gnu::always_inline]] simd::f32<A> row_factor(Stream stream, std::size_t row,
                                                               std::size_t r) const noexcept {
    float const scale = 1.0F / std::sqrt(static_cast<float>(factors()));
    return Gaussian::down<A>({stream.seed, stream.tensor ^ of_rows}, row, r) * simd::splat<A>(scale);
  }
  /// V [rank, block_cols], kept for the thread that asks; see Factored.
  template <class A>
  [[nodiscard]] float const* column_factors(Stream stream, std::size_t block) const noexcept {
    return columns<A>(stream, block, factors()).values.data();
  }

private:
  // Streams of the factors: other ones than those of any tensor's own noise, as far as hashes of names go.
  static constexpr std::uint64_t of_rows = 0x9e3779b97f4a7c15ULL, of_columns = 0xc2b2ae3d27d4eb4fULL;

  /// V for some columns.
  struct Block {
    std::uint64_t seed = 0, tensor = 0;
    std::size_t block = 0, terms = 0; ///< none yet
    std::array<float, most * block_cols> values;
  };

  /// Blocks of V are kept by each thread: a product reads one for all rows of a piece, an update those of a
  /// row of up to 4096 columns one behind the other.
  template <class A>
  [[nodiscard]] static Block const& columns(Stream stream, std::size_t block, std::size_t terms) noexcept {
    constexpr std::size_t kept = 8;
    static thread_local std::array<Block, kept> blocks;
    std::uint64_t const seed = columns_seed(stream.seed);
    Block& found = blocks[(block + (seed >> 32)) % kept];
    if (found.terms != terms || found.seed != seed || found.tensor != stream.tensor || found.block != block) {
      for (std::size_t r = 0; r < terms; ++r) {
        Gaussian{}.fill<A>({seed, stream.tensor ^ of_columns}, r, block, block_cols,
                           found.values.data() + r * block_cols);
      }
      found.seed = seed, found.tensor = stream.tensor, found.block = block, found.terms = terms;
    }
    return found;
  }
};

static_assert(Factored<LowRank>);

} // namespace pocketllm::random
