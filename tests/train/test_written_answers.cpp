// SPDX-License-Identifier: Apache-2.0
// Answers that a model writes: where they end, how they are compared, and their loss at points of the
// weights.
#include "models/written_at.hpp"
#include "temporary_folder.hpp"
#include "toy_causal.hpp"
#include <pocketllm/models/prefixed.hpp>
#include <pocketllm/optimize/multi_point.hpp>
#include <pocketllm/optimize/update_rule.hpp>
#include <pocketllm/train/written_answers.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

namespace test_written_answers {

using namespace pocketllm;
using train::NextTokenExample;
using Ids = std::vector<std::int32_t>;

namespace {

/// Every token is a word, " w7"; 3 ends a line, and 2 a text.
struct Words : toy::CausalCharacters {
  [[nodiscard]] std::string decode(std::span<std::int32_t const> ids) const {
    std::string text;
    for (std::int32_t const id : ids) {
      text += id == 3 ? "\n" : " w" + std::to_string(id);
    }
    return text;
  }
};
Words const words;
using Form = train::AnswerForm<Words>;
using Written = train::WrittenAnswers<Words>;

static_assert(train::Objective<Written, models::Opt<float>>);
static_assert(train::Objective<Written, models::Prefixed<models::Opt<float>>>);
static_assert(!train::Objective<Written, models::Roberta<float>>);

Form form_of(std::vector<NextTokenExample> const& examples) {
  Form form(words);
  form.add(examples);
  return form;
}

std::vector<std::size_t> all_of(std::size_t count) {
  std::vector<std::size_t> indices(count);
  std::iota(indices.begin(), indices.end(), std::size_t{0});
  return indices;
}

/// Questions of different lengths that leave the model few positions, with answers that it writes itself,
/// some words of which are exchanged.
std::vector<NextTokenExample> make_examples(models::Opt<float> const& model, Runtime& runtime) {
  std::vector<NextTokenExample> examples;
  for (std::size_t i = 0; i < 9; ++i) {
    Ids ids{2};
    for (std::size_t k = 0; k < 11 + i % 5; ++k) {
      ids.push_back(static_cast<std::int32_t>(5 + (7 * i + 3 * k) % 90));
    }
    NextTokenExample example{ids, ids.size()};
    Ids answer = models::generate(model, ids, {.max_tokens = 20}, runtime);
    for (std::size_t k = 0; k < answer.size() && i % 3 != 0; k += i % 3) { // none, all or every second
      answer[k] = 99;
    }
    example.ids.insert(example.ids.end(), answer.begin(), answer.end());
    example.ids.push_back(2);
    examples.push_back(example);
  }
  return examples;
}

} // namespace

TEST_CASE("an answer ends with its line, the text, or some tokens behind the longest expected one") {
  std::vector<NextTokenExample> examples{{{2, 40, 41, 50, 51, 52, 2}, 3}, {{2, 40, 60}, 2}};
  Form form = form_of(examples);
  CHECK(form.expected(examples[0]) == " w50 w51 w52");
  CHECK(form.expected(examples[1]) == " w60"); // which was cut, or has no end
  CHECK(form.question(examples[0]).size() == 3);
  CHECK(form.max_tokens() == 4 + Form::more);
  CHECK(form.options().max_tokens == 4 + Form::more);
  CHECK(form.options().eos == 2);
  CHECK(form.options().sampling.temperature == 0.0F);
  CHECK(form.options().on_token(50));
  CHECK_FALSE(form.options().on_token(3));
  CHECK(form.written(Ids{50, 51, 3}) == " w50 w51");
  CHECK(form.written(Ids{3}).empty());
  examples = {{{2, 40, 50, 3, 51, 2}, 2}}; // an answer of two lines
  form.add(examples);
  CHECK(!form.options().on_token);
  CHECK(form.written(Ids{50, 3, 51}) == " w50\n w51");
  examples = {{Ids(1000, 50), 1}};
  form.add(examples);
  CHECK(form.max_tokens() == Form::most);
}

TEST_CASE("an evaluation compares what generate() writes") {
  auto const model = toy::load_opt();
  Runtime runtime(2);
  auto const examples = make_examples(model, runtime);
  Form const form = form_of(examples);
  auto const result = train::evaluate_answers(model, form, std::span(examples), runtime);
  REQUIRE(result.matches.size() == 9);
  train::AnswerMatch sum;
  for (std::size_t i = 0; i < examples.size(); ++i) {
    Ids const question(examples[i].ids.begin(),
                       examples[i].ids.begin() + static_cast<std::ptrdiff_t>(examples[i].first));
    std::string const text = words.decode(models::generate(model, question, {.eos = 2}, runtime));
    CHECK(result.written[i] == text.substr(0, text.find('\n')));
    CHECK(result.expected[i] == form.expected(examples[i]));
    auto const match = train::match_answer(result.written[i], result.expected[i]);
    CHECK(result.matches[i].exact == match.exact);
    CHECK(result.matches[i].f1 == match.f1);
    CHECK(match.exact == (i % 3 == 0 ? 1.0 : 0.0));
    sum.exact += match.exact, sum.f1 += match.f1;
  }
  CHECK(result.mean.exact == doctest::Approx(sum.exact / 9));
  CHECK(result.mean.f1 == doctest::Approx(sum.f1 / 9));
  CHECK(result.mean.exact == doctest::Approx(1.0 / 3));
  CHECK(result.mean.f1 > 0.4);
  CHECK(train::evaluate_answers(model, form, {}, runtime).mean.f1 == 0.0);
}

TEST_CASE("the loss at a point is that of the answers of a model whose weights were perturbed in memory") {
  auto const model = toy::load_opt();
  Runtime runtime(2);
  auto const examples = make_examples(model, runtime);
  Form const form = form_of(examples);
  std::vector<random::Point> const points{random::origin, {4, 0.02F}, {4, -0.02F}, {9, 0.1F}};
  auto const at = random::perturb(random::Gaussian{}, std::span(points));
  Written const exact(form, train::answer_score("exact-match")), f1(form, train::answer_score("answer-f1"));
  auto const batch = exact.batch(examples, all_of(examples.size()));
  auto const misses = exact(model, batch, at, runtime), lost = f1(model, batch, at, runtime);
  REQUIRE(misses.size() == points.size());
  for (std::size_t l = 0; l < points.size(); ++l) {
    CAPTURE(l);
    auto const twin = golden::written_at<models::Opt<float>>(model, random::Gaussian{}, points[l]);
    auto const expected = train::evaluate_answers(twin, form, std::span(examples), runtime).mean;
    CHECK(static_cast<double>(misses[l]) == doctest::Approx(1.0 - expected.exact));
    CHECK(static_cast<double>(lost[l]) == doctest::Approx(1.0 - expected.f1));
  }
  CHECK(misses[0] == doctest::Approx(2.0 / 3));
  CHECK(lost[0] < lost[1]); // other weights write other texts
  CHECK(lost[1] != lost[2]);
}

TEST_CASE("the loss is that of the chosen examples, by any score") {
  auto const model = toy::load_opt();
  Runtime runtime(1);
  auto const examples = make_examples(model, runtime);
  std::vector<std::string> seen;
  Written const longest(form_of(examples), [&](std::string_view written, std::string_view expected) {
    seen.emplace_back(expected);
    return written.empty() ? 0.0 : 0.25;
  });
  std::vector<std::size_t> const chosen{4, 2};
  auto const losses = longest(model, longest.batch(examples, chosen), random::unperturbed(), runtime);
  CHECK(losses == std::vector<float>{0.75F});
  Form const form(words);
  CHECK(seen == std::vector<std::string>{form.expected(examples[4]), form.expected(examples[2])});
  std::vector<NextTokenExample> const unanswered{{{2, 40}, 2}};
  CHECK(test::error_of([&] { static_cast<void>(longest.batch(unanswered, all_of(1))); }) ==
        "example 0: 2 tokens, of which none from number 2 on can be predicted from one before");
  CHECK(test::error_of([] { static_cast<void>(train::answer_score("f1")); }) ==
        "there is no score of answers called f1; there are exact-match and answer-f1");
}

TEST_CASE("what is written can be trained by any score, which has no gradient") {
  auto model = toy::load_opt();
  Runtime runtime(2);
  auto const examples = make_examples(model, runtime);
  Written const objective(form_of(examples), [](std::string_view written, std::string_view) {
    auto const text = train::answer_words(written);
    auto const even = std::count_if(text.begin(), text.end(),
                                    [](std::string const& word) { return (word.back() - '0') % 2 == 0; });
    return text.empty() ? 0.0 : static_cast<double>(even) / static_cast<double>(text.size());
  });
  auto const batch = objective.batch(examples, all_of(examples.size()));
  auto const loss = [&] { return objective(model, batch, random::unperturbed(), runtime).at(0); };
  float const before = loss();
  optimize::MultiPoint const estimator{.epsilon = 0.05F, .seed = 1, .directions = 16};
  optimize::Sgd const update{.learning_rate = 1e-2F};
  for (std::uint64_t step = 0; step < 10; ++step) {
    auto const points = estimator.points(step);
    auto const losses =
        objective(model, batch, random::perturb(random::Gaussian{}, std::span(points)), runtime);
    update(model, random::Gaussian{}, estimator.gradient(points, losses), runtime);
  }
  CHECK(loss() < before - 0.2F);
}

} // namespace test_written_answers
