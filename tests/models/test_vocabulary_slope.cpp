// SPDX-License-Identifier: Apache-2.0
// Slopes of log-probabilities over a vocabulary of several blocks against a softmax in double.
#include "layers/naive_layers.hpp"
#include <pocketllm/models/vocabulary_slope.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace test_vocabulary_slope {

using namespace pocketllm;

namespace {

constexpr std::size_t vocabulary = 2500, width = 24, rows = 20; // two blocks of words and a part
std::vector<std::int32_t> const ids{0,    1023, 1024, 2047, 2048, 2499, 7, 7, 3, 1500,
                                    1501, 1502, 5,    6,    8,    9,    1, 2, 4, 2498};

/// A table whose words' scores grow along the vocabulary or fall: the largest is in the last block or the
/// first, and what earlier blocks added is scaled.
template <class T>
tensor::Tensor<T> table_of(bool growing) {
  auto table = naive::tensor_of<T>("words.weight", {vocabulary, width}, 1);
  for (std::size_t word = 0; word < vocabulary; ++word) {
    float const scale = 3.0F * static_cast<float>(growing ? word + 1 : vocabulary - word) / vocabulary;
    for (std::size_t i = 0; i < width; ++i) {
      T& value = table.mutable_data()[word * width + i];
      value = from_float<T>(scale * to_float(value));
    }
  }
  return table;
}

struct Found {
  double loss;
  std::vector<float> slopes; // [rows, width]
  friend bool operator==(Found const&, Found const&) = default;
};

template <class T>
Found found(naive::Activations& h, tensor::Tensor<T> const& table, std::size_t threads) {
  Runtime runtime(threads);
  std::vector<float> slopes(rows * width, 1e9F);
  double const loss =
      models::vocabulary_slopes(h.view(), table, ids, {slopes.data(), 1, rows, width}, runtime);
  return {loss, slopes};
}

template <class T>
Found naive_slopes(naive::Activations& h, tensor::Tensor<T> const& table) {
  Found result{0.0, std::vector<float>(rows * width)};
  auto const at = [&](std::size_t word, std::size_t i) {
    return static_cast<double>(to_float(table.row(word)[i]));
  };
  for (std::size_t r = 0; r < rows; ++r) {
    std::vector<double> p(vocabulary);
    for (std::size_t word = 0; word < vocabulary; ++word) {
      for (std::size_t i = 0; i < width; ++i) {
        p[word] += at(word, i) * static_cast<double>(h.view().row(0, r)[i]);
      }
    }
    double const top = *std::max_element(p.begin(), p.end());
    double const own = p[static_cast<std::size_t>(ids[r])];
    double sum = 0.0;
    for (double& value : p) {
      value = std::exp(value - top);
      sum += value;
    }
    result.loss += top + std::log(sum) - own;
    for (std::size_t i = 0; i < width; ++i) {
      double slope = -at(static_cast<std::size_t>(ids[r]), i);
      for (std::size_t word = 0; word < vocabulary; ++word) {
        slope += p[word] / sum * at(word, i);
      }
      result.slopes[r * width + i] = static_cast<float>(slope);
    }
  }
  return result;
}

} // namespace

TEST_CASE_TEMPLATE("slopes over several blocks of words are the naive ones, for any threads", T, float, f16) {
  for (bool const growing : {true, false}) {
    CAPTURE(growing);
    auto const table = table_of<T>(growing);
    naive::Activations h(1, rows, width, 0, 2, 2.0F);
    Found const values = found(h, table, 1), expected = naive_slopes(h, table);
    CHECK(found(h, table, 3) == values);
    CHECK(std::abs(values.loss / expected.loss - 1.0) < 1e-6);
    double error = 0.0, size = 0.0;
    for (std::size_t i = 0; i < values.slopes.size(); ++i) {
      error = std::max(error, std::abs(static_cast<double>(values.slopes[i] - expected.slopes[i])));
      size = std::max(size, std::abs(static_cast<double>(expected.slopes[i])));
    }
    CHECK(error < 1e-5 * size);
  }
}

TEST_CASE("slopes of words outside the table, or of other shapes, are refused") {
  auto const table = table_of<float>(true);
  naive::Activations h(1, rows, width, 0, 2);
  Runtime runtime(1);
  std::vector<float> slopes(rows * width);
  Lanes<float> const out{slopes.data(), 1, rows, width};
  auto wrong = ids;
  wrong.back() = static_cast<std::int32_t>(vocabulary);
  CHECK_THROWS_WITH_AS((void)models::vocabulary_slopes(h.view(), table, wrong, out, runtime),
                       "word 2500 is outside the vocabulary of 2500", Error);
  wrong.pop_back();
  CHECK_THROWS_AS((void)models::vocabulary_slopes(h.view(), table, wrong, out, runtime), Error);
}

} // namespace test_vocabulary_slope
