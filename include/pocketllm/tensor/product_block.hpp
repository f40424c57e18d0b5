// SPDX-License-Identifier: Apache-2.0
// Blocks of weights as tiles read them, and blocks of results as their users do.
#pragma once

#include <pocketllm/random/perturbed.hpp>
#include <pocketllm/simd/arithmetic.hpp>
#include <pocketllm/simd/batch.hpp>
#include <pocketllm/simd/tile.hpp>
#include <pocketllm/simd/transpose.hpp>
#include <pocketllm/tensor/part.hpp>

#include <algorithm>
#include <array>
#include <cstddef>

namespace pocketllm::tensor::kernel {

/// Floats of a block of weights as a tile reads them.
inline constexpr std::size_t block_size = simd::block_rows * simd::tile_stride;

/// out[i * block_size] = w + c_i z over `count` columns of a row from `column` on, at `Points` points.
template <class A, std::size_t Points, class Row>
void perturb(Row w, std::size_t column, float const* z, random::Point const* points, std::size_t count,
             float* out) noexcept {
  using V = simd::f32<A>;
  std::array<V, Points> c;
  for (std::size_t i = 0; i < Points; ++i) {
    c[i] = simd::splat<A>(points[i].coefficient);
  }
  auto const write = [&](V base, std::size_t at) {
    V const noise = simd::load<A>(z + at);
    for (std::size_t i = 0; i < Points; ++i) {
      simd::store<A>(out + i * block_size + at, simd::fma<A>(c[i], noise, base));
    }
  };
  std::size_t at = 0;
  for (; at + simd::width<A> <= count; at += simd::width<A>) {
    write(load_weights<A>(w, column + at), at);
  }
  if (at < count) { // rows of a block have room for whole vectors
    write(load_weights<A>(w, column + at, count - at), at);
  }
}

/// out = w over `count` columns from `column` on.
template <class A, class Row>
void copy_weights(Row w, std::size_t column, std::size_t count, float* out) noexcept {
  std::size_t i = 0;
  for (; i + simd::width<A> <= count; i += simd::width<A>) {
    simd::store<A>(out + i, load_weights<A>(w, column + i));
  }
  if (i < count) {
    simd::store<A>(out + i, load_weights<A>(w, column + i, count - i));
  }
}

/// y[t * stride + n] = sums[n * width + t] for n < outputs and t < tokens.
template <class A>
void unpack(float const* sums, std::size_t width, std::size_t outputs, std::size_t tokens, float* y,
            std::size_t stride) noexcept {
  constexpr std::size_t v = simd::width<A>;
  for (std::size_t t = 0; t < tokens; t += v) { // few rows of Y at a time: each lies in another page
    for (std::size_t n = 0; n < outputs; n += v) {
      std::size_t const across = std::min(v, outputs - n);
      simd::Square<A> block;
      for (std::size_t i = 0; i < v; ++i) {
        block[i] = simd::load<A>(sums + (n + std::min(i, across - 1)) * width + t);
      }
      simd::transpose<A>(block);
      for (std::size_t i = 0; i < std::min(v, tokens - t); ++i) {
        float* const to = y + (t + i) * stride + n;
        if (across == v) {
          simd::store<A>(to, block[i]);
        } else {
          store_part<A>(to, block[i], across);
        }
      }
    }
  }
}

} // namespace pocketllm::tensor::kernel
