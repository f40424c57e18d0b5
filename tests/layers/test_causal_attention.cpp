// SPDX-License-Identifier: Apache-2.0
// Causal attention against loops in double, and the same bits for rows in one piece and in several.
#include "layers/naive_layers.hpp"
#include <pocketllm/layers/causal_attention.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

using namespace pocketllm;

namespace {

constexpr std::size_t lanes = 2;

/// A row of one lane: K and V of a head.
struct Seen {
  float const* k;
  float const* v;
};

/// softmax(q K^T / sqrt(width)) V for one query and the rows that it sees.
std::vector<double> naive(float const* q, std::vector<Seen> const& rows, std::size_t width) {
  std::vector<double> weights, result(width);
  for (Seen const& row : rows) {
    double sum = 0.0;
    for (std::size_t e = 0; e < width; ++e) {
      sum += static_cast<double>(q[e]) * static_cast<double>(row.k[e]);
    }
    weights.push_back(std::exp(sum / std::sqrt(static_cast<double>(width))));
  }
  double const total = std::accumulate(weights.begin(), weights.end(), 0.0);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    for (std::size_t e = 0; e < width; ++e) {
      result[e] += weights[i] / total * static_cast<double>(rows[i].v[e]);
    }
  }
  return result;
}

/// A batch: lengths of its sequences, whom they continue, which rows are queries, and rows before all.
struct Shape {
  std::size_t heads, head_width;
  std::vector<std::size_t> lengths;
  std::vector<std::size_t> prompts = {};
  std::size_t past = 0;
  bool past_shared = false; ///< one lane of it for all
  std::size_t every = 1;    ///< each so many'th row is a query
};

struct Data {
  Shape s;
  std::vector<std::size_t> offsets{0}, places;
  naive::Activations q, k, v, past_k, past_v;

  explicit Data(Shape shape) : s(std::move(shape)), q(1, 1, 1, 0, 0), k(q), v(q), past_k(q), past_v(q) {
    for (std::size_t const length : s.lengths) {
      offsets.push_back(offsets.back() + length);
    }
    for (std::size_t row = s.every - 1; row < offsets.back(); row += s.every) {
      places.push_back(row);
    }
    std::size_t const width = s.heads * s.head_width;
    q = {lanes, places.size(), width, 0, 1};
    k = {lanes, offsets.back(), width, 3, 2};
    v = {lanes, offsets.back(), width, 3, 3};
    past_k = {s.past_shared ? 1 : lanes, s.past, width, 5, 4};
    past_v = {s.past_shared ? 1 : lanes, s.past, width, 5, 5};
  }

  [[nodiscard]] layers::CausalRows rows() {
    return {offsets, places, s.prompts, {past_k.view(), past_v.view()}};
  }

  template <class A = simd::native>
  std::vector<float> attend(std::size_t threads) {
    Runtime runtime(threads);
    layers::causal_attention<A>(q.view(), {k.view(), v.view()}, rows(), s.heads, runtime);
    return q.values();
  }

  std::vector<double> expected() {
    std::vector<double> result;
    for (std::size_t l = 0; l < lanes; ++l) {
      for (std::size_t i = 0; i < places.size(); ++i) {
        for (std::size_t h = 0; h < s.heads; ++h) {
          auto const one = naive(q.view().row(l, i) + h * s.head_width, seen(l, places[i], h * s.head_width),
                                 s.head_width);
          result.insert(result.end(), one.begin(), one.end());
        }
      }
    }
    return result;
  }

private:
  std::vector<Seen> seen(std::size_t lane, std::size_t row, std::size_t column) {
    std::vector<Seen> rows;
    for (std::size_t i = 0; i < s.past; ++i) {
      rows.push_back({past_k.view().row(lane, i) + column, past_v.view().row(lane, i) + column});
    }
    std::size_t sequence = 0;
    while (offsets[sequence + 1] <= row) {
      ++sequence;
    }
    auto const add = [&](std::size_t from, std::size_t to) {
      for (std::size_t i = from; i < to; ++i) {
        rows.push_back({k.view().row(lane, i) + column, v.view().row(lane, i) + column});
      }
    };
    if (!s.prompts.empty() && s.prompts[sequence] != sequence) {
      add(offsets[s.prompts[sequence]], offsets[s.prompts[sequence] + 1]);
    }
    add(offsets[sequence], row + 1);
    return rows;
  }
};

} // namespace

