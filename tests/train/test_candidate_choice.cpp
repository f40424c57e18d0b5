// SPDX-License-Identifier: Apache-2.0
// Choosing among candidates: against transformers, templates, and what is refused.
#include "temporary_folder.hpp"
#include "toy_causal.hpp"
#include <pocketllm/text/load_tokenizer.hpp>
#include <pocketllm/train/candidate_choice.hpp>
#include <pocketllm/train/evaluate.hpp>

#include <doctest/doctest.h>

#include <numeric>
#include <string>
#include <vector>

namespace test_candidate_choice {

using namespace pocketllm;
using Choice = train::CandidateChoice<toy::CausalCharacters>;
using Ids = std::vector<std::int32_t>;
using Words = std::vector<std::string>;

namespace {

Choice make_choice(std::string_view prompt = "{text} is", Words const& words = {"a", "bcd", "ef"}) {
  return {toy::causal_tokenizer, prompt, words, 20};
}

Choice::Example encode(Choice const& choice, std::string_view text, std::size_t label = 0) {
  return choice.encode(std::vector<text::Field>{{"text", text}, {"other", "q"}}, label);
}

std::string complaint(std::string_view prompt, Words const& words) {
  return test::error_of([&] { static_cast<void>(make_choice(prompt, words)); });
}

std::vector<std::size_t> all_of(std::size_t count) {
  std::vector<std::size_t> indices(count);
  std::iota(indices.begin(), indices.end(), std::size_t{0});
  return indices;
}

} // namespace

TEST_CASE("scores of candidates and the loss over them are transformers'") {
  auto const model = toy::load_opt();
  Runtime runtime(2);
  Choice const choice = make_choice();
  for (auto const& json : toy::opt_batches()) {
    golden::Examples const rows(json);
    std::vector<Choice::Example> examples;
    for (std::size_t s = 0; s < rows.tokens.size(); ++s) {
      examples.push_back({{rows.tokens.ids(s).begin(), rows.tokens.ids(s).end()},
                          json.at("candidates").get<std::vector<Ids>>(),
                          rows.labels[s]});
    }
    auto const batch = choice.batch(examples, all_of(examples.size()));
    auto const losses = choice(model, batch, random::unperturbed(), runtime);
    REQUIRE(losses.size() == 1);
    double const expected = json.at("choice_loss").get<double>();
    CHECK(golden::relative_error(static_cast<double>(losses[0]), expected) <= golden::tolerance);
    auto const result =
        train::evaluate(choice, model, std::span<Choice::Example const>(examples), 2, runtime);
    CHECK(golden::relative_error(result.loss, expected) <= golden::tolerance);
    for (std::size_t i = 0; i < examples.size(); ++i) {
      for (std::size_t c = 0; c < 3; ++c) {
        CHECK(golden::relative_error(static_cast<double>(result.scores[3 * i + c]),
                                     json.at("scores")[i][c].get<double>()) <= golden::tolerance);
      }
    }
    CHECK(toy::same_at_all_points(choice, batch));
  }
}

TEST_CASE("a batch computes a prompt once, and no token from which nothing is predicted") {
  Choice const choice = make_choice();
  std::vector<Choice::Example> const examples{encode(choice, "x", 2), encode(choice, "yy", 1)};
  auto const batch = choice.batch(examples, all_of(2));
  CHECK(batch.labels == std::vector<std::size_t>{2, 1});
  // prompts of </s> x is and </s> yy is; of " a", " bcd" and " ef" all but the last character
  CHECK(batch.tokens.size() == 8);
  CHECK(batch.tokens.tokens() == (5 + 1 + 3 + 2) + (6 + 1 + 3 + 2));
  CHECK(batch.targets.size() == 2 * (2 + 4 + 3));
  CHECK(batch.ends == std::vector<std::size_t>{2, 6, 9, 11, 15, 18});
  CHECK(batch.tokens.tokens_before(3) == 5);
  Choice const single = make_choice("{text}:\n", {"y", "n"});
  std::vector<Choice::Example> const one{encode(single, "x")};
  CHECK(single.batch(one, all_of(1)).tokens.size() == 1);
}

TEST_CASE("prompt and candidates together have the ids of the text they make") {
  Choice const choice = make_choice("{text} is ", {"a{other}", "bcd"});
  auto const example = encode(choice, "x");
  CHECK(example.ids == toy::causal_tokenizer.encode_framed("x is "));
  CHECK(example.candidates[0] == toy::causal_tokenizer.encode("aq"));
  auto const tokenizer = text::load_tokenizer(golden::path_of("../examples/models/tiny-opt"));
  for (std::string const prompt : {"{text} It was", "{text} It was ", "{text}\n"}) {
    CAPTURE(prompt);
    train::CandidateChoice const real(tokenizer, prompt, Words{"terrible", "great fun"}, 32);
    auto const found = real.encode(std::vector<text::Field>{{"text", "All in all."}}, 1);
    std::string const before = prompt == "{text}\n" ? "All in all.\n" : "All in all. It was ";
    for (std::size_t c = 0; c < 2; ++c) {
      Ids whole = found.ids;
      whole.insert(whole.end(), found.candidates[c].begin(), found.candidates[c].end());
      CHECK(whole == tokenizer.encode_framed(before + (c == 0 ? "terrible" : "great fun")));
    }
    CHECK(found.ids.size() < tokenizer.encode_framed(before + "terrible").size());
  }
}

TEST_CASE("prompts are cut so that the longest candidate fits") {
  Choice const choice = make_choice();
  auto const example = encode(choice, "a very long text indeed");
  CHECK(example.ids.size() == 16);
  CHECK(example.candidates[1].size() == 4);
}

TEST_CASE("what makes no choice is refused") {
  CHECK(complaint("{text}", {"a", "b"}) == "no error");
  CHECK(complaint("{text}", {"a"}) == "a choice needs at least two candidates, not 1");
  CHECK(complaint("{text}", {"a", ""}) == "candidate \"\" is empty; give a text for each");
  CHECK(complaint("{text}", {"a", "b", "a"}) == "candidate \"a\" stands for two classes, which could not be "
                                                "told apart; choose another for one of them");
  CHECK(complaint("{text}", {"a", " a"}).starts_with("candidate \" a\" stands for two classes"));
  CHECK(complaint("{text} ", {"a", " a"}) == "no error"); // of which one has two spaces before it
  CHECK(complaint("{text}{mask}", {"a", "b"}) ==
        "template \"{text}{mask}\": {mask} is for masked language models such as RoBERTa; this model "
        "continues the prompt, so write none");
  CHECK(test::error_of([&] { static_cast<void>(encode(make_choice(), "x", 3)); }) ==
        "class 3 has no candidate; there are 3");
  CHECK(test::error_of([&] { static_cast<void>(encode(make_choice("{title}"), "x")); }) ==
        "template \"{title}\": no value for {title}");
  Words const endless{"abcdefghijklmnopqrstuvwxyz", "b"};
  CHECK(test::error_of([&] { static_cast<void>(encode(make_choice("{text}", endless), "x")); }) ==
        "a candidate of 27 tokens leaves no room for the prompt among 20; allow more tokens");
}

} // namespace test_candidate_choice
