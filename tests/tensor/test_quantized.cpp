// SPDX-License-Identifier: Apache-2.0
#include "tensor/kernel_table.hpp"
#include "tensor/naive.hpp"
#include <pocketllm/core/error.hpp>
#include <pocketllm/tensor/quantize.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

using namespace pocketllm;

namespace {

#define ENTRY(name) {#name, &kernels_##name},
std::vector<arch::Entry<KernelTable>> const tables =
    arch::running<KernelTable>({POCKETLLM_FOR_EACH_ARCH(ENTRY)});

template <class T>
tensor::Tensor<T> quantized(tensor::Tensor<float> const& w) {
  using Layout = tensor::QuantizedLayout<T>;
  tensor::Tensor<T> q(w.name(), w.shape());
  auto const memory = q.allocate();
  for (std::size_t r = 0; r < w.rows(); ++r) {
    tensor::quantize_row(w.values().subspan(r * w.cols(), w.cols()),
                         memory.codes + r * Layout::row_units(w.cols()),
                         memory.scales + r * Layout::row_scales(w.cols()));
  }
  return q;
}

float value(tensor::QuantizedRow<i8> row, std::size_t i) {
  return static_cast<float>(row.codes[i].code) * *row.scales;
}
float value(tensor::QuantizedRow<i4> row, std::size_t i) {
  std::uint8_t const byte = row.codes[i / 32 * 16 + i % 16].codes;
  int const code = (i / 16 % 2 == 0 ? byte & 15 : byte >> 4) - 8;
  return static_cast<float>(code) * to_float(row.scales[i / 32]);
}

/// The same weights as floats.
template <class T>
tensor::Tensor<float> plain(tensor::Tensor<T> const& q) {
  tensor::Tensor<float> w(q.name(), q.shape());
  w.allocate();
  for (std::size_t i = 0; i < q.size(); ++i) {
    w.mutable_data()[i] = value(q.row(i / q.cols()), i % q.cols());
  }
  w.set_trained(false);
  return w;
}

std::vector<random::Point> const points{{11, 0.25F}, {11, -0.25F}, {12, 0.0F}, {13, 0.5F}};

/// Products and rows of codes have the bits of those of the floats that they stand for.
template <class T>
void check_like_floats() {
  Runtime runtime(2);
  for (auto const& entry : tables) {
    auto const name = entry.name;
    auto const* const table = entry.table;
    CAPTURE(name);
    for (std::size_t const in : {1U, 15U, 33U, 96U, 515U, 1024U, 1100U}) {
      CAPTURE(in);
      std::size_t const out = 101, rows = 21, lanes = points.size();
      auto const q = quantized<T>(naive::tensor_of<float>("some.weight", {out, in}, 1));
      auto const w = plain(q);
      auto const bias = naive::tensor_of<float>("some.bias", {out}, 2);
      auto const x = naive::numbers(lanes * rows * in, 3);
      std::vector<float> a(lanes * rows * out), b(a.size());
      table->template of<T>().product({x.data(), lanes, rows, in}, q, &bias, Kind::gaussian, points,
                                      {a.data(), lanes, rows, out}, runtime);
      table->f32.product({x.data(), lanes, rows, in}, w, &bias, Kind::gaussian, points,
                         {b.data(), lanes, rows, out}, runtime);
      REQUIRE(a == b);
      tensor::RowRange const range{7, in / 3, in - in / 3};
      std::vector<float> c(lanes * range.count), d(c.size());
      table->template of<T>().row(q, points, range, c.data());
      table->f32.row(w, points, range, d.data());
      REQUIRE(c == d);
    }
  }
}

/// Activations as codes times scales, by the definition.
std::vector<double> rounded_to_codes(std::vector<float> const& x, std::size_t cols) {
  std::vector<double> values;
  for (std::size_t i = 0; i < x.size(); ++i) {
    std::size_t const column = i % cols, first = i - column % 32,
                      end = std::min(first + 32, i - column + cols);
    float top = 0.0F;
    for (std::size_t k = first; k < end; ++k) {
      top = std::max(top, std::abs(x[k]));
    }
    double const inverse = static_cast<double>(127.0F / top), scale = static_cast<double>(top / 127.0F);
    values.push_back(std::nearbyint(static_cast<double>(x[i]) * inverse) * scale);
  }
  return values;
}

/// Products of codes are those of the numbers that they stand for, with the same bits on all instruction sets
/// that multiply and add with one rounding, whatever the threads.
template <class T>
void check_integers() {
  for (std::size_t const in : {1U, 33U, 96U, 515U, 1100U}) {
    for (std::size_t const rows : {1U, 21U, 70U}) {
      CAPTURE(in);
      CAPTURE(rows);
      std::size_t const out = 101, lanes = points.size();
      auto const q = quantized<T>(naive::tensor_of<float>("some.weight", {out, in}, 1));
      auto const bias = naive::tensor_of<float>("some.bias", {out}, 2);
      auto const x = naive::numbers(lanes * rows * in, 3);
      auto const codes = rounded_to_codes(x, in);
      std::vector<float> fused, y(lanes * rows * out);
      for (auto const& entry : tables) {
        auto const name = entry.name;
        CAPTURE(name);
        Runtime runtime(fused.empty() ? 1 : 2, Activations::i8);
        entry.table->template of<T>().product({x.data(), lanes, rows, in}, q, &bias, Kind::gaussian, points,
                                              {y.data(), lanes, rows, out}, runtime);
        if (entry.table->fused && !fused.empty()) {
          REQUIRE(y == fused);
          continue;
        }
        fused = entry.table->fused ? y : fused;
        // with two roundings, what lies half way between two codes may become the other one
        double const bound = entry.table->fused ? 1e-4 : 1e-2;
        for (std::size_t l = 0; l < lanes; ++l) {
          auto const b = naive::perturbed(bias, Kind::gaussian, points[l]);
          for (std::size_t i = 0; i < rows * out; ++i) {
            std::size_t const row = l * rows + i / out, n = i % out;
            double sum = b[n];
            for (std::size_t k = 0; k < in; ++k) {
              sum += codes[row * in + k] * static_cast<double>(value(q.row(n), k));
            }
            REQUIRE(std::abs(static_cast<double>(y[row * out + n]) - sum) < bound);
          }
        }
      }
    }
  }
}

/// The largest error of quantising, in units of the scale of each element.
template <class T>
double error_in_scales(std::size_t cols, float size) {
  auto x = naive::numbers(cols, 5);
  for (float& v : x) {
    v *= size;
  }
  tensor::Tensor<float> w("w", {1, cols});
  w.allocate();
  std::copy(x.begin(), x.end(), w.mutable_data());
  auto const q = quantized<T>(w);
  double worst = 0.0;
  for (std::size_t i = 0; i < cols; ++i) {
    double const scale =
        static_cast<double>(to_float(q.scales()[i / ((cols + q.scale_count() - 1) / q.scale_count())]));
    worst = std::max(worst, static_cast<double>(std::abs(value(q.row(0), i) - x[i])) / std::abs(scale));
  }
  return worst;
}

} // namespace

