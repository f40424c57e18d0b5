// SPDX-License-Identifier: Apache-2.0
// LoRA: against `peft`, as files, as a part of the weights, and in training.
#include "golden.hpp"
#include "models/written_at.hpp"
#include "temporary_folder.hpp"
#include <pocketllm/io/load.hpp>
#include <pocketllm/layers/lora.hpp>
#include <pocketllm/models/opt.hpp>
#include <pocketllm/models/roberta.hpp>
#include <pocketllm/optimize/estimator.hpp>
#include <pocketllm/optimize/selection.hpp>
#include <pocketllm/optimize/update_rule.hpp>
#include <pocketllm/train/peft.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <fstream>
#include <numeric>
#include <string>
#include <vector>

namespace test_lora {

using namespace pocketllm;
using golden::Json;
using layers::Lora;

namespace {

template <class W>
using Opt = models::Opt<W>;

std::filesystem::path const base = golden::path_of("models/data/opt_pre");
std::filesystem::path const adapter = golden::path_of("train/data/peft");

struct Case {
  std::vector<std::int32_t> ids;
  std::vector<float> logits;

  Case() {
    Json const json = io::read_object(adapter / "golden.json");
    ids = json.at("input_ids").get<std::vector<std::int32_t>>();
    logits = json.at("logits").get<std::vector<float>>();
  }
};

/// Gaussian noise of a user's own type, whose kernels are compiled with this file.
struct OwnGaussian : random::Gaussian {};

template <class Model, class P = random::Gaussian>
std::vector<float> scores(Model const& model, std::vector<std::int32_t> const& ids, std::size_t threads = 1,
                          random::Perturbed<P> const& at = random::unperturbed(),
                          Activations activations = Activations::f32) {
  models::CausalBatch batch;
  batch.add(ids);
  std::vector<std::size_t> rows(ids.size());
  std::iota(rows.begin(), rows.end(), std::size_t{0});
  Runtime runtime(threads, activations);
  Workspace::Frame const frame(runtime.workspace());
  return golden::copy(model.word_scores(batch, rows, at, runtime));
}

} // namespace

TEST_CASE("an adapter that peft wrote gives peft's logits, beside the weights and as a part of them") {
  Case const expected;
  auto model = io::load<Opt<Lora<float>>>(base);
  CHECK(train::load_adapter(model, adapter) == 9); // three layers of three
  CHECK(golden::relative_error(scores(model, expected.ids), expected.logits) < golden::tolerance);
  CHECK(scores(model, expected.ids, 3) == scores(model, expected.ids));

  test::TemporaryFolder const folder;
  train::save_adapter(model, folder.path() / "again", {"opt_pre"});
  auto again = io::load<Opt<Lora<float>>>(base);
  CHECK(train::load_adapter(again, folder.path() / "again") == 9);
  CHECK(scores(again, expected.ids) == scores(model, expected.ids));

  Runtime runtime(2);
  layers::merge_lora(again, runtime);
  CHECK(tensor::parameter_count(again) == tensor::parameter_count(io::load<Opt<float>>(base)));
  CHECK(golden::relative_error(scores(again, expected.ids), expected.logits) < golden::tolerance);
}

TEST_CASE("kernels of a user's own noise agree with those that were compiled for the machine") {
  Case const expected;
  auto model = io::load<Opt<Lora<float>>>(base);
  train::load_adapter(model, adapter);
  auto const plain = io::load<Opt<float>>(base);
  auto const coded = io::load<Opt<Lora<i8>>>(base);
  std::vector<random::Point> const points{{5, 1e-2F}, {5, -1e-2F}, random::origin};
  for (std::size_t const threads : {1U, 2U}) {
    auto const gaussian = random::perturb(random::Gaussian{}, points);
    auto const own = random::perturb(OwnGaussian{}, points);
    CHECK(golden::relative_error(scores(model, expected.ids, threads, own),
                                 scores(model, expected.ids, threads, gaussian)) < golden::tolerance);
    CHECK(golden::relative_error(scores(plain, expected.ids, threads, own),
                                 scores(plain, expected.ids, threads, gaussian)) < golden::tolerance);
    // codes of activations have another layout for each kernel, and without fused multiply-adds now and then
    // another value
    CHECK(golden::relative_error(scores(coded, expected.ids, threads, own, Activations::i8),
                                 scores(coded, expected.ids, threads, gaussian, Activations::i8)) < 1e-2);
  }
}

TEST_CASE("a new term changes nothing, and only terms are trained") {
  Case const expected;
  auto const plain = io::load<Opt<float>>(base);
  auto model = io::load<Opt<Lora<float>>>(base);
  CHECK(layers::add_lora(model, {.rank = 4, .targets = "*.q_proj, *.v_proj"}) == 6);
  CHECK(scores(model, expected.ids) == scores(plain, expected.ids));
  std::size_t const width = 32, rank = 4;
  CHECK(optimize::select_trained(model, "*.lora_?.weight") == 6 * 2 * rank * width);

  // two steps: only the terms move; B moves in the first, so A has a gradient in the second
  auto const before = scores(model, expected.ids);
  Runtime runtime(1);
  optimize::TwoPoint const estimator{1e-3F, 5};
  optimize::Sgd const update{.learning_rate = 1e-2F};
  random::Gaussian const gaussian;
  for (std::uint64_t step = 0; step < 2; ++step) {
    auto const points = estimator.points(step);
    auto const at = random::perturb(gaussian, points);
    auto const s = scores(model, expected.ids, 1, at);
    REQUIRE(s.size() == 2 * before.size());
    std::vector<float> const losses{s[7], s[before.size() + 7]};
    CHECK(losses[0] != losses[1]);
    update(model, gaussian, estimator.gradient(points, losses), runtime);
  }
  CHECK(scores(model, expected.ids) != before);
  std::vector<std::vector<float>> frozen;
  plain.for_each_tensor([&](auto const& t) { frozen.emplace_back(t.values().begin(), t.values().end()); });
  std::size_t i = 0;
  model.for_each_tensor([&](auto const& t) {
    if (t.name().find(".lora_") == std::string::npos) {
      CHECK(std::equal(t.values().begin(), t.values().end(), frozen.at(i).begin()));
      ++i;
    }
  });
  CHECK(i == frozen.size());
}

TEST_CASE("a base of 8 or 4 bits under an adapter is near the model of floats under it") {
  Case const expected;
  auto eight = io::load<Opt<Lora<i8>>>(base);
  train::load_adapter(eight, adapter);
  CHECK(golden::relative_error(scores(eight, expected.ids), expected.logits) < 0.05);
  auto four = io::load<Opt<Lora<i4>>>(base);
  train::load_adapter(four, adapter);
  double const error = golden::relative_error(scores(four, expected.ids), expected.logits);
  CHECK(error < 0.5);
  CHECK(error > 0.05);
  Runtime runtime(1);
  CHECK_THROWS_WITH_AS(layers::merge_lora(eight, runtime), doctest::Contains("8 or 4 bits"), Error);
  CHECK_THROWS_WITH_AS(optimize::select_trained(eight, "*"), doctest::Contains("train an adapter"), Error);
}

TEST_CASE("terms stand beside the layers of an encoder too") {
  auto model = io::load<models::Roberta<Lora<f16>>>(golden::path_of("models/data/tied"));
  std::size_t const all = layers::add_lora(model, {});
  CHECK(all == 6 * model.config().encoder.layers + 1); // and the head's
}

TEST_CASE("what is no adapter for the model is an error that says why") {
  auto model = io::load<Opt<Lora<float>>>(base);
  test::TemporaryFolder const folder;
  CHECK_THROWS_WITH_AS(train::save_adapter(model, folder.path() / "none", {}),
                       doctest::Contains("no LoRA terms"), Error);
  CHECK_THROWS_WITH_AS(layers::add_lora(model, {.targets = "*.q_proj,*.query"}),
                       doctest::Contains("\"*.query\""), Error);
  CHECK_THROWS_WITH_AS(train::save_adapter(model, folder.path() / "none", {}), // no term of the other pattern
                       doctest::Contains("no LoRA terms"), Error);
  CHECK_THROWS_WITH_AS(layers::add_lora(model, {.rank = 0}), doctest::Contains("rank 0"), Error);
  auto other = io::load<Opt<Lora<float>>>(golden::path_of("models/data/opt_bare"));
  CHECK_THROWS_AS(train::load_adapter(other, adapter), Error);

  auto const with = [&](std::string const& key, Json const& value) {
    std::filesystem::copy(adapter, folder.path() / key, std::filesystem::copy_options::recursive);
    Json config = io::read_object(adapter / "adapter_config.json");
    config[key] = value;
    std::ofstream(folder.path() / key / "adapter_config.json") << config;
    auto fresh = io::load<Opt<Lora<float>>>(base);
    train::load_adapter(fresh, folder.path() / key);
  };
  CHECK_THROWS_WITH_AS(with("peft_type", "IA3"), doctest::Contains("\"IA3\"; supported is"), Error);
  CHECK_THROWS_WITH_AS(with("use_dora", true), doctest::Contains("use_dora"), Error);
  CHECK_THROWS_WITH_AS(with("bias", "all"), doctest::Contains("bias"), Error);
  CHECK_THROWS_WITH_AS(with("modules_to_save", {"lm_head"}), doctest::Contains("modules_to_save"), Error);
  CHECK_THROWS_WITH_AS(with("lora_alpha", "seven"), doctest::Contains("adapter_config.json"), Error);
}

} // namespace test_lora
