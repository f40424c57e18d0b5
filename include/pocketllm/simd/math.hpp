// SPDX-License-Identifier: Apache-2.0
// Elementary functions of vectors, and sums in an order that no vector width changes. Own polynomials, so
// that results move neither with the compiler's library nor with xsimd's version.
#pragma once

#include <pocketllm/simd/arithmetic.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace pocketllm::simd {

/// min(max(x, lower), upper), and NaN where x is: of a comparison with NaN, x86 gives the second operand.
template <class A>
[[gnu::always_inline]] inline f32<A> clamp(f32<A> x, float lower, float upper) noexcept {
  return simd::min<A>(simd::splat<A>(upper), simd::max<A>(simd::splat<A>(lower), x));
}

/// e^x; relative error 1e-7. x is clamped to [-87, 88], where e^x is a normal float.
template <class A>
[[gnu::always_inline]] inline f32<A> exp(f32<A> x) noexcept {
  x = simd::clamp<A>(x, -87.0F, 88.0F);
  // n = round(x / ln 2): adding 1.5 * 2^23 leaves the rounded integer in the low bits
  f32<A> const magic = simd::splat<A>(12582912.0F);
  f32<A> const shifted = simd::fma<A>(x, simd::splat<A>(1.44269504F), magic);
  f32<A> const n = shifted - magic;
  // r = x - n ln 2, with ln 2 in two parts of which the first times n is exact
  f32<A> const r =
      simd::fma<A>(n, simd::splat<A>(1.90465421e-9F), simd::fma<A>(n, simd::splat<A>(-0.693147182F), x));
  f32<A> p = simd::splat<A>(1.383684226e-03F); // minimax on |r| <= ln 2 / 2, relative error 2e-9
  p = simd::fma<A>(p, r, simd::splat<A>(8.374815807e-03F));
  p = simd::fma<A>(p, r, simd::splat<A>(4.166822508e-02F));
  p = simd::fma<A>(p, r, simd::splat<A>(1.666641980e-01F));
  p = simd::fma<A>(p, r, simd::splat<A>(4.999999106e-01F));
  p = simd::fma<A>(p, r, simd::splat<A>(1.0F));
  p = simd::fma<A>(p, r, simd::splat<A>(1.0F));
  u32<A> const scale = simd::shift_left<A, 23>(simd::as_bits<A>(shifted)); // n 2^23: added to the exponent
  return simd::as_float<A>(simd::as_bits<A>(p) + scale);
}

/// erf(x) = x P(x^2) / Q(x^2) for |x| < 4, beyond which it is 1; relative error 1e-7, never above 1, so that
/// gelu of a very negative number is 0 and not a rounding error times that number.
template <class A>
[[gnu::always_inline]] inline f32<A> erf(f32<A> x) noexcept {
  x = simd::clamp<A>(x, -4.0F, 4.0F);
  f32<A> const s = x * x;
  f32<A> p = simd::splat<A>(1.986730240e-06F); // minimax, relative error 2.5e-8 before rounding
  p = simd::fma<A>(p, s, simd::splat<A>(2.845650015e-04F));
  p = simd::fma<A>(p, s, simd::splat<A>(3.883431666e-03F));
  p = simd::fma<A>(p, s, simd::splat<A>(5.310202390e-02F));
  p = simd::fma<A>(p, s, simd::splat<A>(1.935475320e-01F));
  p = simd::fma<A>(p, s, simd::splat<A>(1.128379107e+00F));
  f32<A> q = simd::splat<A>(3.741957698e-05F);
  q = simd::fma<A>(q, s, simd::splat<A>(1.185586560e-03F));
  q = simd::fma<A>(q, s, simd::splat<A>(1.520743594e-02F));
  q = simd::fma<A>(q, s, simd::splat<A>(1.153509766e-01F));
  q = simd::fma<A>(q, s, simd::splat<A>(5.048595667e-01F));
  q = simd::fma<A>(q, s, simd::splat<A>(1.0F));
  return simd::clamp<A>(simd::divide<A>(x * p, q), -1.0F, 1.0F);
}

/// x Phi(x), the exact Gaussian error linear unit (Hendrycks and Gimpel, arXiv 1606.08415).
template <class A>
[[gnu::always_inline]] inline f32<A> gelu(f32<A> x) noexcept {
  f32<A> const half = simd::splat<A>(0.5F) * x;
  return simd::fma<A>(half, simd::erf<A>(x * simd::splat<A>(0.707106781F)), half);
}