TEST_CASE("a product of 8-bit weights is that of their values") { check_like_floats<i8>(); }
TEST_CASE("a product of 4-bit weights is that of their values") { check_like_floats<i4>(); }

TEST_CASE("a product of integers is that of the codes' values") {
  check_integers<i8>();
  check_integers<i4>();
}

TEST_CASE("codes hide neither what is no number nor what is very small") {
  std::size_t const out = 5, in = 70, rows = 3;
  auto const q = quantized<i8>(naive::tensor_of<float>("w", {out, in}, 1));
  for (auto const& entry : tables) {
    auto const name = entry.name;
    CAPTURE(name);
    for (float const odd :
         {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(), 1e-44F}) {
      std::vector<float> x(rows * in);
      x[in + 40] = odd;
      std::vector<float> y(rows * out);
      Runtime runtime(1, Activations::i8);
      std::vector<random::Point> const one{random::origin};
      entry.table->i8.product({x.data(), 1, rows, in}, q, nullptr, Kind::gaussian, one,
                              {y.data(), 1, rows, out}, runtime);
      for (std::size_t n = 0; n < out; ++n) {
        CHECK(y[n] == 0.0F);
        CHECK(std::isfinite(y[out + n]) == (odd == 1e-44F));
        CHECK(y[2 * out + n] == 0.0F);
      }
    }
  }
}

TEST_CASE("a term of low rank is no integer") {
  Runtime runtime(2, Activations::i8), plain_runtime(2);
  std::size_t const out = 40, in = 96, rank = 5, rows = 7, lanes = points.size();
  auto const q = quantized<i8>(naive::tensor_of<float>("w", {out, in}, 1));
  auto const bias = naive::tensor_of<float>("b", {out}, 2);
  auto const down = naive::tensor_of<float>("a", {rank, in}, 3);
  auto const up = naive::tensor_of<float>("u", {out, rank}, 4);
  auto zero = naive::tensor_of<float>("u", {out, rank}, 4);
  std::fill_n(zero.mutable_data(), zero.size(), 0.0F);
  zero.set_trained(false);
  auto const x = naive::numbers(lanes * rows * in, 5);
  auto const* const table = tables.back().table;
  auto const product = [&](tensor::Tensor<float> const& second, Runtime& with) {
    std::vector<float> y(lanes * rows * out);
    table->i8.low_rank({x.data(), lanes, rows, in}, q, bias, {&down, &second, 0.5F}, points,
                       {y.data(), lanes, rows, out}, with);
    return y;
  };
  auto const with = product(up, runtime), without = product(zero, runtime);
  auto const exact = product(up, plain_runtime), base = product(zero, plain_runtime);
  for (std::size_t i = 0; i < with.size(); ++i) {
    REQUIRE(std::abs((with[i] - without[i]) - (exact[i] - base[i])) < 1e-4F);
  }
}

