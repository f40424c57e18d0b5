// SPDX-License-Identifier: Apache-2.0
// LayerNorm, activations and embeddings against loops in double.
#include "layers/naive_layers.hpp"
#include <pocketllm/core/float16.hpp>
#include <pocketllm/layers/embedding.hpp>
#include <pocketllm/layers/layer_norm.hpp>
#include <pocketllm/simd/activation.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

using namespace pocketllm;

namespace {

std::vector<random::Point> const points{{4, 0.25F}, random::origin, {4, -0.25F}};

layers::LayerNorm norm_of(std::size_t width, float epsilon) {
  layers::LayerNorm norm("some.LayerNorm", width, epsilon);
  norm.weight = naive::tensor_of<float>("some.LayerNorm.weight", {width}, 1);
  norm.bias = naive::tensor_of<float>("some.LayerNorm.bias", {width}, 2);
  return norm;
}

/// norm(X + residual), [lanes, rows, width].
template <random::Perturbation P>
std::vector<double> naive_norm(layers::LayerNorm const& norm, Lanes<float const> x,
                               Lanes<float const> residual, random::Perturbed<P> const& at) {
  std::vector<double> result;
  double const count = static_cast<double>(x.cols);
  for (std::size_t l = 0; l < x.lanes; ++l) {
    auto const gain = naive::row_at(norm.weight, at.perturbation, at.points[l], 0);
    auto const shift = naive::row_at(norm.bias, at.perturbation, at.points[l], 0);
    for (std::size_t r = 0; r < x.rows; ++r) {
      std::vector<double> row(x.row(l, r), x.row(l, r) + x.cols);
      double mean = 0.0, variance = 0.0;
      for (std::size_t i = 0; i < x.cols; ++i) {
        row[i] += residual.data == nullptr ? 0.0 : static_cast<double>(residual.row(l, r)[i]);
        mean += row[i] / count;
      }
      for (double const value : row) {
        variance += (value - mean) * (value - mean) / count;
      }
      double const scale = 1.0 / std::sqrt(variance + static_cast<double>(norm.epsilon));
      for (std::size_t i = 0; i < x.cols; ++i) {
        result.push_back((row[i] - mean) * scale * gain[i] + shift[i]);
      }
    }
  }
  return result;
}

/// The largest error of a LayerNorm over `rows` rows in each of three lanes, at numbers around `offset`.
template <class A>
double norm_error(std::size_t width, std::size_t rows, bool with_residual, float offset,
                  std::size_t threads) {
  auto const norm = norm_of(width, 1e-3F);
  std::size_t const gap = width % 3;
  naive::Activations x(points.size(), rows, width, gap, 3), other(points.size(), rows, width, gap + 1, 4);
  Runtime runtime(threads);
  layers::for_each_row(x.view(), runtime, [&](std::size_t l, std::size_t r) {
    std::for_each_n(x.view().row(l, r), width, [&](float& value) { value += offset; });
  });
  Lanes<float const> const residual = with_residual ? other.view() : Lanes<float>{};
  auto const at = random::perturb(random::Gaussian{}, points);
  auto const expected = naive_norm(norm, x.view(), residual, at);
  norm.operator()<A>(x.view(), residual, at, runtime);
  return naive::largest_difference(x.values(), expected);
}

double naive_gelu(double x) { return 0.5 * x * (1.0 + std::erf(x * std::sqrt(0.5))); }

/// Rows of an embedding at all points, added to what `y` holds where `add`.
template <tensor::WeightStorage T>
void check_embedding(bool trained, bool add, std::size_t width, std::size_t threads) {
  layers::Embedding<T> table("words", 23, width);
  table.weight = naive::tensor_of<T>("words.weight", {23, width}, 7);
  table.weight.set_trained(trained);
  std::vector<std::int32_t> ids{22, 0, 5, 5, 22};
  for (std::int32_t i = 0; i < 30; ++i) { // more than a thread takes at a time
    ids.push_back(i * 7 % 23);
  }
  naive::Activations y(points.size(), ids.size(), width, width % 7, 8);
  auto const before = y.values();
  auto const at = random::perturb(random::Rademacher{}, points);
  Runtime runtime(threads);
  table(ids, at, y.view(), add, runtime);
  std::vector<double> expected;
  for (random::Point const& point : points) {
    for (std::int32_t const id : ids) {
      for (double value : naive::row_at(table.weight, at.perturbation, point, static_cast<std::size_t>(id))) {
        value += add ? static_cast<double>(before[expected.size()]) : 0.0;
        expected.push_back(value);
      }
    }
  }
  CHECK(naive::largest_difference(y.values(), expected) < 2e-7); // numbers below 2.25: two roundings
}

} // namespace

TEST_CASE_TEMPLATE("LayerNorm is the naive one for all widths", A, POCKETLLM_TEST_WIDTHS) {
  for (std::size_t width = 1; width <= 70; ++width) {
    CAPTURE(width);
    CHECK(norm_error<A>(width, 2, width % 2 == 0, 0.0F, 1) < 2e-6);
  }
  CHECK(norm_error<A>(768, 37, true, 0.0F, 3) < 2e-6);
  // the mean of numbers around 100 has an error of their last place, 4e-6, on a deviation of 0.6
  CHECK(norm_error<A>(768, 3, true, 100.0F, 1) < 5e-5);
}