/// (1 - e^-2x) / (1 + e^-2x)
template <class A>
[[gnu::always_inline]] inline f32<A> tanh(f32<A> x) noexcept {
  f32<A> const e = simd::exp<A>(simd::splat<A>(-2.0F) * x);
  return simd::divide<A>(simd::splat<A>(1.0F) - e, simd::splat<A>(1.0F) + e);
}

/// x[i] = f(x[i]) for `count` floats; f takes and gives a vector and may see zeros behind the end.
template <class A, class F>
void transform(float* x, std::size_t count, F f) noexcept {
  constexpr std::size_t v = width<A>;
  std::size_t i = 0;
  for (; i + v <= count; i += v) {
    simd::store<A>(x + i, f(simd::load<A>(x + i)));
  }
  if (i < count) {
    std::array<float, v> part{};
    std::copy(x + i, x + count, part.begin());
    simd::store<A>(part.data(), f(simd::load<A>(part.data())));
    std::copy_n(part.begin(), count - i, x + i);
  }
}

/// x[i] = f(x[i], y[i]) for `count` floats; f may see zeros behind the end.
template <class A, class F>
void transform(float* x, float const* y, std::size_t count, F f) noexcept {
  constexpr std::size_t v = width<A>;
  std::size_t i = 0;
  for (; i + v <= count; i += v) {
    simd::store<A>(x + i, f(simd::load<A>(x + i), simd::load<A>(y + i)));
  }
  if (i < count) {
    std::array<float, v> a{}, b{};
    std::copy(x + i, x + count, a.begin());
    std::copy(y + i, y + count, b.begin());
    simd::store<A>(a.data(), f(simd::load<A>(a.data()), simd::load<A>(b.data())));
    std::copy_n(a.begin(), count - i, x + i);
  }
}

/// A sum over vectors with the additions of sixteen interleaved partial sums, whatever the width: the same
/// bits on every instruction set that has a fused multiply-add.
template <class A>
class Sum {
public:
  static constexpr std::size_t step = 16; ///< floats a call of `add` takes

  Sum() noexcept { parts_.fill(simd::splat<A>(0.0F)); }

  /// Adds f(i) for the vectors that begin at i = 0, width, ... < 16.
  template <class F>
  [[gnu::always_inline]] void add(F f) noexcept {
    for (std::size_t j = 0; j < parts_.size(); ++j) {
      parts_[j] = f(j * width<A>, parts_[j]);
    }
  }

  /// All of it; the sixteen partial sums are added in halves, always in the same order.
  [[nodiscard]] float total() const noexcept {
    std::array<float, step> all;
    for (std::size_t j = 0; j < parts_.size(); ++j) {
      simd::store<A>(all.data() + j * width<A>, parts_[j]);
    }
    for (std::size_t half = step / 2; half > 0; half /= 2) {
      for (std::size_t i = 0; i < half; ++i) {
        all[i] += all[i + half];
      }
    }
    return all[0];
  }

private:
  std::array<f32<A>, step / width<A>> parts_;
};

/// Sum of f(vector of x, partial sum) over `count` floats, zeros behind the end.
template <class A, class F>
[[nodiscard]] float reduce(float const* x, std::size_t count, F f) noexcept {
  Sum<A> sum;
  std::size_t i = 0;
  for (; i + Sum<A>::step <= count; i += Sum<A>::step) {
    sum.add([&](std::size_t j, f32<A> part) { return f(simd::load<A>(x + i + j), part); });
  }
  if (i < count) {
    std::array<float, Sum<A>::step> rest{};
    std::copy(x + i, x + count, rest.begin());
    sum.add([&](std::size_t j, f32<A> part) { return f(simd::load<A>(rest.data() + j), part); });
  }
  return sum.total();
}

/// The inner product of two rows of `count` floats.
template <class A>
[[nodiscard]] float dot(float const* x, float const* y, std::size_t count) noexcept {
  Sum<A> sum;
  std::size_t i = 0;
  for (; i + Sum<A>::step <= count; i += Sum<A>::step) {
    sum.add([&](std::size_t j, f32<A> part) {
      return simd::fma<A>(simd::load<A>(x + i + j), simd::load<A>(y + i + j), part);
    });
  }
  if (i < count) {
    std::array<float, Sum<A>::step> a{}, b{};
    std::copy(x + i, x + count, a.begin());
    std::copy(y + i, y + count, b.begin());
    sum.add([&](std::size_t j, f32<A> part) {
      return simd::fma<A>(simd::load<A>(a.data() + j), simd::load<A>(b.data() + j), part);
    });
  }
  return sum.total();
}

} // namespace pocketllm::simd
