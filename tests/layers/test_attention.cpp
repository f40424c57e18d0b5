// SPDX-License-Identifier: Apache-2.0
// Attention and softmax against loops in double.
#include "layers/naive_layers.hpp"
#include <pocketllm/layers/attention.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

using namespace pocketllm;

namespace {

std::vector<double> naive_softmax(std::vector<double> x, double scale) {
  double const top = *std::max_element(x.begin(), x.end());
  double sum = 0.0;
  for (double& value : x) {
    value = std::exp(scale * (value - top));
    sum += value;
  }
  for (double& value : x) {
    value /= sum;
  }
  return x;
}

double dot(float const* a, float const* b, std::size_t count) {
  double sum = 0.0;
  for (std::size_t i = 0; i < count; ++i) {
    sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  }
  return sum;
}

/// softmax(Q K^T / sqrt(head width)) V, [lanes, rows, width].
std::vector<double> naive_attention(Lanes<float const> q, Lanes<float const> k, Lanes<float const> v,
                                    std::vector<std::size_t> const& offsets, std::size_t heads) {
  std::size_t const width = q.cols / heads;
  std::vector<double> result(q.size());
  for (std::size_t l = 0; l < q.lanes; ++l) {
    for (std::size_t s = 0; s + 1 < offsets.size(); ++s) {
      for (std::size_t i = offsets[s]; i < offsets[s + 1]; ++i) {
        for (std::size_t c = 0; c < q.cols; c += width) {
          std::vector<double> scores;
          for (std::size_t j = offsets[s]; j < offsets[s + 1]; ++j) {
            scores.push_back(dot(q.row(l, i) + c, k.row(l, j) + c, width));
          }
          scores = naive_softmax(scores, 1.0 / std::sqrt(static_cast<double>(width)));
          double* const out = result.data() + (l * q.rows + i) * q.cols + c;
          for (std::size_t j = offsets[s]; j < offsets[s + 1]; ++j) {
            for (std::size_t e = 0; e < width; ++e) {
              out[e] += scores[j - offsets[s]] * static_cast<double>(v.row(l, j)[c + e]);
            }
          }
        }
      }
    }
  }
  return result;
}

struct Shape {
  std::size_t lanes, heads, head_width;
  std::vector<std::size_t> lengths;
  float scale = 1.0F; ///< of queries and keys
};

struct Data {
  std::vector<std::size_t> offsets{0};
  std::size_t rows = 0, cols = 0;
  std::vector<float> q, k, v;

  explicit Data(Shape const& s) : cols(s.heads * s.head_width) {
    for (std::size_t const length : s.lengths) {
      offsets.push_back(rows += length);
    }
    q = naive::numbers(s.lanes * rows * cols, 1, s.scale);
    k = naive::numbers(s.lanes * rows * cols, 2, s.scale);
    v = naive::numbers(s.lanes * rows * cols, 3);
  }
};

/// The largest error of attention with vectors of A; V's elements are below 1, and so are the results.
template <class A>
double error(Shape const& s, std::size_t threads = 1) {
  Data const d(s);
  std::vector<float> q = d.q;
  q.push_back(777.0F); // one behind the end must stay
  Lanes<float> const queries{q.data(), s.lanes, d.rows, d.cols};
  Lanes<float const> const keys{d.k.data(), s.lanes, d.rows, d.cols};
  Lanes<float const> const values{d.v.data(), s.lanes, d.rows, d.cols};
  auto const expected =
      naive_attention({d.q.data(), s.lanes, d.rows, d.cols}, keys, values, d.offsets, s.heads);
  Runtime runtime(threads);
  layers::attention<A>(queries, keys, values, d.offsets, s.heads, runtime);
  REQUIRE(q.back() == 777.0F);
  return naive::largest_difference(queries.values(), expected);
}

/// Scores below 1 in size keep the last place of a float, 6e-8; sums of some 100 products lose a few more.
constexpr double small = 1e-6;

} // namespace

