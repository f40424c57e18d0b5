// SPDX-License-Identifier: Apache-2.0
// Whether z is distributed as it says. Seeds are fixed, so the tests are deterministic; the bounds are five
// standard deviations of the statistic under the hypothesis.
#include <pocketllm/core/hash.hpp>
#include <pocketllm/random/gaussian.hpp>
#include <pocketllm/random/noise.hpp>
#include <pocketllm/random/rademacher.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <string_view>
#include <vector>

using namespace pocketllm;

namespace {

constexpr std::size_t columns = 4096, rows = 512, count = rows * columns;

/// z of a whole tensor, row by row.
template <class P>
std::vector<float> draw(std::uint64_t seed, std::string_view name) {
  std::vector<float> z(count);
  for (std::size_t r = 0; r < rows; ++r) {
    random::fill_row<simd::native>(P{}, {seed, fnv1a(name)}, r, 0, columns, z.data() + r * columns);
  }
  return z;
}

template <class F>
double mean_of(std::vector<float> const& z, F f) {
  double sum = 0.0;
  for (float const value : z) {
    sum += f(static_cast<double>(value));
  }
  return sum / static_cast<double>(z.size());
}

/// Mean of a[i] b[i + lag].
double product_mean(std::vector<float> const& a, std::vector<float> const& b, std::size_t lag) {
  double sum = 0.0;
  for (std::size_t i = 0; i + lag < a.size(); ++i) {
    sum += static_cast<double>(a[i]) * static_cast<double>(b[i + lag]);
  }
  return sum / static_cast<double>(a.size() - lag);
}

/// Five standard deviations of the mean of `n` numbers of this variance.
double bound(double variance, std::size_t n = count) {
  return 5.0 * std::sqrt(variance / static_cast<double>(n));
}

/// The chance that a standard normal number is below x.
double normal_cdf(double x) { return 0.5 * std::erfc(-x / std::numbers::sqrt2); }

template <class P>
void check_correlations() {
  auto const z = draw<P>(1, "a.weight");
  std::vector<std::size_t> lags;
  for (std::size_t lag = 1; lag <= 64; ++lag) {
    lags.push_back(lag); // within and across the 16 lanes
  }
  for (std::size_t const lag :
       {127UL, 128UL, 256UL, 511UL, 512UL, 513UL, columns - 1, columns, columns + 1, 16 * columns}) {
    lags.push_back(lag);
  }
  for (std::size_t const lag : lags) {
    CAPTURE(lag);
    CHECK(std::abs(product_mean(z, z, lag)) < bound(1.0, count - lag));
  }
  // other seeds (neighbours, one bit apart, the next step's) and other tensors
  std::array<std::uint64_t, 4> const seeds{2, 1ULL << 32 | 1, 1ULL << 63 | 1, random::split_mix(1, 0)};
  for (std::uint64_t const seed : seeds) {
    CAPTURE(seed);
    CHECK(std::abs(product_mean(z, draw<P>(seed, "a.weight"), 0)) < bound(1.0));
  }
  CHECK(std::abs(product_mean(z, draw<P>(1, "b.weight"), 0)) < bound(1.0));
  CHECK(std::abs(product_mean(z, draw<P>(1, "a.bias"), 0)) < bound(1.0));
}

} // namespace

TEST_CASE("the moments of the Gaussian are the normal's") {
  for (std::uint64_t const seed : {1ULL, 0xfedcba9876543210ULL}) {
    auto const z = draw<random::Gaussian>(seed, "a.weight");
    CHECK(std::abs(mean_of(z, [](double x) { return x; })) < bound(1.0));
    CHECK(std::abs(mean_of(z, [](double x) { return x * x; }) - 1.0) < bound(2.0));
    CHECK(std::abs(mean_of(z, [](double x) { return x * x * x; })) < bound(15.0));
    CHECK(std::abs(mean_of(z, [](double x) { return x * x * x * x; }) - 3.0) < bound(96.0)); // kurtosis
  }
}

