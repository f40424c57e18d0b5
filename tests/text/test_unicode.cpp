// SPDX-License-Identifier: Apache-2.0
// UTF-8, character classes, GPT-2's words and byte spelling.
#include <pocketllm/text/byte_level.hpp>
#include <pocketllm/text/quote.hpp>
#include <pocketllm/text/unicode.hpp>
#include <pocketllm/text/utf8.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace test_unicode {

using namespace pocketllm::text;

namespace {

std::vector<std::string> words(std::string_view text) {
  std::vector<std::string> result;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t const end = end_of_word(text, at);
    result.emplace_back(text.substr(at, end - at));
    REQUIRE(end > at);
    at = end;
  }
  return result;
}

using Words = std::vector<std::string>;

/// UTF-8 of any code point, the plain way.
std::string utf8(char32_t c) {
  auto const tail = [&](int shift) { return static_cast<char>(0x80U | ((c >> shift) & 0x3fU)); };
  if (c < 0x80) {
    return {static_cast<char>(c)};
  }
  if (c < 0x800) {
    return {static_cast<char>(0xc0U | (c >> 6)), tail(0)};
  }
  if (c < 0x10000) {
    return {static_cast<char>(0xe0U | (c >> 12)), tail(6), tail(0)};
  }
  return {static_cast<char>(0xf0U | (c >> 18)), tail(12), tail(6), tail(0)};
}

} // namespace

TEST_CASE("every code point is read back from UTF-8, surrogates are not valid") {
  std::size_t wrong = 0;
  for (char32_t c = 0; c < 0x110000; ++c) {
    std::string const text = utf8(c);
    bool const surrogate = c >= 0xd800 && c < 0xe000;
    bool const valid = is_valid_utf8(text);
    wrong += valid == surrogate ? 1U : 0U;
    if (valid) {
      CodePoint const read = code_point_at(text, 0);
      wrong += read.value != c || read.length != text.size() || previous_code_point(text, text.size()) != 0
                   ? 1U
                   : 0U;
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("invalid UTF-8 becomes U+FFFD, one for each maximal subpart, as in Python") {
  struct Case {
    std::string_view bytes;
    std::string_view expected;
  };
  constexpr std::array<Case, 10> cases{{{"plain", "plain"},
                                        {"\x80", "\ufffd"},
                                        {"a\xe2\x82z", "a\ufffdz"},
                                        {"\xed\xa0\x80", "\ufffd\ufffd\ufffd"},
                                        {"\xf0\x90\x80", "\ufffd"},
                                        {"\xc0\xaf", "\ufffd\ufffd"},
                                        {"\xf4\x90\x80\x80", "\ufffd\ufffd\ufffd\ufffd"},
                                        {"\xe2\x82\xac\xc3", "\u20ac\ufffd"},
                                        {"\xff\xfe", "\ufffd\ufffd"},
                                        {"12345678\x80"
                                         "12345678",
                                         "12345678\ufffd12345678"}}};
  for (auto const& [bytes, expected] : cases) {
    CHECK(replace_invalid_utf8(bytes) == expected);
    CHECK(is_valid_utf8(replace_invalid_utf8(bytes)));
  }
  CHECK(valid_utf8_prefix("abcdefgh\xc3") == 8);
}

TEST_CASE("character classes: how many code points of Unicode 16.0.0 each has, and single ones") {
  std::array<std::size_t, 4> count{};
  std::size_t word = 0;
  for (char32_t c = 0; c < 0x110000; ++c) {
    ++count[static_cast<std::size_t>(character_class(c))];
    word += is_word_character(c) ? 1U : 0U;
  }
  // The counts that `tokenizers` 0.23 gives for \p{L}, \p{N}, \s and \w.
  CHECK(count[1] == 141028);
  CHECK(count[2] == 1911);
  CHECK(count[3] == 25);
  CHECK(word == 144667);
  CHECK(character_class(U'\u00aa') == CharacterClass::letter);
  CHECK(character_class(U'\u00b2') == CharacterClass::number);
  CHECK(character_class(U'\u00a0') == CharacterClass::space);
  CHECK(character_class(U'\u0301') == CharacterClass::other);
  CHECK(character_class(U'\u200b') == CharacterClass::other);
  CHECK(character_class(U'\x1f') == CharacterClass::other);
  CHECK(character_class(U'\U00031350') == CharacterClass::letter); // since Unicode 15
  CHECK(character_class(U'\U0010ffff') == CharacterClass::other);
  CHECK(is_word_character(U'\u0301'));
  CHECK(!is_word_character(U'\u00b2'));
}

TEST_CASE("words are the matches of GPT-2's expression") {
  CHECK(words("") == Words{});
  CHECK(words("it's we'll") == Words{"it", "'s", " we", "'ll"});
  CHECK(words("IT'S") == Words{"IT", "'", "S"});
  CHECK(words("'re've'd'm't'x") == Words{"'re", "'ve", "'d", "'m", "'t", "'", "x"});
  CHECK(words(" 's") == Words{" '", "s"});
  CHECK(words("!'s") == Words{"!'", "s"});
  CHECK(words("'") == Words{"'"});
  CHECK(words("'r") == Words{"'", "r"});
  CHECK(words("a  b") == Words{"a", " ", " b"});
  CHECK(words("a   ") == Words{"a", "   "});
  CHECK(words("a \n b") == Words{"a", " \n", " b"});
  CHECK(words("a\n\nb") == Words{"a", "\n", "\n", "b"});
  CHECK(words("a \u00a0b") == Words{"a", " ", "\u00a0", "b"});
  CHECK(words("x2 3.5") == Words{"x", "2", " 3", ".", "5"});
  CHECK(words(" \u0301e") == Words{" \u0301", "e"});
}

TEST_CASE("each byte has a spelling of its own, and it reads back") {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) {
    all.push_back(static_cast<char>(byte));
  }
  std::string const spelled = spell_bytes(all);
  CHECK(is_valid_utf8(spelled));
  CHECK(bytes_of_spelling(spelled) == all);
  CHECK(spell_bytes(" the\n") == "\u0120the\u010a");
  CHECK(!bytes_of_spelling("a b"));
  CHECK(!bytes_of_spelling("\u20ac"));
  CHECK(!bytes_of_spelling("\u0144")); // one past the last
}

TEST_CASE("quoted text is one short line") {
  CHECK(quote("a\"b\\c\n\t\x01") == R"("a\"b\\c\n\t\x01")");
  CHECK(quote("a\xff") == "\"a\ufffd\"");
  CHECK(quote(std::string(100, 'x'), 3) == "\"xxx...\"");
}

} // namespace test_unicode
