// SPDX-License-Identifier: Apache-2.0
// Language modelling and answers: losses against transformers, windows, and what is refused.
#include "temporary_folder.hpp"
#include "toy_causal.hpp"
#include <pocketllm/train/causal_text.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <numeric>
#include <string>
#include <vector>

namespace test_causal_text {

using namespace pocketllm;
using train::AnswerLoss;
using train::CausalText;
using train::NextTokenExample;
using train::NextTokenLoss;
using Ids = std::vector<std::int32_t>;

namespace {

std::vector<NextTokenExample> golden_examples(golden::Json const& json) {
  golden::Examples const rows(json);
  std::vector<NextTokenExample> examples;
  for (std::size_t s = 0; s < rows.tokens.size(); ++s) {
    examples.push_back({{rows.tokens.ids(s).begin(), rows.tokens.ids(s).end()}, 1});
  }
  return examples;
}

std::vector<std::size_t> all_of(std::size_t count) {
  std::vector<std::size_t> indices(count);
  std::iota(indices.begin(), indices.end(), std::size_t{0});
  return indices;
}

std::vector<text::Field> fields(std::string_view question, std::string_view answer) {
  return {{"question", question}, {"answer", answer}};
}

} // namespace

TEST_CASE("the loss of texts is transformers', and so is their perplexity") {
  auto const model = toy::load_opt();
  Runtime runtime(2);
  for (auto const& json : toy::opt_batches()) {
    auto const examples = golden_examples(json);
    NextTokenLoss const objective;
    auto const losses =
        objective(model, objective.batch(examples, all_of(examples.size())), random::unperturbed(), runtime);
    double const expected = json.at("loss").get<double>();
    REQUIRE(losses.size() == 1);
    CHECK(golden::relative_error(static_cast<double>(losses[0]), expected) <= golden::tolerance);
    for (std::size_t const batch : {1U, 2U, 100U}) {
      auto const result = train::evaluate_tokens(model, std::span(examples), batch, runtime);
      CHECK(golden::relative_error(result.loss, expected) <= golden::tolerance);
      CHECK(result.perplexity() == doctest::Approx(std::exp(result.loss)));
      double sum = 0.0;
      std::size_t tokens = 0;
      for (std::size_t i = 0; i < examples.size(); ++i) {
        CHECK(result.tokens[i] == examples[i].ids.size() - 1);
        sum += result.log_probabilities[i];
        tokens += result.tokens[i];
      }
      CHECK(-sum / static_cast<double>(tokens) == doctest::Approx(result.loss));
    }
  }
}

TEST_CASE("a text is cut at the window, and windows predict each token once") {
  CausalText const objective(toy::causal_tokenizer, 6);
  CHECK(objective.encode("abc").ids == Ids{2, 69, 70, 71});
  CHECK(objective.encode("abcdefghi").ids.size() == 6);
  CHECK(objective.encode("abc").first == 1);
  std::string const text = "abcdefghijklmnopq";
  for (std::size_t const overlap : {0U, 1U, 3U}) {
    CAPTURE(overlap);
    CausalText const cutter(toy::causal_tokenizer, 6, overlap);
    Ids predicted;
    for (auto const& window : cutter.windows(text)) {
      CHECK(window.ids.size() <= 6);
      CHECK(window.ids.front() == 2);
      CHECK(window.first >= 1 + (predicted.empty() ? 0 : overlap));
      predicted.insert(predicted.end(), window.ids.begin() + static_cast<std::ptrdiff_t>(window.first),
                       window.ids.end());
    }
    CHECK(predicted == toy::causal_tokenizer.encode(text));
  }
  CHECK(objective.windows("").empty());
  CHECK(test::error_of([&] { CausalText const none(toy::causal_tokenizer, 6, 5); }) ==
        "windows of 6 tokens with an overlap of 5 leave nothing to predict; make them longer");
  std::vector<NextTokenExample> const empty{objective.encode("")};
  CHECK(test::error_of([&] { static_cast<void>(objective.batch(empty, all_of(1))); }) ==
        "example 0: 1 tokens, of which none from number 1 on can be predicted from one before");
}

TEST_CASE("only an answer's tokens are predicted, and its end") {
  AnswerLoss const objective(toy::causal_tokenizer, "{question}:", "{answer}", 12);
  auto const example = objective.encode(fields("ab", "xy"));
  CHECK(example.ids == Ids{2, 69, 70, 30, 92, 93, 2});
  CHECK(example.first == 4);
  CHECK(objective.encode(fields("abcdefghijklmnop", "xy")).ids.size() == 12);
  CHECK(objective.encode(fields("abcdefghijklmnop", "xy")).first == 9);
  CHECK(objective.encode_question(fields("abcdefghijklmnop", ""), 4).size() == 8);
  AnswerLoss const endless(toy::causal_tokenizer, "{question}:", "{answer}", 12, false);
  CHECK(endless.encode(fields("ab", "xy")).ids == Ids{2, 69, 70, 30, 92, 93});
  std::vector<NextTokenExample> const examples{example};
  auto const batch = objective.batch(examples, all_of(1));
  CHECK(batch.tokens.tokens() == 6);
  REQUIRE(batch.targets.size() == 3);
  CHECK(batch.targets[0].row == 3);
  CHECK(batch.targets[0].id == 92);
  CHECK(batch.targets[2].id == 2);
  CHECK(test::error_of([&] { static_cast<void>(objective.encode(fields("ab", "xyxyxyxyxyxyxyx"))); }) ==
        "a candidate of 15 tokens leaves no room for the prompt among 11; allow more tokens");
  CHECK(test::error_of([&] { static_cast<void>(objective.encode(fields("ab", ""))); }) ==
        "candidate \"\" adds no token to the prompt");
  CHECK(test::error_of([&] {
          AnswerLoss const masked(toy::causal_tokenizer, "{question}{mask}", "{answer}", 12);
        }).find("{mask} is for masked language models") != std::string::npos);
}

TEST_CASE("losses of texts and answers at several points are those at one after the other, bit for bit") {
  NextTokenLoss const objective;
  auto examples = golden_examples(toy::opt_batches().at(1));
  CHECK(toy::same_at_all_points(objective, objective.batch(examples, all_of(examples.size()))));
  for (auto& example : examples) {
    example.first = example.ids.size() - 2;
  }
  CHECK(toy::same_at_all_points(objective, objective.batch(examples, all_of(examples.size()))));
}

} // namespace test_causal_text
