// SPDX-License-Identifier: Apache-2.0
// How good written answers are: exact match and F1 over words, as SQuAD counts them (Rajpurkar et al., arXiv
// 1606.05250, evaluate-v1.1.py; an answer without words as in evaluate-v2.0.py).
#pragma once

#include <pocketllm/text/bert_normalizer.hpp>
#include <pocketllm/text/unicode.hpp>
#include <pocketllm/text/utf8.hpp>

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pocketllm::train {

/// The words of an answer in lower case, without ASCII punctuation and the articles a, an and the.
[[nodiscard]] inline std::vector<std::string> answer_words(std::string_view answer) {
  std::vector<std::string> words(1);
  std::string const text = text::replace_invalid_utf8(answer);
  text::BertNormalizer const lower{
      .clean_text = false, .handle_chinese_chars = false, .strip_accents = false, .lowercase = true};
  for (text::NormalCharacter const& c : text::normalize(lower, text)) {
    bool const ascii_mark =
        c.value > 0x20 && c.value < 0x7f && text::character_class(c.value) == text::CharacterClass::other;
    if (text::character_class(c.value) == text::CharacterClass::space) {
      words.emplace_back();
    } else if (!ascii_mark) {
      text::append_code_point(words.back(), c.value);
    }
  }
  std::erase_if(words, [](std::string const& word) {
    return word.empty() || word == "a" || word == "an" || word == "the";
  });
  return words;
}

/// Of one answer, or the mean over several; both from 0 to 1.
struct AnswerMatch {
  double exact = 0.0; ///< whether the words are the same in the same order
  double f1 = 0.0;    ///< harmonic mean of the shares of words that the two have in common, each as often
};

/// Compares a written answer with the expected one.
[[nodiscard]] inline AnswerMatch match_answer(std::string_view written, std::string_view expected) {
  std::vector<std::string> a = answer_words(written), b = answer_words(expected);
  double const exact = a == b ? 1.0 : 0.0;
  if (a.empty() || b.empty()) {
    return {exact, exact};
  }
  std::sort(a.begin(), a.end());
  std::sort(b.begin(), b.end());
  std::vector<std::string> common;
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(common));
  return {exact, 2.0 * static_cast<double>(common.size()) / static_cast<double>(a.size() + b.size())};
}

} // namespace pocketllm::train
