// SPDX-License-Identifier: Apache-2.0
// Greedy texts of a batch at a point: those of generate(), one by one, with weights that were perturbed in
// memory.
#include "opt_case.hpp"
#include <pocketllm/models/generate_batch.hpp>
#include <pocketllm/models/prefixed.hpp>
#include <pocketllm/tensor/update.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace test_generate_batch {

using namespace pocketllm;
using Ids = std::vector<std::int32_t>;
static_assert(models::GreedyModel<models::Opt<f16>>);
static_assert(models::GreedyModel<models::Prefixed<models::Opt<float>>>);

namespace {

std::vector<Ids> const prompts{
    {2, 7, 8, 9}, {2, 30}, {2, 44, 45, 46, 47, 48, 49}, {2, 7, 8, 10}, {2, 60, 61}};

std::vector<models::TextToContinue> to_continue(std::vector<Ids> const& guesses) {
  std::vector<models::TextToContinue> texts;
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    texts.push_back({prompts[i], guesses[i]});
  }
  return texts;
}

template <class Model>
std::vector<Ids> one_by_one(Model const& model, models::GenerateOptions const& options, Runtime& runtime) {
  std::vector<Ids> texts;
  for (Ids const& prompt : prompts) {
    texts.push_back(models::generate(model, prompt, options, runtime));
  }
  return texts;
}

/// Guesses of every kind: none, right, right at first, wrong, and longer than there is room for.
std::vector<Ids> guesses_of(std::vector<Ids> right) {
  right[0].clear();
  right[2][right[2].size() / 2] = 3;
  right[3].assign(5, 50);
  right[4].resize(30, 4);
  return right;
}

} // namespace

TEST_CASE("the likeliest words are those with the highest scores, at all points") {
  for (std::string const name : opt::cases) {
    CAPTURE(name);
    auto const model = opt::load<float>(name);
    Runtime runtime(2);
    Workspace::Frame const frame(runtime.workspace());
    auto const batch = opt::Examples(opt::batches(name).back()).tokens;
    std::vector<std::size_t> const rows{0, 2, batch.tokens() - 1};
    std::vector<random::Point> const points{{3, 0.3F}, {3, -0.3F}, random::origin};
    auto const at = random::perturb(random::Gaussian{}, points);
    Lanes<float> const scores = model.word_scores(batch, rows, at, runtime);
    Ids expected;
    for (std::size_t l = 0; l < scores.lanes; ++l) {
      for (std::size_t r = 0; r < scores.rows; ++r) {
        expected.push_back(models::choose_token({scores.row(l, r), scores.cols}, {}, 0));
      }
    }
    CHECK(model.likeliest_words(batch, rows, at, runtime) == expected);
  }
}

TEST_CASE("the likeliest words of a vocabulary of several blocks; of equal scores the first") {
  tensor::Tensor<float> table("words", {2500, 2});
  table.allocate();
  std::fill_n(table.mutable_data(), table.size(), 0.0F);
  auto const set = [&](std::size_t word, float a, float b) {
    table.mutable_data()[2 * word] = a;
    table.mutable_data()[2 * word + 1] = b;
  };
  set(5, 1.0F, 0.0F), set(1500, 1.0F, 0.0F), set(2499, 0.5F, 3.0F), set(1023, 0.0F, 2.0F);
  std::vector<float> h{1.0F, 0.0F, 0.0F, 1.0F, -1.0F, -1.0F};
  Runtime runtime(3);
  CHECK(models::likeliest_words(Lanes<float const>{h.data(), 1, 3, 2}, table, random::unperturbed(),
                                runtime) == Ids{5, 2499, 0});
}

