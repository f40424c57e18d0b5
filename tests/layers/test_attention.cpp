// SPDX-License-Identifier: Apache-2.0
// Attention and softmax against loops in double.
#include "layers/naive_layers.hpp"
#include <pocketllm/layers/attention.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <utility>
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

/// softmax(Q K^T / sqrt(head width)) V, [lanes, rows, width], of all rows of `past` and then the sequence's
/// own.
std::vector<double> naive_attention(Lanes<float const> q, Lanes<float const> k, Lanes<float const> v,
                                    std::vector<std::size_t> const& offsets, std::size_t heads,
                                    layers::KeyValues const& past) {
  std::size_t const width = q.cols / heads;
  std::vector<double> result(q.lanes * q.rows * q.cols);
  for (std::size_t l = 0; l < q.lanes; ++l) {
    for (std::size_t s = 0; s + 1 < offsets.size(); ++s) {
      for (std::size_t i = offsets[s]; i < offsets[s + 1]; ++i) {
        for (std::size_t c = 0; c < q.cols; c += width) {
          std::vector<double> scores;
          std::vector<float const*> values;
          for (std::size_t j = 0; j < past.k.rows; ++j) {
            scores.push_back(dot(q.row(l, i) + c, past.k.row(l, j) + c, width));
            values.push_back(past.v.row(l, j) + c);
          }
          for (std::size_t j = offsets[s]; j < offsets[s + 1]; ++j) {
            scores.push_back(dot(q.row(l, i) + c, k.row(l, j) + c, width));
            values.push_back(v.row(l, j) + c);
          }
          scores = naive_softmax(scores, 1.0 / std::sqrt(static_cast<double>(width)));
          double* const out = result.data() + (l * q.rows + i) * q.cols + c;
          for (std::size_t j = 0; j < scores.size(); ++j) {
            for (std::size_t e = 0; e < width; ++e) {
              out[e] += scores[j] * static_cast<double>(values[j][e]);
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
  float scale = 1.0F;       ///< of queries and keys
  std::size_t gap = 0;      ///< between rows
  std::size_t past = 0;     ///< rows before every sequence
  bool past_shared = false; ///< one lane of them for all
};

struct Data {
  std::size_t heads;
  std::vector<std::size_t> offsets;
  naive::Activations q, k, v, past_k, past_v;

  explicit Data(Shape const& s) : Data(s, offsets_of(s.lengths)) {}

  template <class A = simd::native>
  std::vector<float> attend(std::size_t threads) {
    Runtime runtime(threads);
    layers::attention<A>(q.view(), offsets, k.view(), v.view(), offsets, heads, runtime, past());
    return q.values();
  }

  [[nodiscard]] layers::KeyValues past() { return {past_k.view(), past_v.view()}; }

private:
  Data(Shape const& s, std::vector<std::size_t> ends)
      : heads(s.heads), offsets(std::move(ends)),
        q(s.lanes, offsets.back(), s.heads * s.head_width, s.gap, 1, s.scale),
        k(s.lanes, offsets.back(), s.heads * s.head_width, s.gap, 2, s.scale),
        v(s.lanes, offsets.back(), s.heads * s.head_width, s.gap, 3),
        past_k(s.past_shared ? 1 : s.lanes, s.past, s.heads * s.head_width, s.gap + 3, 4, s.scale),
        past_v(s.past_shared ? 1 : s.lanes, s.past, s.heads * s.head_width, s.gap + 3, 5) {}

  static std::vector<std::size_t> offsets_of(std::vector<std::size_t> const& lengths) {
    std::vector<std::size_t> offsets{0};
    for (std::size_t const length : lengths) {
      offsets.push_back(offsets.back() + length);
    }
    return offsets;
  }
};

/// The largest error of attention with vectors of A; V's elements are below 1, and so are the results.
template <class A>
double error(Shape const& s, std::size_t threads = 1) {
  Data data(s);
  auto const expected =
      naive_attention(data.q.view(), data.k.view(), data.v.view(), data.offsets, s.heads, data.past());
  return naive::largest_difference(data.attend<A>(threads), expected);
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
      CHECK(error<A>({3, 5, head_width, {9, 1, 17, 2}, 1.0F, 16}, threads) < small);
    }
  }
}

TEST_CASE_TEMPLATE("attention sees what stands before every sequence", A, POCKETLLM_TEST_WIDTHS) {
  for (std::size_t const head_width : {6U, 16U, 64U}) {
    for (std::size_t const threads : {1U, 3U}) {
      CAPTURE(head_width);
      CAPTURE(threads);
      CHECK(error<A>({3, 2, head_width, {9, 1, 130, 2}, 1.0F, 0, 5}, threads) < small);
      CHECK(error<A>({2, 3, head_width, {1, 9}, 1.0F, 2, 70, true}, threads) < small);
    }
  }
}

TEST_CASE_TEMPLATE("what attention sees may lie in one piece or in two", A, POCKETLLM_TEST_WIDTHS) {
  constexpr std::size_t before = 21, own = 120, lanes = 2, heads = 2, width = heads * 16;
  Data whole({lanes, heads, 16, {before + own}});
  auto const part = [&](naive::Activations& all, std::size_t first, std::size_t count) {
    naive::Activations rows(lanes, count, width, 0, 0);
    for (std::size_t l = 0; l < lanes; ++l) {
      for (std::size_t i = 0; i < count; ++i) {
        std::copy_n(all.view().row(l, first + i), width, rows.view().row(l, i));
      }
    }
    return rows;
  };
  naive::Activations q = part(whole.q, before, own), k = part(whole.k, before, own),
                     v = part(whole.v, before, own), past_k = part(whole.k, 0, before),
                     past_v = part(whole.v, 0, before);
  auto const expected = whole.attend<A>(1);
  std::vector<std::size_t> const offsets{0, own};
  Runtime runtime(2);
  layers::attention<A>(q.view(), offsets, k.view(), v.view(), offsets, heads, runtime,
                       {past_k.view(), past_v.view()});
  auto const found = q.values();
  for (std::size_t l = 0; l < lanes; ++l) {
    auto const from = static_cast<std::ptrdiff_t>((l * (before + own) + before) * width);
    auto const rows = static_cast<std::ptrdiff_t>(own * width);
    CHECK(std::equal(expected.begin() + from, expected.begin() + from + rows,
                     found.begin() + static_cast<std::ptrdiff_t>(l) * rows));
  }
}

TEST_CASE_TEMPLATE("attention to nearly one token alone", A, POCKETLLM_TEST_WIDTHS) {
  // scores of some hundreds: an error of their last place, 3e-5, is one of the result
  CHECK(error<A>({1, 2, 64, {33, 40}, 20.0F}) < 3e-4);
}

TEST_CASE("the number of threads changes no bit of attention, nor does the distance of rows") {
  Shape const together{2, 3, 16, {9, 1, 17, 2}};
  Shape const apart{2, 3, 16, {9, 1, 17, 2}, 1.0F, 5};
  auto const expected = Data(together).attend(1);
  CHECK(Data(together).attend(3) == expected);
  CHECK(Data(apart).attend(1) == expected);
}

TEST_CASE("attention of activations that do not belong together is an error") {
  naive::Activations q(1, 3, 12, 0, 1), other(1, 3, 12, 4, 1), wide(1, 3, 16, 0, 1);
  std::vector<std::size_t> const offsets{0, 3};
  Runtime runtime(1);
  CHECK_THROWS_AS(layers::attention(q.view(), other.view(), q.view(), offsets, 3, runtime), Error);
  CHECK_THROWS_AS(layers::attention(q.view(), q.view(), wide.view(), offsets, 3, runtime), Error);
  CHECK_THROWS_WITH_AS(layers::attention(q.view(), q.view(), q.view(), offsets, 5, runtime),
                       doctest::Contains("attention of 5 heads"), Error);
  naive::Activations two(2, 3, 12, 0, 1);
  CHECK_THROWS_WITH_AS(layers::attention(two.view(), q.view(), q.view(), offsets, 3, runtime),
                       doctest::Contains("have 2, 1 and 1 lanes"), Error);
  std::vector<std::size_t> const beyond{0, 4}, none;
  CHECK_THROWS_WITH_AS(layers::attention(q.view(), q.view(), q.view(), beyond, 3, runtime),
                       doctest::Contains("ends that lie beyond"), Error);
  for (auto const& [queries, keys] : {std::pair{beyond, offsets}, std::pair{offsets, beyond}}) {
    CHECK_THROWS_WITH_AS(layers::attention(q.view(), queries, q.view(), q.view(), keys, 3, runtime),
                         doctest::Contains("ends that lie beyond"), Error);
  }
  CHECK_THROWS_WITH_AS(layers::attention(q.view(), q.view(), q.view(), none, 3, runtime),
                       doctest::Contains("with 0 and 0 ends"), Error);
}

TEST_CASE("what stands before and does not belong to the queries is an error") {
  naive::Activations own(2, 3, 12, 0, 1), wide(2, 2, 16, 0, 1), two(2, 2, 12, 0, 1), other(2, 4, 12, 0, 1),
      one(1, 2, 12, 0, 1), three(3, 2, 12, 0, 1), apart(2, 2, 12, 4, 1);
  std::vector<std::size_t> const offsets{0, 3};
  Runtime runtime(1);
  auto const attend = [&](layers::KeyValues const& past) {
    layers::attention(own.view(), offsets, own.view(), own.view(), offsets, 3, runtime, past);
  };
  CHECK_NOTHROW(attend({two.view(), two.view()}));
  CHECK_NOTHROW(attend({one.view(), one.view()}));
  CHECK_THROWS_WITH_AS(attend({wide.view(), two.view()}),
                       doctest::Contains("what came before has 16 and 12 columns"), Error);
  CHECK_THROWS_WITH_AS(attend({two.view(), other.view()}), doctest::Contains("2 and 4 rows"), Error);
  CHECK_THROWS_WITH_AS(attend({two.view(), one.view()}), doctest::Contains("2 and 1 lanes"), Error);
  CHECK_THROWS_WITH_AS(attend({three.view(), three.view()}),
                       doctest::Contains("Q has 12 columns and 2 lanes"), Error);
  CHECK_THROWS_AS(attend({two.view(), apart.view()}), Error);
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
