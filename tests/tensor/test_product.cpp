// SPDX-License-Identifier: Apache-2.0
#include "tensor/kernel_table.hpp"
#include "tensor/naive.hpp"
#include <pocketllm/core/error.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

using namespace pocketllm;

namespace {

#define ENTRY(name) {#name, &kernels_##name},
std::vector<arch::Entry<KernelTable>> const tables =
    arch::running<KernelTable>({POCKETLLM_FOR_EACH_ARCH(ENTRY)});

/// Lanes as estimators ask for them: one, a pair, a base and a pair, and many with seeds of their own.
std::vector<random::Point> some_points(std::size_t lanes) {
  switch (lanes) {
  case 1:
    return {{11, 0.0F}};
  case 2:
    return {{11, 0.25F}, {11, -0.25F}};
  case 3:
    return {{11, 0.0F}, {12, 0.25F}, {12, -0.25F}};
  default:
    std::vector<random::Point> points;
    for (std::size_t l = 0; l < lanes; ++l) {
      points.push_back({100 + l / 2, 0.125F * static_cast<float>(l % 3)});
    }
    return points;
  }
}

struct Shape {
  std::size_t lanes, rows, in, out, misalign;
};

/// The largest error against the naive twin, in units of the sum of magnitudes that the rounding errors scale
/// with.
template <class T>
double error(KernelTable const& table, Shape const& s, Kind kind, bool shared_input, Runtime& runtime) {
  auto const w = naive::tensor_of<T>("some.weight", {s.out, s.in}, 1, s.misalign);
  auto const bias = naive::tensor_of<float>("some.bias", {s.out}, 2, s.misalign);
  auto const points = some_points(s.lanes);
  std::size_t const x_lanes = shared_input ? 1 : s.lanes;
  auto const x_memory = naive::numbers(s.misalign + x_lanes * s.rows * s.in, 3);
  Lanes<float const> const x{x_memory.data() + s.misalign, x_lanes, s.rows, s.in};
  std::vector<float> y_memory(s.misalign + s.lanes * s.rows * s.out + 1,
                              777.0F); // one behind the end must stay
  Lanes<float> const y{y_memory.data() + s.misalign, s.lanes, s.rows, s.out};
  table.template of<T>().product(x, w, &bias, kind, points, y, runtime);
  REQUIRE(y_memory.back() == 777.0F);
  double worst = 0.0;
  for (std::size_t l = 0; l < s.lanes; ++l) {
    auto const weight = naive::perturbed(w, kind, points[l]);
    auto const shift = naive::perturbed(bias, kind, points[l]);
    for (std::size_t r = 0; r < s.rows; ++r) {
      for (std::size_t n = 0; n < s.out; ++n) {
        double sum = shift[n], size = std::abs(shift[n]);
        for (std::size_t k = 0; k < s.in; ++k) {
          double const term = static_cast<double>(x.row(l, r)[k]) * weight[n * s.in + k];
          sum += term;
          size += std::abs(term);
        }
        worst = std::max(worst, std::abs(static_cast<double>(y.row(l, r)[n]) - sum) / size);
      }
    }
  }
  return worst;
}

template <class T>
void check_all_sizes(Kind kind) {
  Runtime runtime(1);
  for (auto const& entry : tables) {
    auto const name = entry.name;
    auto const* const table = entry.table;
    CAPTURE(name);
    for (std::size_t size = 1; size <= 70; ++size) { // every tail of rows, inputs and outputs, in turns
      Shape const s{std::array<std::size_t, 4>{1, 2, 3, 9}[size % 4], 1 + size * 7 % 26, size,
                    1 + size * 29 % 70, size % 5};
      CAPTURE(size);
      REQUIRE(error<T>(*table, s, kind, size % 3 == 0, runtime) < 3e-7);
    }
    for (Shape const& s : {Shape{2, 5, 257, 33, 1}, Shape{3, 7, 300, 16, 3}, Shape{2, 3, 1031, 49, 0},
                           Shape{2, 37, 70, 215, 2}}) {
      REQUIRE(error<T>(*table, s, kind, false, runtime) < 1e-6);
    }
  }
}

} // namespace

TEST_CASE("the perturbed product is the naive one: f32, Gaussian") { check_all_sizes<float>(Kind::gaussian); }
TEST_CASE("the perturbed product is the naive one: f32, Rademacher") {
  check_all_sizes<float>(Kind::rademacher);
}
TEST_CASE("the perturbed product is the naive one: f16") { check_all_sizes<f16>(Kind::gaussian); }
TEST_CASE("the perturbed product is the naive one: bf16") { check_all_sizes<bf16>(Kind::rademacher); }