TEST_CASE("the tails of the Gaussian are the normal's") {
  auto z = draw<random::Gaussian>(3, "a.weight");
  for (double const t : {1.0, 2.0, 3.0, 4.0, 4.5}) {
    CAPTURE(t);
    double const p = normal_cdf(-t);
    double const above = mean_of(z, [t](double x) { return x > t ? 1.0 : 0.0; });
    double const below = mean_of(z, [t](double x) { return x < -t ? 1.0 : 0.0; });
    CHECK(std::abs(above - p) < bound(p * (1.0 - p)));
    CHECK(std::abs(below - p) < bound(p * (1.0 - p)));
  }
  auto const [low, high] = std::minmax_element(z.begin(), z.end());
  CHECK(*low > -5.18F);
  CHECK(*high < 5.18F);
}

TEST_CASE("the Gaussian passes the tests of Kolmogorov and Smirnov and of chi squared") {
  auto z = draw<random::Gaussian>(4, "a.weight");
  std::array<double, 256> bins{}; // of equal probability
  for (float const value : z) {
    auto const bin = static_cast<std::size_t>(normal_cdf(static_cast<double>(value)) * 256.0);
    bins[std::min<std::size_t>(bin, 255)] += 1.0;
  }
  double chi_squared = 0.0;
  double const expected = static_cast<double>(count) / 256.0;
  for (double const n : bins) {
    chi_squared += (n - expected) * (n - expected) / expected;
  }
  CHECK(std::abs(chi_squared - 255.0) < 5.0 * std::sqrt(2.0 * 255.0));
  std::sort(z.begin(), z.end());
  double distance = 0.0;
  for (std::size_t i = 0; i < z.size(); ++i) {
    double const empirical = (static_cast<double>(i) + 0.5) / static_cast<double>(count);
    distance = std::max(distance, std::abs(normal_cdf(static_cast<double>(z[i])) - empirical));
  }
  CHECK(distance * std::sqrt(static_cast<double>(count)) < 2.23); // exceeded with a chance of 1e-4
}

TEST_CASE("successive words of the generator are independent") {
  // columns 16 apart: a lane's state goes from one to the other, and a part of a word comes back in the next
  auto const z = draw<random::Gaussian>(5, "a.weight");
  double squares = 0.0, cubes = 0.0;
  for (std::size_t i = 0; i + 16 < count; ++i) {
    double const a = static_cast<double>(z[i]), b = static_cast<double>(z[i + 16]);
    squares += (a * a - 1.0) * (b * b - 1.0);
    cubes += a * a * a * b;
  }
  CHECK(std::abs(squares / static_cast<double>(count)) < bound(4.0));
  CHECK(std::abs(cubes / static_cast<double>(count)) < bound(15.0));
}

TEST_CASE("the Gaussian is not correlated along rows, across rows, tensors or seeds") {
  check_correlations<random::Gaussian>();
}

TEST_CASE("Rademacher noise is a fair coin without correlations") {
  auto const z = draw<random::Rademacher>(1, "a.weight");
  CHECK(std::all_of(z.begin(), z.end(), [](float x) { return x == 1.0F || x == -1.0F; }));
  CHECK(std::abs(mean_of(z, [](double x) { return x; })) < bound(1.0));
  std::array<double, 65536> words{}; // 16 neighbours at a time
  for (std::size_t i = 0; i < count; i += 16) {
    std::size_t word = 0;
    for (std::size_t j = 0; j < 16; ++j) {
      word = word * 2 + (z[i + j] > 0 ? 1 : 0);
    }
    words[word] += 1.0;
  }
  double chi_squared = 0.0;
  double const expected = static_cast<double>(count) / 16.0 / 65536.0;
  for (double const n : words) {
    chi_squared += (n - expected) * (n - expected) / expected;
  }
  CHECK(std::abs(chi_squared - 65535.0) < 5.0 * std::sqrt(2.0 * 65535.0 * (1.0 + 1.0 / (2.0 * expected))));
  check_correlations<random::Rademacher>();
}