TEST_CASE_TEMPLATE("causal attention is the naive one", A, POCKETLLM_TEST_WIDTHS) {
  std::vector<std::size_t> lengths(30);
  std::iota(lengths.begin(), lengths.end(), std::size_t{1});
  std::swap(lengths[3], lengths[20]);
  for (std::size_t const head_width : {6U, 16U, 64U}) {
    for (std::size_t const threads : {1U, 3U}) {
      for (Shape const& shape :
           {Shape{2, head_width, lengths}, Shape{3, head_width, {250, 3}}, // several blocks of queries
            Shape{2, head_width, lengths, {}, 0, false, 3}, Shape{2, head_width, {100, 9}, {}, 17},
            Shape{2, head_width, {1, 9}, {}, 40, true, 2},
            Shape{2, head_width, {20, 1, 3, 33, 1}, {0, 0, 0, 3, 3}, 7},
            Shape{1, head_width, {5, 130, 2}, {0, 0, 0}, 0, false, 2}}) {
        Data data(shape);
        auto const expected = data.expected();
        REQUIRE(naive::largest_difference(data.attend<A>(threads), expected) < 1e-6);
      }
    }
  }
}

TEST_CASE_TEMPLATE("what is seen may lie in one piece or in several", A, POCKETLLM_TEST_WIDTHS) {
  constexpr std::size_t prompt = 21, own = 120, width = 2 * 16;
  Data whole({2, 16, {prompt + own}});
  auto const expected = whole.attend<A>(1);
  auto const part = [&](naive::Activations& all, std::size_t first, std::size_t count) {
    Lanes<float> const view = all.view();
    naive::Activations rows(lanes, count, width, 0, 0);
    for (std::size_t l = 0; l < lanes; ++l) {
      for (std::size_t i = 0; i < count; ++i) {
        std::copy_n(view.row(l, first + i), width, rows.view().row(l, i));
      }
    }
    return rows;
  };
  Data again({2, 16, {prompt + own}});
  for (bool const as_past : {true, false}) {
    std::size_t const before = as_past ? prompt : 0;
    naive::Activations q = part(again.q, before, prompt + own - before),
                       k = part(again.k, before, prompt + own - before),
                       v = part(again.v, before, prompt + own - before), past_k = part(again.k, 0, before),
                       past_v = part(again.v, 0, before);
    std::vector<std::size_t> const offsets =
        as_past ? std::vector<std::size_t>{0, own} : std::vector<std::size_t>{0, prompt, prompt + own};
    std::vector<std::size_t> const prompts =
        as_past ? std::vector<std::size_t>{} : std::vector<std::size_t>{0, 0};
    std::vector<std::size_t> places(prompt + own - before);
    std::iota(places.begin(), places.end(), std::size_t{0});
    Runtime runtime(2);
    layers::causal_attention<A>(q.view(), {k.view(), v.view()},
                                {offsets, places, prompts, {past_k.view(), past_v.view()}}, 2, runtime);
    auto const found = q.values();
    for (std::size_t l = 0; l < lanes; ++l) {
      auto const rows = static_cast<std::ptrdiff_t>((prompt + own - before) * width);
      auto const from = static_cast<std::ptrdiff_t>((l * (prompt + own) + before) * width);
      CHECK(std::equal(expected.begin() + from, expected.begin() + from + rows,
                       found.begin() + static_cast<std::ptrdiff_t>(l) * rows));
    }
  }
}

TEST_CASE("causal attention of what does not belong together is an error") {
  Data data({2, 8, {4, 3}, {0, 0}, 2});
  Runtime runtime(1);
  layers::KeyValues const own{data.k.view(), data.v.view()};
  auto const attend = [&](layers::CausalRows const& rows, std::size_t heads) {
    layers::causal_attention(data.q.view(), own, rows, heads, runtime);
  };
  CHECK_NOTHROW(attend(data.rows(), 2));
  CHECK_THROWS_WITH_AS(attend(data.rows(), 3), doctest::Contains("causal attention of 3 heads"), Error);
  layers::KeyValues one_lane = own;
  one_lane.v.lanes = 1;
  CHECK_THROWS_AS(layers::causal_attention(data.q.view(), one_lane, data.rows(), 2, runtime), Error);
  auto rows = data.rows();
  rows.places = rows.places.first(3);
  CHECK_THROWS_AS(attend(rows, 2), Error);
  rows = data.rows();
  rows.offsets = rows.offsets.first(2);
  CHECK_THROWS_AS(attend(rows, 2), Error);
  rows = data.rows();
  naive::Activations narrow(lanes, 2, 8, 0, 4);
  rows.past = {narrow.view(), narrow.view()};
  CHECK_THROWS_WITH_AS(attend(rows, 2), doctest::Contains("what came before has 8 and 8 columns"), Error);
}
