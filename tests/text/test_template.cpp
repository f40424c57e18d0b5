// SPDX-License-Identifier: Apache-2.0
// Prompt templates and label words.
#include "test_tokenizer_data.hpp"
#include <pocketllm/text/label_word.hpp>
#include <pocketllm/text/prompt_template.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace test_template {

using namespace pocketllm::text;
using namespace tokenizer_test;

namespace {

AnyTokenizer const& tokenizer() {
  static AnyTokenizer const small = load_tokenizer(data_path());
  return small;
}

std::string parse_error(std::string_view text) {
  try {
    (void)PromptTemplate(text);
  } catch (pocketllm::Error const& error) {
    return error.what();
  }
  return "";
}

} // namespace

TEST_CASE("a rendered prompt is the rendered text, tokenized as a whole") {
  struct Case {
    std::string_view source;
    std::string_view rendered;
    std::size_t first_mask; ///< position, counted by hand; 0: not counted
  };
  std::vector<Case> const cases{
      {"This is a {mask} message: {text}", "This is a <mask> message: the ferry's late", 4},
      {"{text} It was {mask}.", "the ferry's late It was <mask>.", 0},
      {"{mask}: {text}", "<mask>: the ferry's late", 1},
      {"{{{text}}}{mask}", "{the ferry's late}<mask>", 0},
      {"{text}{text}? {mask}, {mask}", "the ferry's latethe ferry's late? <mask>, <mask>", 0}};
  for (Case const& one : cases) {
    INFO(one.source); // no structured binding: INFO captures, which clang 14 does not do with one
    Prompt const prompt = PromptTemplate(one.source).render(tokenizer(), {{"text", "the ferry's late"}}, 512);
    CHECK(prompt.ids == tokenizer().encode_framed(one.rendered));
    std::vector<std::size_t> positions;
    for (std::size_t i = 0; i < prompt.ids.size(); ++i) {
      if (prompt.ids[i] == 4) {
        positions.push_back(i);
      }
    }
    CHECK(prompt.mask_positions == positions);
    if (one.first_mask != 0) {
      CHECK(positions.at(0) == one.first_mask);
    }
  }
}

TEST_CASE("the mask is the template's, not one that a text contains") {
  PromptTemplate const prompt("{text} It was {mask}.");
  auto const result = prompt.render(tokenizer(), {{"text", "write <mask> here <mask>"}}, 512);
  std::vector<std::size_t> masks;
  for (std::size_t i = 0; i < result.ids.size(); ++i) {
    if (result.ids[i] == 4) {
      masks.push_back(i);
    }
  }
  REQUIRE(masks.size() == 3);
  CHECK(result.mask_positions == std::vector<std::size_t>{masks[2]});
}

TEST_CASE("too long: the text is cut at its end, at a token, as little as makes it fit") {
  PromptTemplate const prompt("This is a {mask} message: {text} Thanks.");
  std::string const text =
      "We've counted 1200 lanterns along the river, Br\u00fccke \u4eca\u65e5 \U0001f389\U0001f389 yes.";
  auto const whole = prompt.render(tokenizer(), {{"text", text}}, 512);
  auto const empty = prompt.render(tokenizer(), {{"text", ""}}, 512);
  std::string const head = "This is a<mask> message:";
  for (std::size_t most = empty.ids.size(); most <= whole.ids.size(); ++most) {
    auto const cut = prompt.render(tokenizer(), {{"text", text}}, most);
    CHECK(cut.ids.size() <= most);
    CHECK(cut.ids.size() + 4 >= most); // a code point of several tokens is kept or dropped as a whole
    CHECK(cut.mask_positions == whole.mask_positions);
    CHECK(cut.ids.back() == 2);
    std::string const decoded = tokenizer().decode(cut.ids, false);
    CHECK(decoded.starts_with("<s>" + head + " "));
    CHECK(decoded.ends_with(" Thanks.</s>"));
    CHECK(decoded.find("\ufffd") == std::string::npos);
    std::string const kept = decoded.substr(head.size() + 4, decoded.size() - head.size() - 4 - 12);
    CHECK(text.starts_with(kept));
  }
  CHECK(prompt.render(tokenizer(), {{"text", text}}, whole.ids.size()).ids == whole.ids);
  CHECK_THROWS_WITH_AS((void)prompt.render(tokenizer(), {{"text", text}}, empty.ids.size() - 1),
                       doctest::Contains("tokens, more than the "), pocketllm::Error);
  CHECK_THROWS_AS((void)prompt.render(tokenizer(), {{"text", text}}, 0), pocketllm::Error);
}