TEST_CASE_TEMPLATE("attention is the naive one for all lengths and widths of heads", A,
                   POCKETLLM_TEST_WIDTHS) {
  std::vector<std::size_t> lengths(40);
  std::iota(lengths.begin(), lengths.end(), std::size_t{1});
  std::swap(lengths[0], lengths[20]); // ragged, and the longest is not the last
  std::swap(lengths[5], lengths[39]);
  for (std::size_t const head_width : {6U, 16U, 64U, 70U}) {
    CAPTURE(head_width);
    CHECK(error<A>({1, 2, head_width, lengths}) < small);
  }
}

TEST_CASE_TEMPLATE("attention keeps lanes, sequences and heads apart, whatever the threads", A,
                   POCKETLLM_TEST_WIDTHS) {
  for (std::size_t const head_width : {6U, 16U, 64U, 70U}) {
    for (std::size_t const threads : {1U, 3U}) {
      CAPTURE(head_width);
      CAPTURE(threads);
      CHECK(error<A>({3, 5, head_width, {9, 1, 17, 2}}, threads) < small);
    }
  }
}

TEST_CASE_TEMPLATE("attention to nearly one token alone", A, POCKETLLM_TEST_WIDTHS) {
  // scores of some hundreds: an error of their last place, 3e-5, is one of the result
  CHECK(error<A>({1, 2, 64, {33, 40}, 20.0F}) < 3e-4);
}

TEST_CASE("the number of threads changes no bit of attention") {
  Shape const s{2, 3, 16, {9, 1, 17, 2}};
  std::vector<std::vector<float>> results;
  for (std::size_t const threads : {1U, 3U}) {
    Data const d(s);
    std::vector<float>& q = results.emplace_back(d.q);
    Runtime runtime(threads);
    layers::attention({q.data(), s.lanes, d.rows, d.cols}, {d.k.data(), s.lanes, d.rows, d.cols},
                      {d.v.data(), s.lanes, d.rows, d.cols}, d.offsets, s.heads, runtime);
  }
  CHECK(results[0] == results[1]);
}

TEST_CASE_TEMPLATE("softmax is the naive one for all lengths", A, POCKETLLM_TEST_WIDTHS) {
  for (std::size_t n = 1; n <= 70; ++n) {
    CAPTURE(n);
    auto x = naive::numbers(n + 1, n, 4.0F);
    float const behind = x.back();
    std::vector<double> const expected = naive_softmax({x.begin(), x.end() - 1}, 0.7);
    layers::softmax<A>(x.data(), n, 0.7F);
    CHECK(x.back() == behind);
    CHECK(naive::largest_difference(std::span(x).first(n), expected) < 5e-7);
  }
}

TEST_CASE_TEMPLATE("softmax with a score that is not a number is none either", A, POCKETLLM_TEST_WIDTHS) {
  for (std::size_t const place : {0U, 4U, 20U}) {
    auto x = naive::numbers(21, 1);
    x[place] = std::nanf("");
    layers::softmax<A>(x.data(), x.size(), 1.0F);
    CHECK(std::all_of(x.begin(), x.end(), [](float value) { return std::isnan(value); }));
  }
}

TEST_CASE_TEMPLATE("softmax of large scores neither overflows nor loses the largest", A,
                   POCKETLLM_TEST_WIDTHS) {
  std::vector<std::vector<float>> const rows{
      {1e4F, 1e4F - 1.0F, -1e4F, 0.0F, 9999.5F},
      {-1e4F, -1e4F - 2.0F, -2e4F},
      {3e38F, -3e38F, 0.0F, 3e38F},
      {-3e38F},
      std::vector<float>(37, 88.0F),
      std::vector<float>(37, -1e30F),
  };
  for (auto x : rows) {
    std::vector<double> const expected = naive_softmax({x.begin(), x.end()}, 1.0);
    layers::softmax<A>(x.data(), x.size(), 1.0F);
    CHECK(naive::largest_difference(x, expected) < 5e-7);
    CHECK(std::accumulate(x.begin(), x.end(), 0.0) == doctest::Approx(1.0).epsilon(1e-6));
  }
}
