// SPDX-License-Identifier: Apache-2.0
// Batches and inputs that a RoBERTa cannot take, and configurations that it does not support: each is an
// error that says which.
#include "models/roberta_case.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace test_errors {

using namespace pocketllm;
using models::RobertaConfig;
using roberta::Json;

namespace {

Json tied_config() { return io::read_object(roberta::folder("tied") / "config.json"); }

/// config.json with one key changed, or without it where the value is `removed`.
Json const removed = Json::object();
RobertaConfig changed(std::string const& key, Json const& value) {
  Json json = tied_config();
  if (value == removed) {
    json.erase(key);
  } else {
    json[key] = value;
  }
  return RobertaConfig::from_json(json);
}

models::Batch batch_of(std::vector<std::int32_t> const& ids) {
  models::Batch batch;
  batch.add(ids);
  return batch;
}

/// The scores of all words at one token.
void score(std::string const& name, models::Batch const& batch, std::size_t row,
           std::vector<std::int32_t> const& words = {}) {
  auto const model = roberta::load<float>(name);
  Runtime runtime(1);
  Workspace::Frame const frame(runtime.workspace());
  std::vector<std::size_t> const rows{row};
  static_cast<void>(model.word_scores(batch, rows, words, random::unperturbed(), runtime));
}

} // namespace

TEST_CASE("padding of either side and inside is left out of a batch") {
  std::vector<std::int32_t> const ids{7, 8, 1, 1, /**/ 1, 1, 1, 9, /**/ 5, 1, 6, 1};
  std::vector<std::uint8_t> const mask{1, 1, 0, 0, /**/ 0, 0, 1, 1, /**/ 1, 0, 1, 0};
  auto batch = models::Batch::from_padded(ids, mask, 4);
  CHECK(batch.size() == 3);
  CHECK(batch.tokens() == 6);
  CHECK(std::vector(batch.ids().begin(), batch.ids().end()) == std::vector<std::int32_t>{7, 8, 1, 9, 5, 6});
  CHECK(std::vector(batch.offsets().begin(), batch.offsets().end()) == std::vector<std::size_t>{0, 2, 4, 6});
  CHECK(batch.ids(1)[1] == 9);
  batch.clear();
  CHECK(batch.size() == 0);
  CHECK(batch.tokens() == 0);
}

TEST_CASE("batches that are none are errors") {
  std::vector<std::int32_t> const ids{1, 2, 3, 4, 5, 6};
  std::vector<std::uint8_t> const mask{1, 1, 1, 0, 0, 0};
  using models::Batch;
  CHECK_THROWS_WITH_AS(batch_of({}), "batch: sequence 0 has no tokens", Error);
  CHECK_THROWS_WITH_AS(static_cast<void>(Batch::from_padded(ids, mask, 3)), "batch: sequence 1 has no tokens",
                       Error);
  for (std::size_t const tokens : {0U, 4U}) {
    CHECK_THROWS_WITH_AS(static_cast<void>(Batch::from_padded(ids, mask, tokens)),
                         doctest::Contains("6 ids and 6 mask entries do not make rows of"), Error);
  }
  CHECK_THROWS_WITH_AS(static_cast<void>(Batch::from_padded(ids, std::span(mask).first(3), 3)),
                       doctest::Contains("6 ids and 3 mask entries"), Error);
}

TEST_CASE("inputs outside the model are errors that say where") {
  CHECK_NOTHROW(score("tied", batch_of(std::vector<std::int32_t>(18, 5)), 17));
  CHECK_THROWS_WITH_AS(score("tied", batch_of(std::vector<std::int32_t>(19, 5)), 0),
                       "sequence 0 has 19 tokens; the model has positions for 18", Error);
  CHECK_THROWS_WITH_AS(score("tied", batch_of({0, 101, 2}), 0),
                       doctest::Contains("word_embeddings.weight: index 101 is outside the table of 101"),
                       Error);
  CHECK_THROWS_WITH_AS(score("tied", batch_of({0, -1, 2}), 0), doctest::Contains("index -1 is outside"),
                       Error);
  CHECK_THROWS_WITH_AS(score("tied", batch_of({0, 5, 2}), 3), "token 3 is outside the batch of 3 tokens",
                       Error);
  CHECK_THROWS_WITH_AS(score("tied", batch_of({0, 5, 2}), 0, {100, 101}),
                       "word 101 is outside the vocabulary of 101", Error);
  CHECK_THROWS_WITH_AS(score("tied", batch_of({0, 5, 2}), 0, {-1}), doctest::Contains("word -1 is outside"),
                       Error);
}