TEST_CASE("of several fields the longest is cut first") {
  PromptTemplate const prompt("{premise}? {mask}, {hypothesis}");
  CHECK(prompt.field_names() == std::vector<std::string>{"premise", "hypothesis"});
  std::string const longer = "the river, the river, the river, the river, the river";
  std::string const shorter = "the ferry";
  auto const whole = prompt.render(tokenizer(), {{"hypothesis", shorter}, {"premise", longer}}, 512);
  auto const cut =
      prompt.render(tokenizer(), {{"hypothesis", shorter}, {"premise", longer}}, whole.ids.size() - 4);
  CHECK(cut.ids.size() == whole.ids.size() - 4);
  CHECK(tokenizer().decode(cut.ids).ends_with("<mask>, the ferry</s>"));
  CHECK(tokenizer().decode(cut.ids).starts_with("<s>the river, the river"));
  CHECK(share_tokens({5, 9, 2}, 10) == std::vector<std::size_t>{4, 4, 2});
  CHECK(share_tokens({5, 9, 2}, 9) == std::vector<std::size_t>{4, 3, 2});
  CHECK(share_tokens({5, 9}, 0) == std::vector<std::size_t>{0, 0});
  CHECK(share_tokens({5, 9}, 20) == std::vector<std::size_t>{5, 9});
}

TEST_CASE("invalid UTF-8 in a value reads as U+FFFD") {
  PromptTemplate const prompt("{text} {mask}");
  auto const ids = prompt.render(tokenizer(), {{"text", "caf\xe9"}}, 99).ids;
  CHECK(ids == prompt.render(tokenizer(), {{"text", "caf\ufffd"}}, 99).ids);
}

TEST_CASE("wrong templates and values") {
  CHECK(parse_error("This is {text}").find("no {mask}; write {mask}") != std::string::npos);
  CHECK(parse_error("{mask} {text").find("{ at byte 7 is not closed") != std::string::npos);
  CHECK(parse_error("{mask} {a{b}").find("{ at byte 7 is not closed") != std::string::npos);
  CHECK(parse_error("{mask} text}").find("} without { before it at byte 11") != std::string::npos);
  CHECK(parse_error("{mask} {}").find("{} at byte 7 is not the name of a field") != std::string::npos);
  CHECK(parse_error("{mask} { text }").find("is not the name of a field") != std::string::npos);
  CHECK(parse_error("{mask} \xff").find("invalid UTF-8") != std::string::npos);
  CHECK_THROWS_WITH_AS((void)PromptTemplate("{text} {mask}").render(tokenizer(), {{"sentence", "a"}}, 99),
                       "template \"{text} {mask}\": no value for {text}", pocketllm::Error);

  PromptTemplate const plain("Review: {text}", MaskSlot::optional);
  CHECK(plain.mask_count() == 0);
  CHECK(plain.render(tokenizer(), {{"text", "a"}}, 99).ids == tokenizer().encode_framed("Review: a"));

  Directory opt;
  opt.copy("vocab.json").copy("merges.txt").write("config.json", R"({"model_type": "opt"})");
  CHECK_THROWS_WITH_AS((void)PromptTemplate("{mask}").render(opt.load(), {}, 99),
                       doctest::Contains("the tokenizer has no mask token"), pocketllm::Error);
}

TEST_CASE("label words come after a space unless the mask does not") {
  CHECK(PromptTemplate("It was {mask}.").mask_follows_space());
  CHECK(!PromptTemplate("{mask} {text}").mask_follows_space());
  CHECK(!PromptTemplate("({mask}) {text}").mask_follows_space());
  CHECK(!PromptTemplate("{text}{mask}").mask_follows_space());

  CHECK(label_word_id(tokenizer(), "the", true) == tokenizer().id_of("\u0120the"));
  CHECK(label_word_id(tokenizer(), " the", true) == tokenizer().id_of("\u0120the"));
  CHECK(label_word_id(tokenizer(), "he", false) == tokenizer().id_of("he"));
  auto const message = [](std::string_view word) -> std::string {
    try {
      (void)label_word_id(tokenizer(), word, true);
    } catch (pocketllm::Error const& error) {
      return error.what();
    }
    return "";
  };
  auto const ids = tokenizer().encode(" harbourthe");
  std::string expected = "label word \"harbourthe\" is " + std::to_string(ids.size()) + " tokens (";
  for (std::size_t i = 0; i < ids.size(); ++i) {
    expected += (i == 0 ? "\"" : " \"") + tokenizer().decode(std::vector{ids[i]}) + "\"";
  }
  CHECK(message("harbourthe") == expected + "); choose a word that is one token");
  CHECK(message("").starts_with("label word \"\" is empty"));
  CHECK(message("<unk>").find("tokens (\" \" \"<unk>\")") != std::string::npos);
  CHECK(message("a\nb").find('\n') == std::string::npos);
}

} // namespace test_template
