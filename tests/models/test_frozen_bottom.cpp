// SPDX-License-Identifier: Apache-2.0
// Frozen layers that are computed once for all points, or were in an earlier step: the bits of a forward pass
// that computes everything at each point by itself.
#include "models/opt_case.hpp"
#include "temporary_folder.hpp"
#include <pocketllm/models/bert.hpp>
#include <pocketllm/models/roberta.hpp>
#include <pocketllm/optimize/selection.hpp>
#include <pocketllm/random/noise.hpp>
#include <pocketllm/tensor/some_layers.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace test_frozen_bottom {

using namespace pocketllm;

namespace {

using Rows = std::vector<std::size_t>;
constexpr float far = 0.05F;
std::vector<random::Point> const points{{7, far}, {7, -far}, {8, far}};

/// Three layers with random weights; with classes, a head on the pooled first token or on the mean.
template <class Model>
Model random_model(std::size_t classes = 0, models::Pooling pooling = models::Pooling::mean) {
  typename Model::Config config;
  config.encoder = {.layers = 3, .width = 24, .heads = 4, .feed_forward = 56};
  config.vocabulary = 50;
  config.positions = 30;
  config.classes = classes;
  config.pooling = pooling;
  Model model(config);
  model.for_each_tensor([]<class T>(tensor::Tensor<T>& w) {
    w.allocate();
    float const middle = w.name().ends_with("orm.weight") ? 1.0F : 0.0F;
    for (std::size_t i = 0; i < w.size(); ++i) {
      auto const fraction = static_cast<std::int64_t>(random::split_mix(w.key(), i)) >> 40; // of 2^23
      w.mutable_data()[i] = from_float<T>(middle + 0.4F * static_cast<float>(fraction) * 0x1p-23F);
    }
  });
  return model;
}

/// Sequences of 5, 1, 17 and 9 tokens, whichever `chosen` asks for.
models::Batch make_batch(Rows const& chosen = {0, 1, 2, 3}) {
  constexpr std::size_t lengths[] = {5, 1, 17, 9};
  models::Batch batch;
  for (std::size_t const s : chosen) {
    std::vector<std::int32_t> ids;
    for (std::size_t i = 0; i < lengths[s]; ++i) {
      ids.push_back(static_cast<std::int32_t>(2 + random::split_mix(s, i) % 48));
    }
    batch.add(ids);
  }
  return batch;
}

/// What a head makes of a batch, all lanes one behind the other.
struct WordScores {
  Rows rows{2, 5, 6, 30};
  template <class Model, random::Perturbation P>
  std::vector<float> operator()(Model const& model, models::Batch const& batch,
                                random::Perturbed<P> const& at, Runtime& runtime,
                                models::Bottom const& bottom = {}) const {
    Workspace::Frame const frame(runtime.workspace());
    return golden::copy(
        model.word_scores(batch, rows, std::vector<std::int32_t>{7, 40}, at, runtime, bottom));
  }
};
struct ClassScores {
  Rows rows{};
  template <class Model, random::Perturbation P>
  std::vector<float> operator()(Model const& model, models::Batch const& batch,
                                random::Perturbed<P> const& at, Runtime& runtime,
                                models::Bottom const& bottom = {}) const {
    Workspace::Frame const frame(runtime.workspace());
    return golden::copy(model.class_scores(batch, at, runtime, bottom));
  }
};

struct LogProbabilities {
  std::vector<models::Target> targets;
  Rows rows{};
  template <class Model, random::Perturbation P>
  std::vector<float> operator()(Model const& model, models::CausalBatch const& batch,
                                random::Perturbed<P> const& at, Runtime& runtime,
                                models::Bottom const& bottom = {}) const {
    Workspace::Frame const frame(runtime.workspace());
    return golden::copy(model.log_probabilities(batch, targets, at, runtime, bottom));
  }
};

/// With `trained` trained, all points together have the bits of each alone, and so they have from a bottom of
/// any number of layers up to `first`, the lowest trained one.
template <class Model, class Head, random::Perturbation P, class Batch = models::Batch>
void check(Model model, Head const& head, std::string const& trained, std::size_t first,
           P const& perturbation, Batch const& batch = make_batch()) {
  CAPTURE(trained);
  optimize::select_trained(model, trained);
  CHECK(model.first_trained_layer() == std::optional(first));
  for (std::size_t const threads : {1U, 2U}) {
    Runtime runtime(threads);
    std::vector<float> alone;
    for (auto const& point : points) {
      auto const one = head(model, batch, random::perturb(perturbation, std::span(&point, 1)), runtime);
      alone.insert(alone.end(), one.begin(), one.end());
    }
    auto const at = random::perturb(perturbation, std::span(points));
    CHECK(head(model, batch, at, runtime) == alone);
    for (std::size_t layers = 0; layers <= first; ++layers) {
      CAPTURE(layers);
      for (Rows const& rows :
           layers == model.layer_count() ? std::vector<Rows>{{}, head.rows} : std::vector<Rows>{{}}) {
        Workspace::Frame const frame(runtime.workspace());
        auto const bottom = model.bottom(batch, layers, rows, perturbation, runtime);
        CHECK((bottom.layers == layers && bottom.states.lanes == 1));
        CHECK(bottom.at_rows == !rows.empty());
        CHECK(bottom.states.rows == (rows.empty() ? batch.tokens() : rows.size()));
        CHECK(head(model, batch, at, runtime, bottom) == alone);
        CHECK(
            head(model, batch, random::perturb(perturbation, std::span(points).first(1)), runtime, bottom) ==
            std::vector(alone.begin(), alone.begin() + static_cast<std::ptrdiff_t>(alone.size() / 3)));
      }
    }
  }
}

template <tensor::WeightStorage T, random::Perturbation P>
void check_words(P const& perturbation, Rows rows = {2, 5, 6, 30}) {
  auto const model = random_model<models::Roberta<T>>();
  WordScores const head{std::move(rows)};
  check(model, head, "*.layer.0.*", 0, perturbation);
  check(model, head, "*.layer.1.output.dense.bias,lm_head.*", 1, perturbation);
  check(model, head, "*.layer.2.attention.*,*.layer.1.*", 1, perturbation);
  check(model, head, "*.layer.2.*,lm_head.*", 2, perturbation);
  check(model, head, "lm_head.*", 3, perturbation);
}

} // namespace

