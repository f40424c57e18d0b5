// SPDX-License-Identifier: Apache-2.0
// Inputs and configurations that OPT cannot take, each an error that says which; and sampling.
#include "models/opt_case.hpp"
#include <pocketllm/models/sampling.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace test_opt_errors {

using namespace pocketllm;
using models::OptConfig;
using models::Target;
using opt::Json;
using Ids = std::vector<std::int32_t>;

namespace {

Json const removed = Json::object();
OptConfig changed(std::string const& key, Json const& value) {
  Json json = io::read_object(opt::folder("pre") / "config.json");
  if (value == removed) {
    json.erase(key);
  } else {
    json[key] = value;
  }
  return OptConfig::from_json(json);
}

void predict(Ids const& ids, Target target) {
  auto const model = opt::load<float>("pre");
  Runtime runtime(1);
  models::CausalBatch batch;
  batch.add(ids);
  std::vector<Target> const targets{target};
  static_cast<void>(model.log_probabilities(batch, targets, random::unperturbed(), runtime));
}

} // namespace

TEST_CASE("a context longer than the positions, and tokens outside the vocabulary or the batch, are errors") {
  CHECK_NOTHROW(predict(Ids(20, 5), {19, 100}));
  CHECK_THROWS_WITH_AS(predict(Ids(21, 5), {0, 5}),
                       "sequence 0 ends with token 21 of its context; the model has positions for 20", Error);
  CHECK_THROWS_WITH_AS(predict({5, 101}, {0, 5}), doctest::Contains("index 101 is outside"), Error);
  CHECK_THROWS_WITH_AS(predict({5, 6}, {0, 101}), "word 101 is outside the vocabulary of 101", Error);
  CHECK_THROWS_WITH_AS(predict({5, 6}, {0, -1}), "word -1 is outside the vocabulary of 101", Error);
  CHECK_THROWS_WITH_AS(predict({5, 6}, {2, 5}), doctest::Contains("token 2 is outside the batch"), Error);
  auto const model = opt::load<float>("pre");
  CHECK_THROWS_WITH_AS(static_cast<void>(model.make_cache(21)),
                       "a context of 21 tokens; the model has positions for 20", Error);
  models::CausalBatch batch;
  batch.add(Ids(15, 5));
  batch.add_behind(0, Ids(6, 7));
  Runtime runtime(1);
  CHECK_THROWS_WITH_AS(static_cast<void>(model.hidden(batch, random::unperturbed(), runtime)),
                       doctest::Contains("sequence 1 ends with token 21"), Error);
}

TEST_CASE("a sequence continues one that continues none") {
  models::CausalBatch batch;
  batch.add(Ids{1, 2});
  batch.add_behind(0, Ids{3});
  CHECK(batch.tokens_before(1) == 2);
  CHECK(batch.tokens_before(0) == 0);
  CHECK_THROWS_WITH_AS(batch.add_behind(1, Ids{4}),
                       doctest::Contains("sequence 2 cannot continue sequence 1"), Error);
  CHECK_THROWS_AS(batch.add_behind(2, Ids{4}), Error);
  CHECK_THROWS_AS(batch.add_behind(0, Ids{}), Error);
}

TEST_CASE("OPT's configuration is read as transformers reads it") {
  auto const c = OptConfig::from_json(io::read_object(opt::folder("post") / "config.json"));
  CHECK(c.decoder.width == 30);
  CHECK(c.decoder.heads == 5);
  CHECK(c.decoder.layers == 2);
  CHECK(c.decoder.feed_forward == 37);
  CHECK(!c.decoder.norm_first);
  CHECK(c.decoder.bias);
  CHECK(c.decoder.norm_weights);
  CHECK(c.vocabulary == 89);
  CHECK(c.max_tokens() == 15);
  CHECK(c.embedding_width == 23);
  CHECK(!c.final_norm);
  CHECK(c.tied_head);
  CHECK(changed("word_embed_proj_dim", removed).embedding_width == 32);
  CHECK(changed("do_layer_norm_before", removed).decoder.norm_first);
  CHECK(changed("_remove_final_layer_norm", removed).final_norm);
  CHECK(!changed("_remove_final_layer_norm", true).final_norm);
  CHECK(changed("enable_bias", removed).decoder.bias);
  CHECK(changed("layer_norm_elementwise_affine", removed).decoder.norm_weights);
  CHECK(changed("vocab_size", removed).vocabulary == 50272);
  CHECK(changed("max_position_embeddings", removed).positions == 2048);
}

TEST_CASE("an OPT that cannot be used is an error that names the key") {
  struct Wrong {
    std::string key;
    Json value;
    std::string message;
  };
  for (Wrong const& wrong : std::vector<Wrong>{
           {"model_type", "gpt2", "model_type is \"gpt2\"; supported is \"opt\""},
           {"activation_function", "gelu", "activation_function is \"gelu\"; supported is \"relu\""},
           {"architectures", Json::array({"OPTForQuestionAnswering"}),
            "architectures names OPTForQuestionAnswering; supported are OPTForCausalLM and OPTModel"},
           {"num_attention_heads", 5, "num_attention_heads (5) does not divide hidden_size (32)"},
           {"ffn_dim", 0, "ffn_dim is 0, not a positive integer"},
           {"enable_bias", 1, "enable_bias is 1, not true or false"}}) {
    CAPTURE(wrong.key);
    CHECK_THROWS_WITH_AS(changed(wrong.key, wrong.value), doctest::Contains(wrong.message.c_str()), Error);
  }
}

TEST_CASE("tokens are drawn with the probabilities that temperature, top-k and top-p leave") {
  std::vector<float> const scores{0.0F, std::log(3.0F), std::log(2.0F), -100.0F, std::log(4.0F)};
  auto const shares = [&](models::Sampling how) {
    std::vector<double> counts(scores.size());
    constexpr std::size_t draws = 20000;
    for (std::size_t i = 0; i < draws; ++i) {
      counts[static_cast<std::size_t>(models::choose_token(scores, how, i))] += 1.0 / draws;
    }
    return counts;
  };
  auto const check = [&](models::Sampling how, std::vector<double> const& expected) {
    auto const found = shares(how);
    for (std::size_t i = 0; i < found.size(); ++i) {
      CHECK(std::abs(found[i] - expected[i]) < 0.015); // four standard deviations of 20,000 draws
      CHECK((found[i] == 0.0) == (expected[i] == 0.0));
    }
  };
  check({}, {0, 0, 0, 0, 1});
  check({.temperature = 1.0F}, {0.1, 0.3, 0.2, 0, 0.4});
  check({.temperature = 0.5F}, {1 / 30.0, 9 / 30.0, 4 / 30.0, 0, 16 / 30.0});
  check({.temperature = 1.0F, .top_k = 2}, {0, 3 / 7.0, 0, 0, 4 / 7.0});
  check({.temperature = 1.0F, .top_k = 100, .top_p = 0.69F}, {0, 3 / 7.0, 0, 0, 4 / 7.0});
  check({.temperature = 1.0F, .top_p = 0.71F}, {0, 3 / 9.0, 2 / 9.0, 0, 4 / 9.0});
  check({.temperature = 1.0F, .top_p = 0.01F, .seed = 3}, {0, 0, 0, 0, 1});
  CHECK_THROWS_WITH_AS(static_cast<void>(models::choose_token(scores, {.temperature = -1.0F}, 0)),
                       doctest::Contains("the temperature is 0 or more"), Error);
  CHECK_THROWS_AS(static_cast<void>(models::choose_token(scores, {.top_p = 0.0F}, 0)), Error);
}

} // namespace test_opt_errors
