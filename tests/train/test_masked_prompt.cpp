// SPDX-License-Identifier: Apache-2.0
#include "temporary_folder.hpp"
#include "toy_prompt.hpp"
#include <pocketllm/core/runtime.hpp>
#include <pocketllm/random/perturbed.hpp>
#include <pocketllm/text/load_tokenizer.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <string>
#include <vector>

namespace test_masked_prompt {

using namespace pocketllm;
using toy::Prompt;
using Words = std::vector<std::string>;

namespace {

std::string complaint(std::string_view prompt, Words const& words) {
  return test::error_of([&] { Prompt const objective(toy::tokenizer, prompt, words, 18); });
}

/// The tokenizer that the examples come with.
text::AnyTokenizer const& real_tokenizer() {
  static text::AnyTokenizer const tokenizer =
      text::load_tokenizer(golden::path_of("../examples/models/tiny-roberta"));
  return tokenizer;
}

using Indices = std::vector<std::size_t>;

} // namespace

TEST_CASE("what makes no classifier is refused") {
  CHECK(complaint("{text}", {"a", "b"}) ==
        R"(template "{text}": no {mask}; write {mask} where the model is to put the label word)");
  CHECK(complaint("{mask}{text}{mask}", {"a", "b"}) == "the template has 2 masks; write {mask} once");
  CHECK(complaint("{text}{mask}", {"a"}) == "a classifier needs at least two label words, not 1");
  CHECK(complaint("{text}{mask}", {"a", "b", "a"}) == "label word \"a\" stands for two classes, which could "
                                                      "not be told apart; choose another for one of them");
  CHECK(complaint("{text}{mask}", {"a", "bc"}) ==
        R"(label word "bc" is 2 tokens ("b" "c"); choose a word that is one token)");
  CHECK(complaint("{text} {mask}", {"a", "b"}) ==
        R"(label word "a" is 2 tokens (" " "a"); choose a word that is one token)");
  CHECK(complaint("{text}{mask}", {"a", "b"}) == "no error");
}

TEST_CASE("label words of a real tokenizer are tokens with a space where a space is before the mask") {
  Words const words{"personal", "commercial"};
  train::MaskedPrompt const spaced(real_tokenizer(), "This is a {mask} message: {text}", words, 64);
  CHECK(real_tokenizer().decode(spaced.words()) == " personal commercial");
  CHECK(test::error_of([&] {
          train::MaskedPrompt const bare(real_tokenizer(), "{mask} {text}", words, 64);
        }) == R"(label word "personal" is 3 tokens ("p" "erson" "al"); choose a word that is one token)");
}

TEST_CASE("a class without a word and a field without a value are refused") {
  Prompt const prompt = toy::make_prompt();
  CHECK(test::error_of([&] { toy::encode(prompt, "x", 2); }) == "class 2 has no label word; there are 2");
  CHECK(test::error_of([&] {
          static_cast<void>(prompt.encode(std::vector<text::Field>{{"title", "x"}}, 0));
        }) == R"(template "{text} is:{mask}": no value for {text})");
}

TEST_CASE("texts are cut and the mask stays, on either side of the text") {
  std::string text;
  for (int i = 0; i < 100; ++i) {
    text += "another message ";
  }
  std::int32_t const mask = real_tokenizer().special_tokens().mask.value();
  for (char const* form : {"This is a {mask} message: {text}", "{text} It was {mask}."}) {
    CAPTURE(form);
    for (std::size_t const most : {12U, 13U, 64U}) {
      train::MaskedPrompt const prompt(real_tokenizer(), form, Words{" good", " bad"}, most);
      auto const example = prompt.encode(std::vector<text::Field>{{"text", text}}, 1);
      CHECK(example.ids.size() == most);
      CHECK(example.ids.at(example.mask) == mask);
      CHECK(example.label == 1);
    }
    CHECK(test::error_of([&] {
            train::MaskedPrompt const prompt(real_tokenizer(), form, Words{" good", " bad"}, 4);
            static_cast<void>(prompt.encode(std::vector<text::Field>{{"text", text}}, 1));
          }).find("more than the 4 allowed; shorten the template or allow more tokens") != std::string::npos);
  }
}

TEST_CASE("a batch has the chosen examples in their order") {
  Prompt const prompt = toy::make_prompt();
  toy::Examples const examples = toy::make_examples(prompt);
  Prompt::Batch const batch = prompt.batch(examples, Indices{3, 0, 3});
  CHECK(batch.labels == Indices{1, 0, 1});
  REQUIRE(batch.tokens.size() == 3);
  std::size_t begin = 0;
  for (std::size_t i = 0; i < 3; ++i) {
    auto const& example = examples[i == 1 ? 0 : 3];
    CHECK(std::vector(batch.tokens.ids(i).begin(), batch.tokens.ids(i).end()) == example.ids);
    CHECK(batch.masks[i] == begin + example.mask);
    CHECK(batch.tokens.ids()[batch.masks[i]] == 3);
    begin += example.ids.size();
  }
}

TEST_CASE("scores are the model's for the label words, and the loss is their cross-entropy") {
  Prompt const prompt = toy::make_prompt();
  toy::Model const model = toy::load_model();
  Runtime runtime(1);
  Prompt::Batch const batch = prompt.batch(toy::make_examples(prompt), Indices{0, 1, 7, 8, 10});
  Workspace::Frame const frame(runtime.workspace());
  auto const all = model.word_scores(batch.tokens, batch.masks, {}, random::unperturbed(), runtime);
  auto const scores = prompt.scores(model, batch, random::unperturbed(), runtime);
  REQUIRE((scores.lanes == 1 && scores.rows == 5 && scores.cols == 2));
  double sum = 0.0;
  for (std::size_t r = 0; r < 5; ++r) {
    float const* const row = scores.row(0, r);
    for (std::size_t c = 0; c < 2; ++c) {
      CHECK(row[c] == doctest::Approx(all.row(0, r)[prompt.words()[c]]).epsilon(1e-5));
    }
    double const own = static_cast<double>(row[batch.labels[r]]);
    double const other = static_cast<double>(row[1 - batch.labels[r]]);
    sum += std::log1p(std::exp(other - own));
  }
  auto const losses = prompt(model, batch, random::unperturbed(), runtime);
  REQUIRE(losses.size() == 1);
  CHECK(static_cast<double>(losses[0]) == doctest::Approx(sum / 5).epsilon(1e-6));
}

TEST_CASE("losses at several points are those at one after the other, bit for bit") {
  Prompt const prompt = toy::make_prompt();
  toy::Model const model = toy::load_model();
  Prompt::Batch const batch = prompt.batch(toy::make_examples(prompt), Indices{0, 1, 2, 9});
  std::array<random::Point, 3> const points{random::Point{7, 1e-2F}, random::Point{7, -1e-2F},
                                            random::Point{8, 1e-2F}};
  for (std::size_t const threads : {1U, 2U}) {
    Runtime runtime(threads);
    random::Gaussian const perturbation;
    auto const together = prompt(model, batch, random::perturb(perturbation, points), runtime);
    REQUIRE(together.size() == 3);
    for (std::size_t i = 0; i < 3; ++i) {
      auto const alone =
          prompt(model, batch, random::perturb(perturbation, std::span(points).subspan(i, 1)), runtime);
      CHECK(alone == std::vector<float>{together[i]});
    }
    CHECK(together[0] != together[1]);
    CHECK(together[0] != together[2]);
  }
}

} // namespace test_masked_prompt