TEST_CASE("frozen layers are computed once for all points, or before, with the same bits") {
  check_words<float>(random::Gaussian{});
  check_words<float>(random::Rademacher{}, {30, 2, 2});
  check_words<f16>(random::Gaussian{});
}

TEST_CASE("so it is under a classification head, on the mean or on the first token") {
  for (auto const pooling : {models::Pooling::mean, models::Pooling::first_token}) {
    auto const model = random_model<models::Bert<float>>(3, pooling);
    bool const first = pooling == models::Pooling::first_token;
    ClassScores const head{first ? Rows{0, 5, 6, 23} : Rows{}};
    check(model, head, "*.layer.1.*", 1, random::Gaussian{});
    check(model, head, "*.layer.2.*,classifier.*", 2, random::Gaussian{});
    check(model, head, "classifier.*", 3, random::Gaussian{});
  }
}

TEST_CASE(
    "so it is in a decoder with its norms before, behind, and without weights, and under a shared prompt") {
  for (std::string const name : opt::cases) {
    CAPTURE(name);
    auto model = opt::load<float>(name);
    std::size_t const last = model.layer_count() - 1;
    models::CausalBatch batch = make_batch({0, 3});
    batch.add_behind(0, make_batch({0}).ids());
    auto const targets = opt::next_tokens(batch);
    LogProbabilities const head{targets};
    for (std::size_t first = 0; first <= last; ++first) {
      check(model, head, concat("*.layers.", first, ".*"), first, random::Gaussian{}, batch);
    }
  }
}

TEST_CASE("layers without noise are shared in a decoder as well, whatever stands around them") {
  for (std::string const name : opt::cases) {
    CAPTURE(name);
    auto const model = opt::load<float>(name);
    auto const targets = opt::next_tokens(make_batch({0, 3}));
    tensor::SomeLayers const one(model, 1);
    auto const perturbation = random::AnyPerturbation().shaped_by(one);
    bool shared = false;
    for (std::uint64_t step = 0; step < 8; ++step) {
      std::vector<random::Point> const at{{step << 32, far}, {step << 32, -far}};
      auto const together = random::perturb(perturbation, std::span(at));
      shared = shared || models::detail::shared_layers(model, together).has_value();
      Runtime runtime(1);
      auto const found = [&](auto const& where) {
        return LogProbabilities{targets}(model, models::CausalBatch(make_batch({0, 3})), where, runtime);
      };
      std::vector<float> alone;
      for (auto const& point : at) {
        auto const one_lane = found(random::perturb(perturbation, std::span(&point, 1)));
        alone.insert(alone.end(), one_lane.begin(), one_lane.end());
      }
      CHECK(found(together) == alone);
    }
    CHECK(shared);
  }
}

TEST_CASE("a decoder that reads on from a past computes everything anew") {
  auto model = opt::load<float>("pre");
  optimize::select_trained(model, "*.layers.2.*");
  Runtime runtime(1);
  std::vector<std::int32_t> const ids{5, 9, 17, 30, 6};
  auto cache = model.make_cache(ids.size());
  Workspace::Frame const frame(runtime.workspace());
  static_cast<void>(model.read(cache, std::span(ids).first(3), runtime));
  auto const in_parts = golden::copy(model.read(cache, std::span(ids).subspan(3), runtime));
  auto whole = model.make_cache(ids.size());
  CHECK(golden::copy(model.read(whole, ids, runtime)) == in_parts);
}

