// SPDX-License-Identifier: Apache-2.0
#include <pocketllm/simd/arithmetic.hpp>
#include <pocketllm/simd/convert.hpp>
#include <pocketllm/simd/math.hpp>
#include <pocketllm/simd/transpose.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <limits>
#include <vector>

using namespace pocketllm;

namespace {

using A = simd::native;

/// f of one number by way of a vector.
template <class F>
float apply(float x, F f) {
  simd::transform<A>(&x, 1, f);
  return x;
}

} // namespace

TEST_CASE("exp, erf, gelu and tanh are those of the C library to some 1e-7") {
  for (int i = -20000; i <= 20000; ++i) {
    float const x = static_cast<float>(i) * 0.004F; // -80 to 80
    double const d = static_cast<double>(x);
    REQUIRE(apply(x, [](auto v) { return simd::exp<A>(v); }) == doctest::Approx(std::exp(d)).epsilon(3e-7));
    REQUIRE(apply(x, [](auto v) { return simd::erf<A>(v); }) == doctest::Approx(std::erf(d)).epsilon(3e-7));
    REQUIRE(std::abs(static_cast<double>(apply(x, [](auto v) { return simd::tanh<A>(v); })) - std::tanh(d)) <
            3e-7);
    double const gelu = 0.5 * d * (1.0 + std::erf(d * std::sqrt(0.5)));
    REQUIRE(std::abs(static_cast<double>(apply(x, [](auto v) { return simd::gelu<A>(v); })) - gelu) <
            4e-7 * std::max(1.0, std::abs(d)));
  }
  CHECK(apply(-1000.0F, [](auto v) { return simd::exp<A>(v); }) < 1e-37F);
}

#if XSIMD_WITH_AVX
#define POCKETLLM_TEST_WIDTHS simd::scalar, xsimd::sse2, xsimd::avx, simd::native
#elif XSIMD_WITH_SSE2
#define POCKETLLM_TEST_WIDTHS simd::scalar, xsimd::sse2, simd::native
#else
#define POCKETLLM_TEST_WIDTHS simd::scalar, simd::native
#endif

TEST_CASE_TEMPLATE("the larger and the smaller of two numbers; none where the second is none", B,
                   POCKETLLM_TEST_WIDTHS) {
  float const nan = std::numeric_limits<float>::quiet_NaN();
  auto const both = [](float a, float b) {
    std::array<float, 16> larger{}, smaller{};
    simd::store<B>(larger.data(), simd::max<B>(simd::splat<B>(a), simd::splat<B>(b)));
    simd::store<B>(smaller.data(), simd::min<B>(simd::splat<B>(a), simd::splat<B>(b)));
    return std::array{larger[0], smaller[0]};
  };
  CHECK(both(1.5F, -2.0F) == std::array{1.5F, -2.0F});
  CHECK(both(-2.0F, 1.5F) == std::array{1.5F, -2.0F});
  CHECK(std::isnan(both(1.0F, nan)[0]));
  CHECK(std::isnan(both(1.0F, nan)[1]));
}

TEST_CASE_TEMPLATE("a product is added to something with one rounding", B, POCKETLLM_TEST_WIDTHS) {
  float const x = 1.0F + 0x1p-12F, product = 1.0F + 0x1p-11F; // x x without its last bit, 2^-24
  auto const rest = [&](auto f) {
    std::array<float, 16> found{};
    simd::store<B>(found.data(), f(simd::splat<B>(x), simd::splat<B>(x), simd::splat<B>(-product)));
    return found[0];
  };
  CHECK(rest([](auto a, auto b, auto c) { return simd::fma<B>(a, b, c); }) == 0x1p-24F);
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
  float const fast = 0x1p-24F;
#else
  float const fast = 0.0F;
#endif
  CHECK(rest([](auto a, auto b, auto c) { return simd::mul_add<B>(a, b, c); }) == fast);
}

TEST_CASE("a sum does not depend on the width of the vectors") {
  for (std::size_t n = 1; n < 100; ++n) {
    std::vector<float> x(n), y(n);
    for (std::size_t i = 0; i < n; ++i) {
      x[i] = std::sin(static_cast<float>(i));
      y[i] = std::cos(static_cast<float>(3 * i));
    }
    auto const add = [](auto v, auto part) { return part + v; };
    CHECK(simd::reduce<A>(x.data(), n, add) == simd::reduce<simd::scalar>(x.data(), n, add));
    CHECK(simd::dot<A>(x.data(), y.data(), n) == simd::dot<simd::scalar>(x.data(), y.data(), n));
    double expected = 0.0;
    for (std::size_t i = 0; i < n; ++i) {
      expected += static_cast<double>(x[i]) * static_cast<double>(y[i]);
    }
    CHECK(std::abs(static_cast<double>(simd::dot<A>(x.data(), y.data(), n)) - expected) < 1e-5);
  }
}

TEST_CASE("a transposed block has rows for columns") {
  constexpr std::size_t n = simd::width<A>;
  std::vector<float> block(n * n), result(n * n);
  for (std::size_t i = 0; i < n * n; ++i) {
    block[i] = static_cast<float>(i);
  }
  simd::Square<A> m;
  for (std::size_t i = 0; i < n; ++i) {
    m[i] = simd::load<A>(block.data() + i * n);
  }
  simd::transpose<A>(m);
  for (std::size_t i = 0; i < n; ++i) {
    simd::store<A>(result.data() + i * n, m[i]);
  }
  for (std::size_t i = 0; i < n * n; ++i) {
    CHECK(result[i] == block[i % n * n + i / n]);
  }
}

TEST_CASE("vectors of 16-bit weights are converted as single ones are") {
  constexpr std::size_t n = simd::width<A>;
  for (std::uint32_t first = 0; first < 0x10000U; first += n) {
    std::vector<f16> halves(n);
    std::vector<bf16> brains(n);
    for (std::uint32_t i = 0; i < n; ++i) {
      halves[i].bits = static_cast<std::uint16_t>(first + i);
      brains[i].bits = static_cast<std::uint16_t>(first + i);
    }
    std::vector<float> a(n), b(n);
    simd::store<A>(a.data(), simd::load_as_float<A>(halves.data()));
    simd::store<A>(b.data(), simd::load_as_float<A>(brains.data()));
    for (std::size_t i = 0; i < n; ++i) {
      if ((halves[i].bits & 0x7c00U) != 0x7c00U) {
        REQUIRE(a[i] == to_float(halves[i]));
      }
      if (!std::isnan(to_float(brains[i]))) {
        REQUIRE(b[i] == to_float(brains[i]));
      }
    }
  }
}
