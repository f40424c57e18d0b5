// SPDX-License-Identifier: Apache-2.0
// BERT and RoBERTa behind a trained prefix: against peft, and what must not change their bits.
#include "models/encoder_case.hpp"
#include "temporary_folder.hpp"
#include <pocketllm/models/bert.hpp>
#include <pocketllm/models/prefixed.hpp>
#include <pocketllm/models/roberta.hpp>
#include <pocketllm/tensor/update.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

namespace test_prefixed {

using namespace pocketllm;
using encoders::Examples;
using models::Prefixed;
using Bert = models::Bert<float>;
using Roberta = models::Roberta<float>;
using Ids = std::vector<std::int32_t>;

static_assert(models::FillsCache<Bert> && models::BidirectionalModel<Roberta>);
static_assert(!models::TextGenerator<Bert> && !models::TextGenerator<Prefixed<Roberta>>);
static_assert(!models::HasBottom<Prefixed<Bert>>); // every layer is another one

namespace {

template <class Model>
Model load(std::string const& name) {
  return io::load<Model>(encoders::folder(name));
}

/// The case's model with the prefix of the golden file.
template <class Model>
Prefixed<Model> golden_model(std::string const& name) {
  golden::Tensors const tensors(encoders::folder(name) / "prefix.safetensors");
  Prefixed<Model> model(load<Model>(name), 3);
  model.prefix().allocate();
  auto const values = tensors["prompt_embeddings"];
  REQUIRE(values.size() == model.prefix().size());
  std::copy(values.begin(), values.end(), model.prefix().mutable_data());
  return model;
}

Examples golden_examples(std::string const& name) {
  return Examples(io::read_object(encoders::folder(name) / "prefix.json"));
}

/// Scores of all words at the tokens `rows`.
template <class Model, random::Perturbation P>
std::vector<float> scores(Model const& model, models::Batch const& batch,
                          std::vector<std::size_t> const& rows, random::Perturbed<P> const& at,
                          Runtime& runtime) {
  Workspace::Frame const frame(runtime.workspace());
  return golden::copy(model.word_scores(batch, rows, {}, at, runtime));
}

/// The same at all tokens but the first `skipped` of each sequence.
template <class Model, random::Perturbation P>
std::vector<float> scores(Model const& model, models::Batch const& batch, random::Perturbed<P> const& at,
                          Runtime& runtime, std::size_t skipped = 0) {
  std::vector<std::size_t> rows;
  for (std::size_t s = 0; s < batch.size(); ++s) {
    for (std::size_t row = batch.offsets()[s] + skipped; row < batch.offsets()[s + 1]; ++row) {
      rows.push_back(row);
    }
  }
  return scores(model, batch, rows, at, runtime);
}

template <class Model>
void check_parity(std::string const& name) {
  CAPTURE(name);
  auto const model = golden_model<Model>(name);
  golden::Tensors const tensors(encoders::folder(name) / "prefix.safetensors");
  Examples const examples = golden_examples(name);
  Runtime runtime(2);
  auto const expected = tensors.rows("logits", examples.places);
  CHECK(golden::relative_error(scores(model, examples.tokens, random::unperturbed(), runtime), expected) <=
        golden::tolerance);
  Workspace::Frame const frame(runtime.workspace());
  auto const loss = train::mean_cross_entropy(
      model.word_scores(examples.tokens, examples.masks, examples.words, random::unperturbed(), runtime),
      examples.labels);
  auto const json = io::read_object(encoders::folder(name) / "prefix.json");
  CHECK(golden::relative_error(static_cast<double>(loss.at(0)), json.at("loss").get<double>()) <=
        golden::tolerance);
}

Ids const start{2, 40, 50};

/// Sequences for the models whose positions leave room for `start`, each with `before` in front.
models::Batch texts(Ids const& before) {
  models::Batch batch;
  for (Ids const& text : {Ids{7, 8, 9, 10}, Ids{30, 4}, Ids{5, 6, 5, 6, 5, 6, 5}}) {
    Ids whole = before;
    whole.insert(whole.end(), text.begin(), text.end());
    batch.add(whole);
  }
  return batch;
}

/// In a model of one layer, keys and values do not depend on what else there is to see.
template <class Model>
void check_start(std::string const& name) {
  CAPTURE(name);
  Runtime runtime(2);
  Prefixed<Model> const model(load<Model>(name), start, runtime);
  CHECK(model.config().max_tokens() == model.model().config().max_tokens() - start.size());
  CHECK(scores(model, texts({}), random::unperturbed(), runtime) ==
        scores(model.model(), texts(start), random::unperturbed(), runtime, start.size()));
}

} // namespace

TEST_CASE("scores behind a prefix are those of peft") {
  check_parity<Roberta>("odd");
  check_parity<Bert>("bert_masked");
}

TEST_CASE("a prefix begins as the tokens that it was made of, in front of every text") {
  check_start<Roberta>("wide");
  check_start<Bert>("bert_untied");
}

TEST_CASE("what a prefix begins with are the keys and values of all layers") {
  Runtime runtime(1);
  auto const model = load<Roberta>("tied");
  models::KeyValueCache cache = model.make_cache(start.size());
  model.read(cache, start, runtime);
  CHECK(cache.size() == start.size());
  Prefixed<Roberta> const prefixed(load<Roberta>("tied"), start, runtime);
  std::size_t const width = cache.width();
  for (std::size_t layer = 0; layer < cache.layers(); ++layer) {
    for (std::size_t row = 0; row < start.size(); ++row) {
      float const* const numbers = prefixed.prefix().row(row) + 2 * layer * width;
      CHECK(std::equal(numbers, numbers + width, cache.at(layer).k.row(0, row)));
      CHECK(std::equal(numbers + width, numbers + 2 * width, cache.at(layer).v.row(0, row)));
    }
  }
  CHECK(std::any_of(prefixed.prefix().row(1), prefixed.prefix().row(2), [](float x) { return x != 0.0F; }));
  models::KeyValueCache larger = model.make_cache(2 * start.size());
  model.read(larger, start, runtime);
  CHECK(test::error_of([&] { model.read(larger, start, runtime); }) ==
        "this RoBERTa reads all tokens at once; the cache has 3 already; use an empty one");
  CHECK(test::error_of([&] { static_cast<void>(model.make_cache(19)); }) ==
        "a context of 19 tokens; the model has positions for 18");
}

TEST_CASE("a prefix at several points is the prefix perturbed in memory, whatever the threads") {
  auto const model = golden_model<Roberta>("odd");
  models::Batch const batch = golden_examples("odd").tokens;
  std::vector<random::Point> const points{{7, 0.1F}, {7, -0.1F}, random::origin, {8, 0.1F}};
  random::Gaussian const perturbation;
  Runtime one(1), three(3);
  auto const lanes = scores(model, batch, random::perturb(perturbation, points), one);
  CHECK(lanes == scores(model, batch, random::perturb(perturbation, points), three));
  std::size_t const size = lanes.size() / points.size();
  auto const still = scores(model, batch, random::unperturbed(), one);
  for (std::size_t l = 0; l < points.size(); ++l) {
    CAPTURE(l);
    auto twin = golden_model<Roberta>("odd");
    std::vector<random::Point> const term{points[l]};
    tensor::update(twin.prefix(), perturbation, term, 1.0F, one);
    std::span<float const> const found = std::span(lanes).subspan(l * size, size);
    auto const expected = scores(twin, batch, random::unperturbed(), one);
    CHECK(golden::relative_error(found, expected) <= golden::tolerance);
    bool const moved = points[l].coefficient != 0.0F;
    CHECK((golden::relative_error(found, still) > 100 * golden::tolerance) == moved);
  }
}

TEST_CASE("a sequence behind a prefix has the same bits alone as among others, and at some tokens only") {
  auto const model = golden_model<Bert>("bert_masked");
  auto const json = io::read_object(encoders::folder("bert_masked") / "prefix.json");
  Examples const together(json);
  Runtime runtime(1);
  auto const all = scores(model, together.tokens, random::unperturbed(), runtime);
  auto const words = static_cast<std::ptrdiff_t>(model.config().vocabulary);
  for (std::size_t s = 0; s < together.tokens.size(); ++s) {
    auto const first = all.begin() + static_cast<std::ptrdiff_t>(together.tokens.offsets()[s]) * words;
    auto const alone = scores(model, Examples(json, {s}).tokens, random::unperturbed(), runtime);
    CHECK(std::equal(alone.begin(), alone.end(), first));
    auto const mask = all.begin() + static_cast<std::ptrdiff_t>(together.masks[s]) * words;
    auto const at_mask = scores(model, together.tokens, {together.masks[s]}, random::unperturbed(), runtime);
    CHECK(std::equal(at_mask.begin(), at_mask.end(), mask));
  }
  std::vector<std::size_t> const backwards{together.masks[2], together.masks[0]}; // the last layer as a whole
  auto const found = scores(model, together.tokens, backwards, random::unperturbed(), runtime);
  CHECK(std::equal(found.begin(), found.begin() + words,
                   all.begin() + static_cast<std::ptrdiff_t>(together.masks[2]) * words));
}

TEST_CASE("classes, pooled vectors and hidden states behind a prefix") {
  Runtime runtime(2);
  Workspace::Frame const frame(runtime.workspace());
  Prefixed<Bert> const model(load<Bert>("bert_classifier"), start, runtime);
  auto const at = random::unperturbed();
  models::Batch const batch = texts({});
  auto const pooled = golden::copy(model.pooled(batch, models::Pooling::first_token, at, runtime));
  CHECK(pooled != golden::copy(model.model().pooled(batch, models::Pooling::first_token, at, runtime)));
  auto const classes = golden::copy(model.class_scores(batch, at, runtime));
  CHECK(classes.size() == batch.size() * 3);
  CHECK(classes != golden::copy(model.model().class_scores(batch, at, runtime)));
  // the mean is over the states of the text's own tokens
  models::KeyValueCache cache = model.model().make_cache(start.size());
  model.model().read(cache, start, runtime);
  models::Past past{start.size()};
  for (std::size_t layer = 0; layer < cache.layers(); ++layer) {
    past.before.push_back(cache.at(layer));
  }
  Lanes<float> const states = model.model().hidden(batch, at, runtime, models::NoObserver{}, past);
  Lanes<float> const means = take_lanes(runtime.workspace(), 1, batch.size(), states.cols);
  models::mean_rows(Lanes<float const>(states), batch.offsets(), means, runtime);
  CHECK(golden::copy(model.pooled(batch, models::Pooling::mean, at, runtime)) == golden::copy(means));
}

TEST_CASE("a prefix leaves fewer positions to a text") {
  Runtime runtime(1);
  Prefixed<Roberta> const model(load<Roberta>("odd"), start, runtime);
  CHECK(model.config().max_tokens() == 8);
  models::Batch batch;
  batch.add(Ids(8, 5));
  CHECK_NOTHROW(static_cast<void>(scores(model, batch, random::unperturbed(), runtime)));
  batch.add(Ids(9, 5));
  CHECK(test::error_of([&] { static_cast<void>(scores(model, batch, random::unperturbed(), runtime)); }) ==
        "sequence 1 has 12 tokens, 3 that stand before it among them; the model has positions for 11");
}

} // namespace test_prefixed