TEST_CASE(
    "the product has the same bits for any threads and lanes, and on all sets with fused multiply-add") {
  auto const w = naive::tensor_of<float>("some.weight", {150, 300}, 1);
  auto const x = naive::numbers(9 * 31 * 300, 3);
  auto const points = some_points(9);
  std::vector<float> expected;
  for (auto const& entry : tables) {
    auto const name = entry.name;
    auto const* const table = entry.table;
    CAPTURE(name);
    std::vector<float> results[2];
    for (std::size_t threads : {1U, 3U}) {
      Runtime runtime(threads);
      auto& y = results[threads / 2];
      y.resize(9 * 31 * 150);
      table->f32.product({x.data(), 9, 31, 300}, w, nullptr, Kind::gaussian, points, {y.data(), 9, 31, 150},
                         runtime);
    }
    CHECK(results[0] == results[1]);
    Runtime runtime(1);
    std::vector<float> alone(31 * 150); // lane 4 by itself
    table->f32.product({x.data() + 4 * 31 * 300, 1, 31, 300}, w, nullptr, Kind::gaussian,
                       std::span(points).subspan(4, 1), {alone.data(), 1, 31, 150}, runtime);
    CHECK(std::equal(alone.begin(), alone.end(), results[0].begin() + 4 * 31 * 150));
    if (table->fused) {
      expected = expected.empty() ? results[0] : expected;
      CHECK(results[0] == expected);
    }
  }
}

TEST_CASE("several factors of one X, and a packed result that another product reads") {
  for (auto const& entry : tables) {
    auto const name = entry.name;
    auto const* const table = entry.table;
    CAPTURE(name);
    for (std::size_t const rows : {1U, 17U, 40U}) {
      std::size_t const in = 530, middle = 203, out = 35; // more than a block of depth, and of rows
      auto const w = naive::tensor_of<float>("up.weight", {middle, in}, 1);
      auto const bias = naive::tensor_of<float>("up.bias", {middle}, 2);
      auto const v = naive::tensor_of<float>("down.weight", {out, middle}, 3);
      auto const points = some_points(3);
      auto const x = naive::numbers(rows * in, 4);
      std::vector<float> y(3 * rows * out), z(3 * rows * middle);
      Runtime runtime(2);
      table->f32.chain({x.data(), 1, rows, in}, w, bias, v, points, {y.data(), 3, rows, out},
                       {z.data(), 3, rows, middle}, runtime);
      for (std::size_t l = 0; l < 3; ++l) {
        auto const wl = naive::perturbed(w, Kind::gaussian, points[l]);
        auto const bl = naive::perturbed(bias, Kind::gaussian, points[l]);
        auto const vl = naive::perturbed(v, Kind::gaussian, points[l]);
        for (std::size_t r = 0; r < rows; ++r) {
          std::vector<double> sums(out);
          for (std::size_t n = 0; n < middle; ++n) {
            double sum = 0.0;
            for (std::size_t k = 0; k < in; ++k) {
              sum += static_cast<double>(x[r * in + k]) * wl[n * in + k];
            }
            REQUIRE(std::abs(static_cast<double>(z[(l * rows + r) * middle + n]) - std::tanh(sum)) < 1e-5);
            double const h = 0.5 * (sum + bl[n]) * (1.0 + std::erf((sum + bl[n]) * std::sqrt(0.5)));
            for (std::size_t o = 0; o < out; ++o) {
              sums[o] += h * vl[o * middle + n];
            }
          }
          for (std::size_t o = 0; o < out; ++o) {
            REQUIRE(std::abs(static_cast<double>(y[(l * rows + r) * out + o]) - sums[o]) < 1e-3);
          }
        }
      }
    }
  }
}

TEST_CASE("a tensor that is not trained has no noise") {
  auto w = naive::tensor_of<float>("some.weight", {20, 30}, 1);
  auto const x = naive::numbers(2 * 4 * 30, 3);
  auto const points = some_points(2);
  std::vector<float> y(2 * 4 * 20), plain(2 * 4 * 20);
  Runtime runtime(1);
  w.set_trained(false);
  kernels_scalar.f32.product({x.data(), 2, 4, 30}, w, nullptr, Kind::gaussian, points, {y.data(), 2, 4, 20},
                             runtime);
  std::vector<random::Point> const still{random::origin, random::origin};
  kernels_scalar.f32.product({x.data(), 2, 4, 30}, w, nullptr, Kind::gaussian, still,
                             {plain.data(), 2, 4, 20}, runtime);
  CHECK(y == plain);
}

TEST_CASE("shapes that do not fit are an error that names the tensor") {
  auto const w = naive::tensor_of<float>("layer.weight", {20, 30}, 1);
  std::vector<float> x(31), y(20);
  Runtime runtime(1);
  std::vector<random::Point> const points{random::origin};
  CHECK_THROWS_WITH_AS(kernels_scalar.f32.product({x.data(), 1, 1, 31}, w, nullptr, Kind::gaussian, points,
                                                  {y.data(), 1, 1, 20}, runtime),
                       doctest::Contains("layer.weight"), Error);
}