TEST_CASE("the states of a sequence do not depend on the batch that it is in") {
  auto const model = random_model<models::Roberta<float>>();
  Runtime runtime(1);
  Workspace::Frame const frame(runtime.workspace());
  auto const all = model.bottom(make_batch(), 3, {}, random::Gaussian{}, runtime).states;
  auto const other = model.bottom(make_batch({3, 0}), 3, {}, random::Gaussian{}, runtime).states;
  for (std::size_t r = 0; r < 9; ++r) {
    CHECK(std::vector(all.row(0, 23 + r), all.row(0, 23 + r) + 24) ==
          std::vector(other.row(0, r), other.row(0, r) + 24));
  }
  for (std::size_t r = 0; r < 5; ++r) {
    CHECK(std::vector(all.row(0, r), all.row(0, r) + 24) ==
          std::vector(other.row(0, 9 + r), other.row(0, 9 + r) + 24));
  }
}

TEST_CASE("layers without noise in a step are computed once for its points, with the same bits") {
  auto model = random_model<models::Roberta<float>>();
  for (std::string const trained : {"*", "*.layer.*", "*.layer.0.*,*.layer.2.*,lm_head.*"}) {
    CAPTURE(trained);
    optimize::select_trained(model, trained);
    tensor::SomeLayers const one(model, 1);
    auto const perturbation = random::AnyPerturbation().shaped_by(one);
    std::vector<bool> found(4); // numbers of layers that were shared; 0 for none
    for (std::uint64_t step = 0; step < 12; ++step) {
      std::uint64_t const seed = step << 32;
      std::vector<random::Point> const at{{seed | 1, far}, {seed | 1, -far}, {seed | 2, far}};
      auto const shared = models::detail::shared_layers(model, random::perturb(perturbation, at)).value_or(0);
      found.at(shared) = true;
      model.for_each_tensor([&](tensor::Tensor<float> const& w) { // no noise below, some in that layer
        std::array<float, random::block_cols> z;
        random::fill_row<simd::native>(perturbation, {seed | 1, w.key(), w.shape().size() == 1}, 0, 0,
                                       w.cols(), z.data());
        bool const silent = std::all_of(z.begin(), z.begin() + w.cols(), [](float x) { return x == 0.0F; });
        auto const layer = tensor::layer_of(w.name());
        bool const below = layer ? *layer < shared : w.name().find("embeddings") != std::string::npos;
        bool const moved = w.trained() && layer && *layer == shared && shared > 0;
        CHECK((!w.trained() || !below || shared == 0 || silent));
        CHECK((!moved || !silent));
      });
      Runtime runtime(1);
      std::vector<float> alone;
      for (auto const& point : at) {
        auto const scores =
            WordScores{}(model, make_batch(), random::perturb(perturbation, std::span(&point, 1)), runtime);
        alone.insert(alone.end(), scores.begin(), scores.end());
      }
      CHECK(WordScores{}(model, make_batch(), random::perturb(perturbation, std::span(at)), runtime) ==
            alone);
    }
    CHECK(found[2]);
    CHECK(found[0]);
  }
  CHECK_THROWS_WITH_AS(tensor::SomeLayers(model, 2), doctest::Contains("2 of the 2 layers"), Error);
  CHECK_THROWS_WITH_AS(tensor::SomeLayers(model, 0), doctest::Contains("at least one"), Error);
}

TEST_CASE("trained embeddings leave nothing frozen, and states that have become wrong are refused") {
  auto model = random_model<models::Roberta<float>>();
  Runtime runtime(1);
  Workspace::Frame const frame(runtime.workspace());
  models::Batch const batch = make_batch();
  CHECK(model.first_trained_layer() == std::nullopt);
  optimize::select_trained(model, "*word_embeddings*,lm_head.*");
  CHECK(model.first_trained_layer() == std::nullopt);
  auto const bottom = model.bottom(batch, 2, {}, random::Gaussian{}, runtime);
  auto const complaint = [&](models::Bottom const& given) {
    return test::error_of(
        [&] { static_cast<void>(WordScores{}(model, batch, random::unperturbed(), runtime, given)); });
  };
  std::string const trained = "the states behind 2 layers are given, of which one is trained, or the "
                              "embeddings are";
  CHECK(complaint(bottom) == trained);
  optimize::select_trained(model, "*.layer.1.*");
  CHECK(complaint(bottom) == trained);
  optimize::select_trained(model, "*.layer.2.*");
  CHECK(complaint(bottom) == "no error");
  models::Bottom const other{1, model.bottom(make_batch({0, 3}), 1, {}, random::Gaussian{}, runtime).states};
  CHECK(complaint(other) == "the states behind 1 layers are [1, 14, 24], and the batch has 32 tokens");
  CHECK(test::error_of([&] { static_cast<void>(model.bottom(batch, 4, {}, random::Gaussian{}, runtime)); }) ==
        "this RoBERTa has 3 layers, not 4");
}

} // namespace test_frozen_bottom