TEST_CASE("texts of a batch are those of generate(), whatever was guessed") {
  for (std::string const name : opt::cases) {
    CAPTURE(name);
    auto const model = opt::load<float>(name);
    Runtime runtime(2);
    std::vector<Ids> const none(prompts.size());
    for (std::size_t const most : {1U, 6U, 100U}) {
      models::GenerateOptions options{.max_tokens = most};
      auto expected = one_by_one(model, options, runtime);
      auto const batch = [&](std::vector<Ids> const& guesses) {
        return models::generate_batch(model, to_continue(guesses), options, random::unperturbed(), runtime);
      };
      CHECK(batch(none) == expected);
      CHECK(batch(guesses_of(expected)) == expected);
      CHECK(batch(expected) == expected);
      options.eos = expected[1].back();
      options.on_token = [stop = expected[2].back()](std::int32_t id) { return id != stop; };
      auto const guessed = expected;
      expected = one_by_one(model, options, runtime);
      CHECK(expected[1].size() < most);
      CHECK(batch(none) == expected);
      CHECK(batch(guessed) == expected);
    }
  }
}

TEST_CASE("texts at a point are those of the model whose weights were perturbed in memory") {
  auto const model = opt::load<float>("pre");
  Runtime runtime(2);
  models::GenerateOptions const options{.max_tokens = 8};
  auto const plain = one_by_one(model, options, runtime);
  std::size_t changed = 0;
  for (random::Point const point : {random::Point{4, 0.05F}, {4, -0.05F}, {9, 0.2F}}) {
    auto const twin = golden::written_at<models::Opt<float>>(model, random::Gaussian{}, point);
    auto const expected = one_by_one(twin, options, runtime);
    changed += expected != plain ? 1 : 0;
    auto const at = random::perturb(random::Gaussian{}, std::span(&point, 1));
    for (auto const& guesses : {std::vector<Ids>(prompts.size()), guesses_of(expected), plain}) {
      CHECK(models::generate_batch(model, to_continue(guesses), options, at, runtime) == expected);
    }
  }
  CHECK(changed == 3);
}

TEST_CASE("behind a prefix as well") {
  Runtime runtime(2);
  Ids const start{2, 40, 50, 60};
  models::Prefixed<models::Opt<float>> model(opt::load<float>("pre"), start, runtime);
  std::vector<Ids> const none(prompts.size());
  auto const texts = to_continue(none);
  CHECK(models::generate_batch(model, texts, {}, random::unperturbed(), runtime) ==
        one_by_one(model, {}, runtime));
  random::Point const point{5, 0.7F};
  auto const at = random::perturb(random::Gaussian{}, std::span(&point, 1));
  auto const found = models::generate_batch(model, texts, {}, at, runtime);
  CHECK(found != one_by_one(model, {}, runtime));
  tensor::update(model.prefix(), random::Gaussian{}, std::vector<random::Point>{point}, 1.0F, runtime);
  CHECK(found == one_by_one(model, {}, runtime));
}

TEST_CASE("what is no text to continue is an error") {
  auto const model = opt::load<float>("pre");
  Runtime runtime(1);
  auto const complaint = [&](Ids const& prompt, models::GenerateOptions const& options,
                             std::vector<random::Point> const& points) {
    std::vector<models::TextToContinue> const texts{{prompt}};
    try {
      static_cast<void>(models::generate_batch(
          model, texts, options, random::perturb(random::Gaussian{}, std::span(points)), runtime));
    } catch (Error const& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK(complaint({}, {}, {random::origin}) == "generation: the prompt has no tokens");
  CHECK(complaint(Ids(20, 5), {}, {random::origin}) ==
        "generation: the prompt of 20 tokens leaves no room; the model has positions for 20");
  CHECK(complaint({2}, {}, {{1, 1.0F}, {1, -1.0F}}) ==
        "generation: 2 points; texts are written at one after the other");
  CHECK(complaint({2}, {.sampling = {.temperature = 1.0F}}, {random::origin}) ==
        "generation: a batch of texts is written greedily, with a temperature of 0");
  CHECK(complaint({2}, {.max_tokens = 0}, {random::origin}).empty());
}

} // namespace test_generate_batch