TEST_CASE("quantising rounds to the nearest code") {
  CHECK(error_in_scales<i8>(1000, 1.0F) < 0.5001);
  CHECK(error_in_scales<i8>(1000, 1e-20F) < 0.5001);
  // the end of the range that the extreme does not take has a code less: up to a whole unit is cut there
  CHECK(error_in_scales<i4>(32 * 40, 0.02F) < 1.01);
  auto const zero = quantized<i4>(tensor::Tensor<float>([] {
    tensor::Tensor<float> w("w", {2, 40});
    w.allocate();
    std::fill_n(w.mutable_data(), 80, 0.0F);
    return w;
  }()));
  for (std::size_t i = 0; i < 64; ++i) {
    REQUIRE(value(zero.row(1), i) == 0.0F);
  }
}

TEST_CASE("four bits keep the element of largest magnitude, of either sign") {
  for (float const sign : {1.0F, -1.0F}) {
    tensor::Tensor<float> w("w", {1, 32});
    w.allocate();
    for (std::size_t i = 0; i < 32; ++i) {
      w.mutable_data()[i] = sign * (i == 17 ? 1.0F : -0.5F);
    }
    auto const q = quantized<i4>(w);
    CHECK(value(q.row(0), 17) == sign);
    CHECK(value(q.row(0), 18) == -0.5F * sign);
  }
}

TEST_CASE("a term of low rank is part of the weight at every point") {
  Runtime runtime(2);
  std::size_t const out = 110, in = 530, rank = 5, rows = 19, lanes = points.size();
  auto const w = naive::tensor_of<float>("w", {out, in}, 1);
  auto const q = quantized<i8>(w);
  auto const bias = naive::tensor_of<float>("b", {out}, 2);
  auto const down = naive::tensor_of<float>("a", {rank, in}, 3);
  auto const up = naive::tensor_of<float>("u", {out, rank}, 4);
  tensor::LowRank const term{&down, &up, 0.125F};
  auto const x = naive::numbers(lanes * rows * in, 5);
  for (auto const& entry : tables) {
    auto const name = entry.name;
    auto const* const table = entry.table;
    CAPTURE(name);
    std::vector<float> y(lanes * rows * out), y8(y.size());
    table->f32.low_rank({x.data(), lanes, rows, in}, w, bias, term, points, {y.data(), lanes, rows, out},
                        runtime);
    table->i8.low_rank({x.data(), lanes, rows, in}, q, bias, term, points, {y8.data(), lanes, rows, out},
                       runtime);
    for (std::size_t l = 0; l < lanes; ++l) {
      auto const a = naive::perturbed(down, Kind::gaussian, points[l]);
      auto const u = naive::perturbed(up, Kind::gaussian, points[l]);
      auto const b = naive::perturbed(bias, Kind::gaussian, points[l]);
      auto const f = naive::perturbed(w, Kind::gaussian, points[l]);
      for (std::size_t n = 0; n < out; ++n) {
        std::vector<double> row(in);
        for (std::size_t k = 0; k < in; ++k) {
          for (std::size_t i = 0; i < rank; ++i) {
            row[k] += 0.125 * u[n * rank + i] * a[i * in + k];
          }
        }
        for (std::size_t r = 0; r < rows; ++r) {
          double sum = b[n], sum8 = b[n];
          for (std::size_t k = 0; k < in; ++k) {
            double const v = static_cast<double>(x[(l * rows + r) * in + k]);
            sum += v * (f[n * in + k] + row[k]);
            sum8 += v * (static_cast<double>(value(q.row(n), k)) + row[k]);
          }
          REQUIRE(std::abs(static_cast<double>(y[(l * rows + r) * out + n]) - sum) < 1e-4);
          REQUIRE(std::abs(static_cast<double>(y8[(l * rows + r) * out + n]) - sum8) < 1e-4);
        }
      }
    }
  }
}

TEST_CASE("what does not fit a weight is no term of it") {
  auto const w = naive::tensor_of<float>("w", {6, 4}, 1);
  auto const bias = naive::tensor_of<float>("b", {6}, 1);
  auto const down = naive::tensor_of<float>("a", {3, 4}, 3);
  auto const up = naive::tensor_of<float>("layer.lora_B", {6, 2}, 4);
  std::vector<float> const x(4);
  std::vector<float> y(6);
  Runtime runtime(1);
  std::vector<random::Point> const one{random::origin};
  CHECK_THROWS_WITH_AS(kernels_scalar.f32.low_rank({x.data(), 1, 1, 4}, w, bias, {&down, &up}, one,
                                                   {y.data(), 1, 1, 6}, runtime),
                       doctest::Contains("layer.lora_B"), Error);
}

TEST_CASE("codes are not trained") {
  tensor::Tensor<i8> w("layer.weight", {2, 3});
  CHECK_FALSE(w.trained());
  w.set_trained(false);
  CHECK_THROWS_WITH_AS(w.set_trained(true), doctest::Contains("layer.weight: weights of 8 bits"), Error);
}
