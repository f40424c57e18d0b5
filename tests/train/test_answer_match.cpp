// SPDX-License-Identifier: Apache-2.0
// Exact match and F1 of answers: the figures of SQuAD's script.
#include <pocketllm/train/answer_match.hpp>

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace test_answer_match {

using namespace pocketllm;
using train::answer_words;
using train::match_answer;

namespace {
using Words = std::vector<std::string>;
} // namespace

TEST_CASE("words are lower-cased, without punctuation and articles") {
  CHECK(answer_words(" The  Eiffel-Tower, an\tICON\nof a city! ") ==
        Words{"eiffeltower", "icon", "of", "city"});
  CHECK(answer_words("theatre Anna a.m. U.S.A. $5 +_`~").size() == 5);
  CHECK(answer_words("theatre Anna a.m. U.S.A. $5 +_`~") == Words{"theatre", "anna", "am", "usa", "5"});
  CHECK(answer_words("Z\xc3\x9cRICH \xe2\x80\x9cX\xe2\x80\x9d") ==
        Words{"z\xc3\xbcrich", "\xe2\x80\x9cx\xe2\x80\x9d"});
  CHECK(answer_words("a\xff b").size() == 2);
  CHECK(answer_words("").empty());
  CHECK(answer_words(" the, a ").empty());
}

TEST_CASE("exact match and F1 over words") {
  auto const same = match_answer("the Eiffel Tower.", "Eiffel tower");
  CHECK(same.exact == 1.0);
  CHECK(same.f1 == 1.0);
  // 2 of 3 words are right, 2 of 4 found: 2 * (2/3 * 2/4) / (2/3 + 2/4)
  auto const part = match_answer("in New York", "New York City hall");
  CHECK(part.exact == 0.0);
  CHECK(part.f1 == doctest::Approx(4.0 / 7.0));
  // a word counts as often as both have it
  CHECK(match_answer("no no no", "no").f1 == doctest::Approx(0.5));
  CHECK(match_answer("no no no", "no no yes").f1 == doctest::Approx(2.0 / 3.0));
  auto const order = match_answer("york new", "new york");
  CHECK(order.exact == 0.0);
  CHECK(order.f1 == 1.0);
  CHECK(match_answer("red", "blue").f1 == 0.0);
}

TEST_CASE("an answer without words matches only another one") {
  CHECK(match_answer("", "the").exact == 1.0);
  CHECK(match_answer("", "the").f1 == 1.0);
  CHECK(match_answer("", "tea").f1 == 0.0);
  CHECK(match_answer("tea", "").exact == 0.0);
}

} // namespace test_answer_match
