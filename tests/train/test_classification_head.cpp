// SPDX-License-Identifier: Apache-2.0
// Classification by a head: examples, the start from class means, steps on features, a directory that is
// loaded again.
#include "temporary_folder.hpp"
#include "toy_prompt.hpp"
#include <pocketllm/io/save_classifier.hpp>
#include <pocketllm/models/bert.hpp>
#include <pocketllm/models/class_head.hpp>
#include <pocketllm/train/classification_head.hpp>
#include <pocketllm/train/features.hpp>
#include <pocketllm/train/head_start.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

namespace test_classification_head {

using namespace pocketllm;

namespace {

using Bert = models::Bert<float>;
using Head = train::ClassificationHead<toy::Characters>;
using Texts = std::vector<std::string>;

Head make_head(std::size_t classes) { return {toy::tokenizer, classes, 12}; }

Bert headless(bool pooler = false) {
  auto const folder = golden::path_of("models/data/bert_headless");
  auto config = Bert::Config::from_json(io::read_object(folder / "config.json"));
  config.pooler = pooler;
  Bert model(config);
  io::fill(model, io::Checkpoint::open(folder));
  return model;
}

/// Three clouds in five dimensions, `each` points of each; the last number is the same but for rounding.
train::Features clouds(std::size_t each, float spread) {
  train::Features features{5, {}, {}};
  for (std::size_t i = 0; i < 3 * each; ++i) {
    std::size_t const c = i % 3;
    for (std::size_t k = 0; k < 4; ++k) {
      auto const noise =
          static_cast<float>(static_cast<std::int64_t>(random::split_mix(9, 4 * i + k)) >> 40) * 0x1p-23F;
      features.values.push_back((k == c ? 3.0F : 1.0F) + spread * noise);
    }
    features.values.push_back(7.0F + (i % 2 == 0 ? 1e-6F : 0.0F));
    features.labels.push_back(c);
  }
  return features;
}

std::size_t nearest_mean(train::Features const& features, std::size_t example, std::size_t classes) {
  std::vector<double> distances;
  for (std::size_t c = 0; c < classes; ++c) {
    double distance = 0.0;
    for (std::size_t k = 0; k < features.width; ++k) {
      double mean = 0.0, count = 0.0;
      for (std::size_t i = 0; i < features.size(); ++i) {
        mean += features.labels[i] == c ? static_cast<double>(features.row(i)[k]) : 0.0;
        count += features.labels[i] == c ? 1.0 : 0.0;
      }
      double const difference = static_cast<double>(features.row(example)[k]) - mean / count;
      distance += difference * difference;
    }
    distances.push_back(distance);
  }
  return static_cast<std::size_t>(std::min_element(distances.begin(), distances.end()) - distances.begin());
}

std::vector<std::size_t> predictions(train::LinearClassifier const& head, train::Features const& features) {
  Runtime runtime(1);
  Workspace::Frame const frame(runtime.workspace());
  auto const scores = head.scores({features.values.data(), 1, features.size(), features.width},
                                  random::unperturbed(), runtime);
  std::vector<std::size_t> best;
  for (std::size_t r = 0; r < scores.rows; ++r) {
    best.push_back(static_cast<std::size_t>(
        std::max_element(scores.row(0, r), scores.row(0, r) + scores.cols) - scores.row(0, r)));
  }
  return best;
}

double loss_of(train::LinearClassifier const& head, train::Features const& features) {
  Runtime runtime(1);
  Workspace::Frame const frame(runtime.workspace());
  auto const scores = head.scores({features.values.data(), 1, features.size(), features.width},
                                  random::unperturbed(), runtime);
  return static_cast<double>(train::mean_cross_entropy(scores, features.labels).front());
}

} // namespace

TEST_CASE("one text or a pair, cut and framed; of a pair the longer one is cut") {
  Head const head = make_head(3);
  auto const one = head.encode(Texts{"abcdefghijklmnop"}, 2);
  CHECK(one.ids.size() == 12);
  CHECK((one.ids.front() == 0 && one.ids.back() == 2 && one.label == 2));
  CHECK(one.types == std::vector<std::int32_t>(12, 0));
  auto const pair = head.encode(Texts{"abcdefghijkl", "xy"}, 0);
  CHECK(toy::tokenizer.decode(std::span(pair.ids).subspan(1, 7)) == "abcdefg");
  CHECK(toy::tokenizer.decode(std::span(pair.ids).subspan(9, 2)) == "xy");
  CHECK(pair.ids.size() == 12);
  CHECK(test::error_of([&] { static_cast<void>(head.encode(Texts{"a"}, 3)); }) ==
        "there is no class 3; there are 3");
  CHECK(test::error_of([&] {
          static_cast<void>(head.encode(Texts{"a", "b", "c"}, 0));
        }) == "a sentence encoder reads one text or a pair, not 3 texts");
  CHECK(test::error_of([&] { static_cast<void>(make_head(1)); }) ==
        "a classifier needs at least two classes, not 1");
  Head const narrow(toy::tokenizer, 2, 2);
  CHECK(test::error_of([&] {
          static_cast<void>(narrow.encode(Texts{"a"}, 0));
        }).find("takes 2 tokens of the 2") != std::string::npos);
}

TEST_CASE("the token types of BERT's pairs") {
  text::Framing const framing{{2}, {3}, {2}, {3}, {3}, 1};
  auto const pair = text::frame(framing, std::vector<std::int32_t>{7, 8}, std::vector<std::int32_t>{9});
  CHECK(pair.ids == std::vector<std::int32_t>{2, 7, 8, 3, 9, 3});
  CHECK(pair.types == std::vector<std::int32_t>{0, 0, 0, 0, 1, 1});
}

TEST_CASE("the head of class means chooses the nearest mean, and is no surer than new examples allow") {
  for (float const spread : {0.1F, 3.0F}) {
    train::Features const features = clouds(9, spread);
    auto const head = train::class_mean_head(features, 3);
    auto const found = predictions(head, features);
    for (std::size_t i = 0; i < features.size(); ++i) {
      CHECK(found[i] == nearest_mean(features, i, 3));
    }
  }
  train::Features missing = clouds(2, 0.1F);
  std::replace(missing.labels.begin(), missing.labels.end(), std::size_t{2}, std::size_t{1});
  CHECK(test::error_of([&] { static_cast<void>(train::class_mean_head(missing, 3)); }) ==
        "class 2 has no example; give at least one of each class");
  // Labels by chance: the means tell nothing, so a head that was sure of itself would be wrong on new
  // examples.
  train::Features chance = clouds(9, 3.0F);
  for (std::size_t i = 0; i < chance.size(); ++i) {
    chance.labels[i] = random::split_mix(4, i) % 3;
  }
  CHECK(loss_of(train::class_mean_head(chance, 3), chance) > 0.5);
}

TEST_CASE(
    "steps on features lower the loss from either start, with the same bits for any number of threads") {
  train::Features const features = clouds(20, 2.5F);
  train::StopFlag const stop;
  for (bool const means : {true, false}) {
    train::LinearClassifier start =
        means ? train::class_mean_head(features, 3) : train::LinearClassifier(3, 5);
    std::vector<std::vector<float>> weights;
    for (std::size_t const threads : {1U, 3U}) {
      train::LinearClassifier head = start;
      Runtime runtime(threads);
      auto const outcome = train::train_head(head, features, {.steps = 600, .learning_rate = 0.03F},
                                             random::Gaussian{}, stop, runtime);
      CHECK(outcome.reason == train::Outcome::Reason::finished);
      CHECK(loss_of(head, features) < (means ? 0.97 : 0.8) * loss_of(start, features));
      auto const values = head.layer.weight.values();
      weights.emplace_back(values.begin(), values.end());
      for (std::size_t c = 0; c < 3; ++c) { // what hardly varies gets no weight to speak of
        CHECK(std::abs(values[c * 5 + 4]) < 1.0F);
      }
    }
    CHECK(weights[0] == weights[1]);
  }
}

TEST_CASE("weight decay keeps a head small that examples alone would let grow") {
  train::Features const features = clouds(4, 2.5F);
  train::StopFlag const stop;
  Runtime runtime(1);
  auto const size_with = [&](float decay) {
    train::LinearClassifier head(3, 5);
    train::train_head(head, features, {.steps = 600, .learning_rate = 0.03F, .weight_decay = decay},
                      random::Gaussian{}, stop, runtime);
    double squares = 0.0;
    for (float const value : head.layer.weight.values()) {
      squares += static_cast<double>(value) * static_cast<double>(value);
    }
    return squares;
  };
  CHECK(size_with(0.2F) < 0.7 * size_with(0.0F));
  CHECK(size_with(2.0F) < 0.5 * size_with(0.2F));
}

TEST_CASE("no steps leave the head where it was") {
  train::Features const features = clouds(5, 1.0F);
  train::LinearClassifier const start = train::class_mean_head(features, 3);
  train::LinearClassifier head = start;
  Runtime runtime(1);
  train::StopFlag const stop;
  train::train_head(head, features, {.steps = 0}, random::Gaussian{}, stop, runtime);
  CHECK(loss_of(head, features) == doctest::Approx(loss_of(start, features)).epsilon(1e-5));
}

TEST_CASE("features are what the head of the whole model sees") {
  for (auto const pooling : {models::Pooling::mean, models::Pooling::first_token}) {
    Bert model = models::with_class_head(headless(pooling == models::Pooling::first_token), 3, pooling);
    Head const objective = make_head(3);
    std::vector<Head::Example> const examples{
        {{0, 10, 11, 2}, {}, 0}, {{0, 12, 2}, {}, 1}, {{0, 13, 14, 15, 2}, {}, 2}};
    Runtime runtime(2);
    auto const features = train::make_features(objective, model, pooling, std::span(examples), 2, runtime);
    train::class_mean_head(features, 3).copy_to(model.class_layer());
    auto const whole = train::evaluate(objective, model, examples, 2, runtime);
    CHECK(whole.loss ==
          doctest::Approx(loss_of(train::class_mean_head(features, 3), features)).epsilon(1e-5));
    CHECK(whole.labels == features.labels);
  }
}

TEST_CASE("a saved classifier is loaded again, with the names of its classes") {
  std::vector<std::string> const names{"ham", "spam", "eggs"};
  auto const source = golden::path_of("models/data/bert_headless");
  for (auto const pooling : {models::Pooling::mean, models::Pooling::first_token}) {
    Bert model = models::with_class_head(headless(pooling == models::Pooling::first_token), 3, pooling);
    std::fill_n(model.class_layer().weight.mutable_data(), model.class_layer().weight.size(), 0.25F);
    bool const mean = pooling == models::Pooling::mean;
    test::TemporaryFolder folder;
    io::ClassifierConfig const head{mean ? "BertModel" : "BertForSequenceClassification", names,
                                    models::pooling_key, mean ? "mean" : ""};
    io::save_classifier(model, folder.path() / "out/", {source, {}}, head);
    io::save_classifier(model, folder.path() / "out/", {source, {}}, head); // in the place of another
    CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 1); // nothing else is left
    io::Json const config = io::read_object(folder.path() / "out/config.json");
    CHECK(io::class_names(config) == names);
    Bert const again = io::load<Bert>(folder.path() / "out");
    CHECK(again.config().pooling == pooling);
    CHECK(again.config().classes == 3);
    Runtime runtime(1);
    models::Batch batch;
    batch.add(std::vector<std::int32_t>{5, 6, 7});
    Workspace::Frame const frame(runtime.workspace());
    auto const a = model.class_scores(batch, random::unperturbed(), runtime);
    auto const b = again.class_scores(batch, random::unperturbed(), runtime);
    CHECK(std::equal(a.row(0, 0), a.row(0, 0) + 3, b.row(0, 0)));
  }
}

TEST_CASE("two classes of one name are not saved") {
  test::TemporaryFolder const folder;
  std::vector<std::string> const names{"ham", "spam", "ham"};
  Bert const model = models::with_class_head(headless(), 3, models::Pooling::mean);
  CHECK_THROWS_WITH_AS(io::save_classifier(model, folder.path() / "out",
                                           {golden::path_of("models/data/bert_headless"), {}},
                                           {"BertModel", names, models::pooling_key, "mean"}),
                       doctest::Contains("two classes are called \"ham\""), Error);
  CHECK(std::filesystem::is_empty(folder.path()));
}

TEST_CASE("a model without a pooler cannot pool its first token") {
  CHECK(test::error_of([] {
          static_cast<void>(models::with_class_head(headless(), 2, models::Pooling::first_token));
        }) == "the model has no bert.pooler.dense.weight to start a classifier from; pool the mean instead");
}

} // namespace test_classification_head
