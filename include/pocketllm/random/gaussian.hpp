// SPDX-License-Identifier: Apache-2.0
// Normal noise, with the same bits on every machine.
#pragma once

#include <pocketllm/random/perturbation.hpp>
#include <pocketllm/random/small_fast.hpp>
#include <pocketllm/random/stream.hpp>
#include <pocketllm/simd/arithmetic.hpp>
#include <pocketllm/simd/bits.hpp>

#include <cstddef>
#include <string_view>

namespace pocketllm::random {

/// z ~ N(0, 1). The sum of the four bytes of a random word is nearly normal already (Irwin-Hall), a second
/// word fills the gaps between whole numbers, and an odd polynomial makes the sum normal (Teichroew's method,
/// 1953): variance, kurtosis and the sixth moment are the normal's to 2e-5, its distribution function is met
/// to 1.3e-4, the shares beyond 1, 2 and 3 standard deviations to 1.3 %, and |z| < 5.18. No table, no square
/// root: half the cost of Box and Muller's method where vectors are wide, and less where square roots are
/// slow.
///
/// Only fused multiply-adds, products that are not added to, and integers are used, so the bits do not depend
/// on compiler, instruction set or library.
struct Gaussian {
  /// What a journal and AnyPerturbation call it.
  static constexpr std::string_view name = "gaussian";

  /// See Perturbation.
  template <class A>
  void fill(Stream stream, std::size_t row, std::size_t block, std::size_t count, float* out) const noexcept {
    fill_independent<A>(stream, row, block, count, out, normal<A>);
  }

  /// Column `column` < lanes of the `width<A>` rows from `row`, as fill() makes it.
  template <class A>
  [[gnu::always_inline]] static simd::f32<A> down(Stream stream, std::size_t row,
                                                  std::size_t column) noexcept {
    return independent_down<A>(stream, row, column, normal<A>);
  }

private:
  template <class A>
  [[gnu::always_inline]] static simd::f32<A> normal(simd::u32<A> word, simd::u32<A> second) noexcept {
    // x = (sum of bytes - 510 + a number in [-1/2, 1/2)) / 256
    simd::f32<A> const whole = simd::fma<A>(simd::convert<A>(simd::byte_sum<A>(word)),
                                            simd::splat<A>(0x1p-8F), simd::splat<A>(-510.0F / 256.0F));
    simd::f32<A> const x = simd::fma<A>(simd::convert<A>(second), simd::splat<A>(0x1p-40F), whole);
    simd::f32<A> const square = x * x;
    // least squares against the quantiles of the normal, then moved to variance 1 and kurtosis 3
    simd::f32<A> p = simd::splat<A>(0.006343354937F);
    p = simd::fma<A>(p, square, simd::splat<A>(-0.02283104882F));
    p = simd::fma<A>(p, square, simd::splat<A>(0.03888399154F));
    p = simd::fma<A>(p, square, simd::splat<A>(0.04115714133F));
    p = simd::fma<A>(p, square, simd::splat<A>(1.667958975F));
    return p * x;
  }
};

static_assert(Perturbation<Gaussian>);

} // namespace pocketllm::random