TEST_CASE("a head that the model does not have is an error") {
  CHECK_THROWS_WITH_AS(score("classifier", batch_of({0, 5, 2}), 0), doctest::Contains("classification head"),
                       Error);
  auto const model = roberta::load<float>("tied");
  Runtime runtime(1);
  CHECK_THROWS_WITH_AS(
      static_cast<void>(model.class_scores(batch_of({0, 5, 2}), random::unperturbed(), runtime)),
      doctest::Contains("no classification head"), Error);
}

TEST_CASE("a configuration is read as transformers reads it") {
  auto const c = RobertaConfig::from_json(io::read_object(roberta::folder("odd") / "config.json"));
  CHECK(c.encoder.width == 30);
  CHECK(c.encoder.heads == 5);
  CHECK(c.encoder.layers == 2);
  CHECK(c.encoder.feed_forward == 37);
  CHECK(c.encoder.norm_epsilon == 1e-3F);
  CHECK(c.vocabulary == 89);
  CHECK(c.positions == 15);
  CHECK(c.max_tokens() == 11); // the padding id is 3
  CHECK(c.token_types == 2);
  CHECK(!c.tied_head);
  CHECK(c.classes == 0);
  Json json = io::read_object(roberta::folder("classifier") / "config.json");
  CHECK(RobertaConfig::from_json(json).classes == 3);
  json.erase("id2label");
  CHECK(RobertaConfig::from_json(json).classes == 2);
  json["num_labels"] = 4;
  CHECK(RobertaConfig::from_json(json).classes == 4);
  json["id2label"] = Json::object();
  CHECK_THROWS_WITH_AS(static_cast<void>(RobertaConfig::from_json(json)), doctest::Contains("id2label"),
                       Error);
}

TEST_CASE("what a key's absence means is what it means to transformers") {
  CHECK(changed("layer_norm_eps", removed).encoder.norm_epsilon == 1e-12F);
  CHECK(changed("type_vocab_size", removed).token_types == 2);
  CHECK(changed("pad_token_id", removed).pad_id == 1);
  CHECK(changed("tie_word_embeddings", removed).tied_head);
  CHECK(changed("hidden_act", removed).encoder.width == 32);
  CHECK(changed("architectures", removed).classes == 0);
}

TEST_CASE("a configuration that cannot be used is an error that names the key") {
  struct Wrong {
    std::string key;
    Json value;
    std::string message;
  };
  std::vector<Wrong> const wrongs{
      {"num_attention_heads", 5, "num_attention_heads (5) does not divide hidden_size (32)"},
      {"num_attention_heads", 0, "num_attention_heads is 0, not a positive integer"},
      {"model_type", "bert", "model_type is \"bert\"; supported is \"roberta\""},
      {"model_type", 5, "model_type is 5, not a string"},
      {"hidden_act", "relu", "hidden_act is \"relu\"; supported is \"gelu\""},
      {"position_embedding_type", "relative_key", "position_embedding_type is \"relative_key\""},
      {"is_decoder", true, "is_decoder is true"},
      {"hidden_size", removed, "hidden_size is missing"},
      {"hidden_size", -32, "hidden_size is -32"},
      {"hidden_size", "32", "hidden_size is \"32\""},
      {"num_hidden_layers", 1.5, "num_hidden_layers is 1.5"},
      {"intermediate_size", 1099511627776, "intermediate_size is 1099511627776"},
      {"vocab_size", 18446744073709551615U, "vocab_size is 18446744073709551615"},
      {"max_position_embeddings", 2, "max_position_embeddings (2) leaves no position"},
      {"pad_token_id", -1, "pad_token_id is -1, not a token id"},
      {"pad_token_id", 19, "max_position_embeddings (20) leaves no position behind pad_token_id + 1 (20)"},
      {"pad_token_id", 2147483647, "pad_token_id"},
      {"layer_norm_eps", 0, "layer_norm_eps is 0, not a positive number"},
      {"layer_norm_eps", "small", "layer_norm_eps is \"small\""},
      {"tie_word_embeddings", "no", "tie_word_embeddings is \"no\", not true or false"},
      {"architectures", Json::array({"RobertaForCausalLM"}), "architectures names RobertaForCausalLM"},
  };
  for (Wrong const& wrong : wrongs) {
    CAPTURE(wrong.key);
    CHECK_THROWS_WITH_AS(changed(wrong.key, wrong.value), doctest::Contains(wrong.message.c_str()), Error);
  }
}

} // namespace test_errors
