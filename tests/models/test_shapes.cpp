// SPDX-License-Identifier: Apache-2.0
// RoBERTa at the width of RoBERTa-large, where matrices are read in several pieces and rows of activations
// lie apart, against loops in double; and those loops against transformers.
#include "models/naive_roberta.hpp"
#include "models/roberta_case.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <numeric>
#include <span>
#include <string>
#include <vector>

namespace test_shapes {

using namespace pocketllm;
using roberta::Examples;

namespace {

/// All scores at all tokens of the batch by the naive twin.
std::vector<float> naive_scores(models::Roberta<float> const& model, models::Batch const& batch) {
  naive::Roberta const twin(model);
  std::vector<float> scores;
  for (std::size_t s = 0; s < batch.size(); ++s) {
    for (auto const& row : twin.word_scores(batch.ids(s))) {
      for (double const score : row) {
        scores.push_back(static_cast<float>(score));
      }
    }
  }
  return scores;
}

std::vector<float> scores_of(models::Roberta<float> const& model, models::Batch const& batch,
                             std::span<random::Point const> points) {
  Runtime runtime(2);
  Workspace::Frame const frame(runtime.workspace());
  std::vector<std::size_t> rows(batch.tokens());
  std::iota(rows.begin(), rows.end(), std::size_t{0});
  auto const at = random::perturb(random::Rademacher{}, points);
  return roberta::copy(model.word_scores(batch, rows, {}, at, runtime));
}

/// One layer of RoBERTa-large with a short vocabulary and random weights.
models::Roberta<float> one_large_layer() {
  models::RobertaConfig config;
  config.encoder = {.layers = 1, .width = 1024, .heads = 16, .feed_forward = 1024};
  config.vocabulary = 70;
  config.positions = 20;
  models::Roberta<float> model(config);
  model.for_each_tensor([](auto& w) {
    w.allocate();
    float* const values = w.mutable_data();
    bool const gain = w.name().ends_with("orm.weight");
    float const scale = w.shape().size() == 1 ? 0.4F : 2.0F / std::sqrt(static_cast<float>(w.cols()));
    for (std::size_t i = 0; i < w.size(); ++i) {
      auto const fraction = static_cast<std::int64_t>(random::split_mix(w.key(), i)) >> 40; // of 2^23
      values[i] = (gain ? 1.0F : 0.0F) + scale * static_cast<float>(fraction) * 0x1p-23F;
    }
  });
  return model;
}

} // namespace

TEST_CASE("the naive RoBERTa is that of transformers") {
  for (std::string const name : {"tied", "untied", "odd", "wide"}) {
    CAPTURE(name);
    auto const model = roberta::load<float>(name);
    golden::Tensors const tensors(roberta::folder(name) / "golden.safetensors");
    for (auto const& json : roberta::batches(name)) {
      Examples const examples(json);
      auto const expected = tensors.rows(json.at("name").get<std::string>() + ".logits", examples.places);
      CHECK(golden::relative_error(naive_scores(model, examples.tokens), expected) < 1e-6);
    }
  }
}

TEST_CASE("a layer of RoBERTa-large's width is the naive one, in its second lane") {
  auto const model = one_large_layer();
  models::Batch batch;
  batch.add(std::vector<std::int32_t>{0, 5, 69, 2});
  batch.add(std::vector<std::int32_t>{0, 2});
  std::vector<random::Point> const points{random::origin, {7, 0.01F}};
  auto const lanes = scores_of(model, batch, points);
  auto const twin = roberta::written_at(model, random::Rademacher{}, points[1]);
  auto const found = std::span(lanes).subspan(lanes.size() / 2);
  CHECK(golden::relative_error(found, naive_scores(twin, batch)) <= golden::tolerance);
}

} // namespace test_shapes
