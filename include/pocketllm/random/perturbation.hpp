// SPDX-License-Identifier: Apache-2.0
// What kind of random direction z is: a policy that turns the words of Philox into elements of z.
#pragma once

#include <pocketllm/random/philox.hpp>
#include <pocketllm/simd/batch.hpp>

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace pocketllm::random {

/// A perturbation whose elements are independent: every Philox block of a row makes `block` consecutive
/// elements of z. `expand<A>(words, out, stride)` writes the elements of width<A> blocks that lie side
/// by side: element j of all of them goes to out[j * stride], contiguous over the blocks.
template <class P>
concept Perturbation = std::copyable<P> && requires(P const p, Words<simd::scalar> const& words, float* out) {
  { P::block } -> std::convertible_to<std::size_t>;
  { P::name } -> std::convertible_to<std::string_view>;
  p.template expand<simd::scalar>(words, out, std::size_t{1});
};

/// z ~ N(0, 1) by the method of Box and Muller (1958). A word makes two elements: its upper 20 bits the
/// radius, sqrt(-2 ln u) with u the middle of one of 2^20 intervals (so |z| < 5.4), its lower 12 the
/// angle: 10 bits within the first quadrant and a sign each. Equally spaced angles have the moments of
/// a continuous one, so mean, variance and kurtosis are the normal's to 1.4e-5.
///
/// With phi the angle measured from the diagonal, sqrt(2) cos(pi/4 + phi) = cos phi - sin phi, which
/// needs no range reduction and takes the factor 2 out of the logarithm: z = sqrt(-ln u) (cos phi -+ sin
/// phi). Only fused multiply-adds, products that are not added to, square roots and integers are used, so the
/// bits do not depend on compiler, instruction set or library.
struct Gaussian {
  static constexpr std::size_t block = 8;
  static constexpr std::string_view name = "gaussian";

  template <class A>
  [[gnu::always_inline]] void expand(Words<A> const& words, float* out, std::size_t stride) const noexcept {
    for (std::size_t j = 0; j < 4; ++j) {
      pair<A>(words[j], out + 2 * j * stride, out + (2 * j + 1) * stride);
    }
  }

private:
  /// sqrt(-ln(x 2^-21)) for the odd integers x = 2 k + 1 < 2^21.
  template <class A>
  [[gnu::always_inline]] static simd::f32<A> radius(simd::u32<A> k) noexcept {
    simd::u32<A> const x = simd::as_bits<A>(simd::convert<A>((k + k) | simd::splat<A>(1U)));
    // x = 2^e (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)); 0x3f3504f3 is sqrt(1/2)
    simd::u32<A> const offset = x - simd::splat<A>(0x3f3504f3U);
    simd::u32<A> const e = simd::shift_right<A, 23>(offset);
    simd::f32<A> const f =
        simd::as_float<A>((offset & simd::splat<A>(0x7fffffU)) + simd::splat<A>(0x3f3504f3U)) -
        simd::splat<A>(1.0F);
    // -ln(1 + f) / f, minimax, relative error 1.1e-6
    simd::f32<A> p = simd::splat<A>(-1.189595759e-01F);
    p = simd::fma<A>(p, f, simd::splat<A>(1.866779923e-01F));
    p = simd::fma<A>(p, f, simd::splat<A>(-2.049634904e-01F));
    p = simd::fma<A>(p, f, simd::splat<A>(2.490975112e-01F));
    p = simd::fma<A>(p, f, simd::splat<A>(-3.331450820e-01F));
    p = simd::fma<A>(p, f, simd::splat<A>(5.000111461e-01F));
    p = simd::fma<A>(p, f, simd::splat<A>(-1.000000954e+00F));
    simd::f32<A> const scale = simd::convert<A>(simd::splat<A>(21U) - e); // 0 .. 21
    constexpr float ln2 = 0.693147181F;
    return simd::sqrt<A>(simd::fma<A>(scale, simd::splat<A>(ln2), f * p));
  }

  template <class A>
  [[gnu::always_inline]] static void pair(simd::u32<A> word, float* first, float* second) noexcept {
    simd::f32<A> const rho = radius<A>(simd::shift_right<A, 12>(word));
    // t = (a + 1/2) / 1024 - 1/2 from the ten bits a, in quarter turns
    simd::f32<A> const t = simd::fma<A>(simd::convert<A>(word & simd::splat<A>(1023U)),
                                        simd::splat<A>(0x1p-10F), simd::splat<A>(0x1p-11F - 0.5F));
    simd::f32<A> const square = t * t;
    // cos(pi/2 t) and sin(pi/2 t) / t, minimax in t^2, errors 2.8e-8 and 2.3e-6
    simd::f32<A> cosine = simd::splat<A>(-2.040835284e-02F);
    cosine = simd::fma<A>(cosine, square, simd::splat<A>(2.535986304e-01F));
    cosine = simd::fma<A>(cosine, square, simd::splat<A>(-1.233697057e+00F));
    cosine = simd::fma<A>(cosine, square, simd::splat<A>(1.0F));
    simd::f32<A> sine = simd::splat<A>(7.795502990e-02F);
    sine = simd::fma<A>(sine, square, simd::splat<A>(-6.458018422e-01F));
    sine = simd::fma<A>(sine, square, simd::splat<A>(1.570794106e+00F));
    simd::u32<A> const sign = simd::splat<A>(0x80000000U);
    simd::f32<A> const a = rho * simd::fma<A>(simd::splat<A>(-1.0F) * t, sine, cosine);
    simd::f32<A> const b = rho * simd::fma<A>(t, sine, cosine);
    simd::store<A>(first, simd::as_float<A>(simd::as_bits<A>(a) ^ (simd::shift_left<A, 20>(word) & sign)));
    simd::store<A>(second, simd::as_float<A>(simd::as_bits<A>(b) ^ (simd::shift_left<A, 21>(word) & sign)));
  }
};

/// z in {+1, -1}, each with probability 1/2: one bit of Philox an element, -1 where it is set.
struct Rademacher {
  static constexpr std::size_t block = 128;
  static constexpr std::string_view name = "rademacher";

  template <class A>
  [[gnu::always_inline]] void expand(Words<A> const& words, float* out, std::size_t stride) const noexcept {
    simd::u32<A> const one = simd::splat<A>(0x3f800000U); // the bits of 1.0
    simd::u32<A> const sign = simd::splat<A>(0x80000000U);
    for (std::size_t j = 0; j < 4; ++j) {
      simd::u32<A> word = words[j];
      for (std::size_t i = 0; i < 32; ++i) {
        std::size_t const element = 32 * j + 31 - i; // the uppermost bit first, then shifted out
        simd::store<A>(out + element * stride, simd::as_float<A>((word & sign) | one));
        word = simd::shift_left<A, 1>(word);
      }
    }
  }
};

static_assert(Perturbation<Gaussian> && Perturbation<Rademacher>);
static_assert(!Perturbation<int> && !Perturbation<Words<simd::scalar>>);

} // namespace pocketllm::random