TEST_CASE_TEMPLATE("LayerNorm of equal numbers is its bias", A, POCKETLLM_TEST_WIDTHS) {
  auto const norm = norm_of(19, 1e-12F);
  std::vector<float> x(19, 3.0F);
  Runtime runtime(1);
  norm.operator()<A>({x.data(), 1, 1, 19}, {}, random::unperturbed(), runtime);
  CHECK(std::equal(x.begin(), x.end(), norm.bias.data()));
}

TEST_CASE_TEMPLATE("activations act on every element and on no other", A, POCKETLLM_TEST_WIDTHS) {
  for (std::size_t count = 1; count <= 70; count += count < 20 ? 1 : 7) {
    CAPTURE(count);
    auto const x = naive::numbers(count + 1, 5);
    for (auto const activation :
         {simd::Activation::gelu, simd::Activation::tanh, simd::Activation::relu, simd::Activation::none}) {
      auto y = x;
      simd::activate<A>(activation, y.data(), count);
      CHECK(y.back() == x.back());
      for (std::size_t i = 0; i < count; ++i) {
        double const value = static_cast<double>(x[i]);
        double const expected = activation == simd::Activation::gelu   ? naive_gelu(value)
                                : activation == simd::Activation::tanh ? std::tanh(value)
                                : activation == simd::Activation::relu ? std::max(value, 0.0)
                                                                       : value;
        REQUIRE(std::abs(static_cast<double>(y[i]) - expected) < 5e-7);
      }
    }
  }
}

TEST_CASE_TEMPLATE("activations far from zero", A, POCKETLLM_TEST_WIDTHS) {
  std::vector<float> gelu{0.0F, 100.0F, -100.0F, 1e30F, -1e30F}, tanh = gelu, relu = gelu;
  simd::activate<A>(simd::Activation::gelu, gelu.data(), gelu.size());
  simd::activate<A>(simd::Activation::tanh, tanh.data(), tanh.size());
  CHECK(gelu == std::vector<float>{0.0F, 100.0F, 0.0F, 1e30F, 0.0F});
  CHECK(tanh == std::vector<float>{0.0F, 1.0F, -1.0F, 1.0F, -1.0F});
  simd::activate<A>(simd::Activation::relu, relu.data(), relu.size());
  CHECK(relu == std::vector<float>{0.0F, 100.0F, 0.0F, 1e30F, 0.0F});
}

TEST_CASE_TEMPLATE("what is not a number stays so", A, POCKETLLM_TEST_WIDTHS) {
  // or a training run that has gone wrong would not be noticed
  std::vector<float> gelu(9, 0.5F);
  gelu[4] = std::nanf("");
  auto tanh = gelu, relu = gelu;
  simd::activate<A>(simd::Activation::relu, relu.data(), relu.size());
  simd::activate<A>(simd::Activation::gelu, gelu.data(), gelu.size());
  simd::activate<A>(simd::Activation::tanh, tanh.data(), tanh.size());
  for (std::size_t i = 0; i < gelu.size(); ++i) {
    CHECK(std::isnan(gelu[i]) == (i == 4));
    CHECK(std::isnan(tanh[i]) == (i == 4));
    CHECK(std::isnan(relu[i]) == (i == 4));
  }
}

TEST_CASE("an embedding takes rows of the table at every point") {
  for (bool const trained : {true, false}) {
    for (bool const add : {true, false}) {
      for (std::size_t const width : {1U, 30U, 300U}) {
        CAPTURE(width);
        check_embedding<float>(trained, add, width, 1);
        check_embedding<f16>(trained, add, width, 3);
        check_embedding<bf16>(trained, add, width, 3);
      }
    }
  }
}

TEST_CASE("an index outside an embedding is an error that names the table") {
  layers::Embedding<float> table("words", 23, 4);
  table.weight = naive::tensor_of<float>("words.weight", {23, 4}, 7);
  Runtime runtime(1);
  std::vector<float> y(8);
  auto const look_up = [&](std::int32_t id) {
    std::vector<std::int32_t> const ids{0, id};
    table(ids, random::unperturbed(), {y.data(), 1, 2, 4}, false, runtime);
  };
  CHECK_NOTHROW(look_up(22));
  CHECK_THROWS_WITH_AS(look_up(23), "words.weight: index 23 is outside the table of 23 rows", Error);
  CHECK_THROWS_WITH_AS(look_up(-1), doctest::Contains("words.weight: index -1"), Error);
}

TEST_CASE("a loop over rows meets each of them once") {
  for (std::size_t const rows : {0U, 1U, 15U, 16U, 17U, 100U}) {
    for (std::size_t const threads : {1U, 3U}) {
      std::vector<int> count(2 * rows);
      std::vector<float> x(2 * rows);
      Runtime runtime(threads);
      layers::for_each_row(Lanes<float>{x.data(), 2, rows, 1}, runtime,
                           [&](std::size_t l, std::size_t r) { ++count[l * rows + r]; });
      CHECK(count == std::vector<int>(2 * rows, 1));
    }
  }
}
