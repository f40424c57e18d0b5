// SPDX-License-Identifier: Apache-2.0
// BERT against transformers: with each head and without, pairs of texts, tensor names of all kinds.
#include "models/encoder_case.hpp"
#include "temporary_folder.hpp"
#include <pocketllm/io/save.hpp>
#include <pocketllm/models/bert.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace test_bert {

using namespace pocketllm;
using encoders::Examples;
using encoders::Json;
using Bert = models::Bert<float>;

namespace {

constexpr std::array<char const*, 4> cases{"bert_masked", "bert_untied", "bert_classifier", "bert_headless"};

Bert load(std::string const& name) { return io::load<Bert>(encoders::folder(name)); }

Json config_of(std::string const& name) { return io::read_object(encoders::folder(name) / "config.json"); }

/// The tensors of a file under names that `rename` makes, written beside the case's config.json.
template <class Rename>
void write_renamed(std::string const& name, std::filesystem::path const& to, Rename const& rename) {
  io::SafetensorsFile const file(encoders::folder(name) / "model.safetensors");
  std::vector<io::TensorEntry> entries = file.content.tensors();
  for (io::TensorEntry& entry : entries) {
    entry.name = rename(entry.name);
  }
  std::filesystem::copy_file(encoders::folder(name) / "config.json", to / "config.json");
  io::OutputFile output(to / "model.safetensors");
  io::write_safetensors(output, entries, {});
}

std::string replaced(std::string text, std::string const& from, std::string const& to) {
  std::size_t const at = text.find(from);
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

} // namespace

TEST_CASE("BERT's hidden states, logits, label words, means and losses are those of transformers") {
  for (std::string const name : cases) {
    CAPTURE(name);
    golden::Tensors const tensors(encoders::folder(name) / "golden.safetensors");
    for (Json const& batch : encoders::batches(name)) {
      encoders::check_parity(load(name), tensors, batch);
    }
  }
}

TEST_CASE("BERT at several points is the model into which they are written") {
  for (std::string const name : {"bert_masked", "bert_classifier"}) {
    CAPTURE(name);
    Bert const model = load(name);
    Examples const examples(encoders::batches(name).front());
    std::vector<random::Point> const points{{7, 0.05F}, random::origin, {8, -0.05F}};
    Runtime runtime(2);
    auto const lanes = encoders::run(model, examples, random::perturb(random::Gaussian{}, points), runtime);
    for (std::size_t l = 0; l < points.size(); ++l) {
      auto const twin = encoders::written_at(model, random::Gaussian{}, points[l]);
      CHECK(encoders::relative_error(lanes.lane(l), encoders::run(twin, examples, runtime)) <=
            golden::tolerance);
    }
  }
}

TEST_CASE("means over tokens have the same bits for any number of threads and any neighbours") {
  Bert const model = load("bert_headless");
  Json const json = encoders::batches("bert_headless").front();
  Examples const together(json);
  Runtime one(1), three(3);
  auto const all = encoders::run(model, together, one).logits;
  CHECK(all == encoders::run(model, together, three).logits);
  std::size_t const width = model.config().encoder.width;
  for (std::size_t s = 0; s < together.tokens.size(); ++s) {
    auto const alone = encoders::run(model, Examples(json, {s}), one).logits;
    CHECK(std::equal(alone.begin(), alone.end(), all.begin() + static_cast<std::ptrdiff_t>(s * width)));
  }
}

TEST_CASE("rows of length one, and a row of zeros") {
  std::array<float, 4> values{3.0F, -4.0F, 0.0F, 0.0F};
  Runtime runtime(1);
  models::normalize_rows({values.data(), 1, 2, 2}, runtime);
  CHECK(values == std::array<float, 4>{0.6F, -0.8F, 0.0F, 0.0F});
}

TEST_CASE("the types of a pair's tokens matter") {
  Bert const model = load("bert_headless");
  std::vector<std::int32_t> const ids{5, 6, 7, 8}, types{0, 0, 1, 1};
  models::Batch plain, pair;
  plain.add(ids);
  pair.add(ids, types);
  Runtime runtime(1);
  Workspace::Frame const frame(runtime.workspace());
  auto const a = encoders::copy(model.pooled(plain, models::Pooling::mean, random::unperturbed(), runtime));
  auto const b = encoders::copy(model.pooled(pair, models::Pooling::mean, random::unperturbed(), runtime));
  CHECK(a != b);
  CHECK_THROWS_WITH_AS(plain.add(ids, std::span(types).first(3)),
                       "batch: sequence 1 has 4 tokens and 3 token types", Error);
  std::vector<std::int32_t> const wrong{0, 0, 2, 0};
  models::Batch outside;
  outside.add(ids, wrong);
  CHECK_THROWS_WITH_AS(
      static_cast<void>(model.pooled(outside, models::Pooling::mean, random::unperturbed(), runtime)),
      doctest::Contains("token_type_embeddings.weight: index 2 is outside the table of 2"), Error);
}

TEST_CASE("all positions are used, none beyond") {
  Bert const model = load("bert_headless");
  CHECK(model.config().max_tokens() == 12);
  models::Batch batch;
  batch.add(std::vector<std::int32_t>(13, 5));
  Runtime runtime(1);
  CHECK_THROWS_WITH_AS(
      static_cast<void>(model.pooled(batch, models::Pooling::mean, random::unperturbed(), runtime)),
      "sequence 0 has 13 tokens; the model has positions for 12", Error);
}

TEST_CASE("tensors with the family's prefix, without it, and under TensorFlow's names of LayerNorm") {
  auto const expected =
      encoders::run(load("bert_headless"), Examples(encoders::batches("bert_headless").front()),
                    *std::make_unique<Runtime>(1));
  test::TemporaryFolder prefixed, tensorflow;
  write_renamed("bert_headless", prefixed.path(), [](std::string const& name) { return "bert." + name; });
  write_renamed("bert_headless", tensorflow.path(), [](std::string const& name) {
    return replaced(replaced(name, "LayerNorm.weight", "LayerNorm.gamma"), "LayerNorm.bias",
                    "LayerNorm.beta");
  });
  for (auto const* folder : {&prefixed, &tensorflow}) {
    Runtime runtime(1);
    CHECK(encoders::run(io::load<Bert>(folder->path()), Examples(encoders::batches("bert_headless").front()),
                        runtime) == expected);
  }
}

TEST_CASE("a head that BERT does not have is an error that says which it has") {
  Runtime runtime(1);
  models::Batch batch;
  batch.add(std::vector<std::int32_t>{1, 2});
  auto const words = [&](std::string const& name) {
    static_cast<void>(
        load(name).word_scores(batch, std::vector<std::size_t>{0}, {}, random::unperturbed(), runtime));
  };
  CHECK_THROWS_WITH_AS(words("bert_headless"), "this BERT has no masked-language-model head", Error);
  CHECK_THROWS_WITH_AS(words("bert_classifier"),
                       "this BERT has a classification head and no masked-language-model head", Error);
  CHECK_THROWS_WITH_AS(
      static_cast<void>(load("bert_masked").class_scores(batch, random::unperturbed(), runtime)),
      "this BERT has a masked-language-model head and no classification head", Error);
  CHECK_THROWS_WITH_AS(
      static_cast<void>(
          load("bert_headless").pooled(batch, models::Pooling::first_token, random::unperturbed(), runtime)),
      "this BERT has no pooler for its first token", Error);
}

TEST_CASE("which head a configuration asks for") {
  using models::BertConfig;
  Json json = config_of("bert_headless");
  CHECK(BertConfig::from_json(json).headless);
  json["architectures"] = Json::array({"BertForPreTraining"});
  CHECK((!BertConfig::from_json(json).headless && BertConfig::from_json(json).classes == 0));
  json["architectures"] = Json::array({"BertForTokenClassification"});
  CHECK_THROWS_WITH_AS(static_cast<void>(BertConfig::from_json(json)),
                       doctest::Contains("architectures names BertForTokenClassification; supported are"),
                       Error);
  json["architectures"] = Json::array({"RobertaModel"});
  CHECK_THROWS_AS(static_cast<void>(BertConfig::from_json(json)), Error);
  json["pocketllm_pooling"] = "mean";
  json["id2label"] = {{"0", "a"}, {"1", "b"}, {"2", "c"}};
  CHECK(BertConfig::from_json(json).classes == 3);
  CHECK(BertConfig::from_json(json).pooling == models::Pooling::mean);
  json["pocketllm_pooling"] = "max";
  CHECK_THROWS_WITH_AS(static_cast<void>(BertConfig::from_json(json)),
                       "pooling \"max\" is not known; use cls or mean", Error);
  CHECK_THROWS_WITH_AS(
      static_cast<void>(BertConfig::from_json(io::read_object(encoders::folder("tied") / "config.json"))),
      "model_type is \"roberta\"; supported is \"bert\"", Error);
}

} // namespace test_bert
