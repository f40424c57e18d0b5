// SPDX-License-Identifier: Apache-2.0
// Log-probabilities over a vocabulary of several blocks against a softmax in double.
#include "layers/naive_layers.hpp"
#include <pocketllm/models/vocabulary_head.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace test_vocabulary_head {

using namespace pocketllm;
using models::Target;

namespace {

constexpr std::size_t vocabulary = 2500, width = 24, rows = 5; // two blocks of words and a part
std::vector<random::Point> const points{{3, 0.1F}, {3, -0.1F}, random::origin};

/// A table whose words' scores grow along the vocabulary (or fall): the largest is in the last block, or the
/// first, far above those of the others.
tensor::Tensor<float> table_of(bool growing) {
  auto table = naive::tensor_of<float>("words.weight", {vocabulary, width}, 1);
  for (std::size_t word = 0; word < vocabulary; ++word) {
    float const scale = static_cast<float>(growing ? word + 1 : vocabulary - word) / vocabulary;
    for (std::size_t i = 0; i < width; ++i) {
      table.mutable_data()[word * width + i] *= 3.0F * scale;
    }
  }
  return table;
}

std::vector<Target> const targets{{40, 0},    {40, 1023}, {41, 1024}, {55, 2047},
                                  {55, 2048}, {40, 2499}, {59, 7}};
std::vector<std::size_t> const wanted{40, 41, 50, 55, 59};

std::vector<float> found(naive::Activations& h, tensor::Tensor<float> const& table, std::size_t threads) {
  Runtime runtime(threads);
  std::vector<float> out(points.size() * targets.size());
  models::log_probabilities(h.view(), wanted, table, targets, random::perturb(random::Gaussian{}, points),
                            {out.data(), points.size(), targets.size(), 1}, runtime);
  return out;
}

double naive_log_p(float const* h, tensor::Tensor<float> const& table, random::Point point, std::int32_t id) {
  std::vector<double> scores;
  for (std::size_t word = 0; word < vocabulary; ++word) {
    auto const row = naive::row_at(table, random::Gaussian{}, point, word);
    double sum = 0.0;
    for (std::size_t i = 0; i < width; ++i) {
      sum += row[i] * static_cast<double>(h[i]);
    }
    scores.push_back(sum);
  }
  double const top = *std::max_element(scores.begin(), scores.end());
  double sum = 0.0;
  for (double const score : scores) {
    sum += std::exp(score - top);
  }
  return scores[static_cast<std::size_t>(id)] - top - std::log(sum);
}

} // namespace

TEST_CASE("log-probabilities over several blocks of words are the naive ones, for any threads") {
  for (bool const growing : {true, false}) {
    CAPTURE(growing);
    auto const table = table_of(growing);
    naive::Activations h(points.size(), rows, width, 0, 2, 2.0F);
    auto const values = found(h, table, 1);
    CHECK(found(h, table, 3) == values);
    for (std::size_t l = 0; l < points.size(); ++l) {
      for (std::size_t i = 0; i < targets.size(); ++i) {
        auto const place = std::find(wanted.begin(), wanted.end(), targets[i].row) - wanted.begin();
        double const expected =
            naive_log_p(h.view().row(l, static_cast<std::size_t>(place)), table, points[l], targets[i].id);
        CHECK(std::abs(static_cast<double>(values[l * targets.size() + i]) - expected) < 1e-5);
      }
    }
  }
}

TEST_CASE("a score that is not a number leaves no probability of its row one") {
  for (std::size_t const word : {5U, 1500U, 2499U}) {
    CAPTURE(word);
    auto table = table_of(true);
    table.mutable_data()[word * width] = std::numeric_limits<float>::quiet_NaN();
    naive::Activations h(points.size(), rows, width, 0, 2);
    for (float const value : found(h, table, 2)) {
      CHECK(std::isnan(value));
    }
  }
}

} // namespace test_vocabulary_head
