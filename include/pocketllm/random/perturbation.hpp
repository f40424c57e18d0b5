// SPDX-License-Identifier: Apache-2.0
// What kind of random direction z is: a policy that makes the elements of z, some columns of a row at a time.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/random/small_fast.hpp>
#include <pocketllm/random/stream.hpp>
#include <pocketllm/simd/batch.hpp>
#include <pocketllm/simd/bits.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace pocketllm::random {

/// A perturbation is a pure function of (seed, tensor, row, column). `fill<A>(stream, row, block, count,
/// out)` writes z for the first `count` <= block_cols columns of block `block` of a row, with the same bits
/// for every architecture A. It may write on to the next multiple of 16, for which `out` has room.
template <class P>
concept Perturbation = std::copyable<P> && requires(P const p, Stream stream, std::size_t n, float* out) {
  { p.name } -> std::convertible_to<std::string_view>;
  p.template fill<simd::scalar>(stream, n, n, n, out);
};

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
  static constexpr std::string_view name = "gaussian";

  template <class A>
  void fill(Stream stream, std::size_t row, std::size_t block, std::size_t count, float* out) const noexcept {
    fill_independent<A>(stream, row, block, count, out, normal<A>);
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

/// z in {+1, -1}, each with probability 1/2: one random bit an element, -1 where it is set. Bit i of a lane's
/// word (from the top) is column 16 i + lane of the block, so a shift makes the next sixteen columns.
struct Rademacher {
  static constexpr std::string_view name = "rademacher";

  template <class A>
  void fill(Stream stream, std::size_t row, std::size_t block, std::size_t count, float* out) const noexcept {
    static_assert(block_cols == 32 * lanes, "one word a lane");
    simd::u32<A> const one = simd::splat<A>(0x3f800000U); // the bits of 1.0
    simd::u32<A> const sign = simd::splat<A>(0x80000000U);
    for (std::size_t lane = 0; lane < lanes; lane += simd::width<A>) {
      simd::u32<A> word = words<A>(stream, row, block, lane)[0];
      for (std::size_t column = lane; column < count + lane; column += lanes) {
        simd::store<A>(out + column, simd::as_float<A>((word & sign) | one));
        word = simd::shift_left<A, 1>(word);
      }
    }
  }
};

/// One of the above, chosen by name when the program runs: programs that offer both need not be compiled for
/// each. The choice costs a branch for a block of a row.
class AnyPerturbation {
public:
  std::string_view name = Gaussian::name; ///< of the one that was chosen

  AnyPerturbation() = default; ///< Gaussian
  /// Throws Error for a name that is none of the library's.
  explicit AnyPerturbation(std::string_view wanted) : gaussian_(wanted == Gaussian::name) {
    require(gaussian_ || wanted == Rademacher::name, "there is no perturbation called ", wanted,
            "; there are ", Gaussian::name, " and ", Rademacher::name);
    name = gaussian_ ? Gaussian::name : Rademacher::name;
  }

  template <class A>
  void fill(Stream stream, std::size_t row, std::size_t block, std::size_t count, float* out) const noexcept {
    if (gaussian_) {
      Gaussian{}.fill<A>(stream, row, block, count, out);
    } else {
      Rademacher{}.fill<A>(stream, row, block, count, out);
    }
  }

private:
  bool gaussian_ = true;
};

/// Perturbations of the library itself.
template <class P>
inline constexpr bool is_own_perturbation =
    std::same_as<P, Gaussian> || std::same_as<P, Rademacher> || std::same_as<P, AnyPerturbation>;

static_assert(Perturbation<Gaussian> && Perturbation<Rademacher> && Perturbation<AnyPerturbation>);
static_assert(!Perturbation<int> && !Perturbation<Words<simd::scalar>>);

} // namespace pocketllm::random
