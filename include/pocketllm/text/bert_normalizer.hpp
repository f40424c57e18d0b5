// SPDX-License-Identifier: Apache-2.0
// BERT's basic tokenizer (Devlin et al., the published code): cleaning, spaces around CJK characters, accents
// stripped, lower case; then words between white space and punctuation.
#pragma once

#include <pocketllm/text/bert_tables.hpp>
#include <pocketllm/text/unicode.hpp>
#include <pocketllm/text/utf8.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace pocketllm::text {

/// What a character is to BERT. The numbers are those of bert_tables.hpp.
enum class BertClass : std::uint8_t {
  other = 0,
  removed = 1, ///< control and format characters, U+FFFD
  space = 2,   ///< becomes a space when a text is cleaned
  ideograph = 3,
  punctuation = 4,
  accent = 5,      ///< a mark that is stripped
  base_accent = 6, ///< the same, of combining class 0: marks on either side are not sorted across it
};

/// Which of the steps are taken; the members are those of the Hugging Face files.
struct BertNormalizer {
  bool clean_text = true;           ///< control characters go away, white space becomes spaces
  bool handle_chinese_chars = true; ///< a space on each side of an ideograph
  bool strip_accents = true;        ///< characters are decomposed (NFD) and lose their non-spacing marks
  bool lowercase = true;            ///< each character to its lower-case form, in every language
};

/// A character of a normalised text, and the offset in bytes in the original at which what it stands for
/// ends.
struct NormalCharacter {
  char32_t value = 0;  ///< code point
  std::size_t end = 0; ///< bytes from the beginning of the original
};

namespace detail {

inline constexpr std::uint64_t code_point_mask = 0x1fffff; // 21 bits

[[nodiscard]] constexpr BertClass bert_class(char32_t c) noexcept {
  std::uint32_t const key = (static_cast<std::uint32_t>(c) << 3) | 7U;
  auto const after = std::upper_bound(bert_changes.begin(), bert_changes.end(), key);
  return static_cast<BertClass>(*(after - 1) & 7U);
}

/// The canonical combining class of a mark that is not stripped, else 0.
[[nodiscard]] constexpr std::uint32_t mark_order(char32_t c) noexcept {
  auto const found =
      std::lower_bound(bert_mark_orders.begin(), bert_mark_orders.end(), static_cast<std::uint32_t>(c) << 8);
  return found != bert_mark_orders.end() && *found >> 8 == c ? *found & 0xffU : 0;
}

/// Calls emit(code point) for what canonical decomposition without stripped accents makes of `c`.
template <class Emit>
void decompose(char32_t c, Emit const& emit) {
  constexpr char32_t syllables = 0xac00, lead = 0x1100, vowel = 0x1161,
                     tail = 0x11a7; // the Unicode standard, 3.12
  if (c >= syllables && c < syllables + 11172) {
    char32_t const s = c - syllables;
    emit(lead + s / 588);
    emit(vowel + s % 588 / 28);
    if (s % 28 != 0) {
      emit(tail + s % 28);
    }
    return;
  }
  auto const found =
      std::lower_bound(bert_decompositions.begin(), bert_decompositions.end(), c,
                       [](std::uint64_t entry, char32_t value) { return (entry & code_point_mask) < value; });
  if (found == bert_decompositions.end() || (*found & code_point_mask) != c) {
    emit(c);
    return;
  }
  decompose(static_cast<char32_t>(*found >> 21 & code_point_mask), emit);
  if (char32_t const second = static_cast<char32_t>(*found >> 42); second != 0) {
    emit(second);
  }
}

/// The lower-case form of a code point other than U+0130, whose is two.
[[nodiscard]] constexpr char32_t lower_case(char32_t c) noexcept {
  constexpr std::size_t runs = bert_lower_runs.size() / 4;
  std::size_t low = 0, high = runs; // the first run that begins behind c
  while (low < high) {
    std::size_t const middle = (low + high) / 2;
    (bert_lower_runs[4 * middle] <= c ? low : high) = bert_lower_runs[4 * middle] <= c ? middle + 1 : middle;
  }
  for (std::size_t run = low; run > 0 && run + 2 > low;
       --run) { // runs of every second code point may overlap
    auto const* const r = bert_lower_runs.data() + 4 * (run - 1);
    if (c <= r[1] && (c - r[0]) % r[2] == 0) {
      return static_cast<char32_t>((c + r[3]) & code_point_mask);
    }
  }
  return c;
}

/// Collects the characters of one text.
class BertCollector {
public:
  BertCollector(BertNormalizer const& options, std::vector<NormalCharacter>& out)
      : options_(options), out_(out) {}

  /// A character of the original, which ends at `end`.
  void add(char32_t c, std::size_t end) {
    BertClass const kind = bert_class(c);
    if (options_.clean_text && kind == BertClass::removed) {
      return;
    }
    if (options_.clean_text && kind == BertClass::space) {
      c = U' ';
    }
    bool const apart = options_.handle_chinese_chars && kind == BertClass::ideograph;
    if (apart) {
      put(U' ', end);
    }
    strip(c, end);
    if (apart) {
      put(U' ', end);
    }
  }

  void finish() {
    if (!options_.lowercase) {
      return;
    }
    for (std::size_t i = 0; i < out_.size(); ++i) {
      if (out_[i].value == 0x130) { // capital I with a dot
        out_.insert(out_.begin() + static_cast<std::ptrdiff_t>(i) + 1, {0x307, out_[i].end});
        out_[i].value = U'i';
      } else {
        out_[i].value = lower_case(out_[i].value);
      }
    }
  }

private:
  void strip(char32_t c, std::size_t end) {
    if (!options_.strip_accents) {
      put(c, end);
      return;
    }
    decompose(c, [&](char32_t part) {
      BertClass const kind = bert_class(part);
      if (kind == BertClass::base_accent) {
        run_ = out_.size();
      } else if (kind != BertClass::accent) {
        put_sorted(part, end);
      }
    });
  }

  void put(char32_t c, std::size_t end) {
    out_.push_back({c, end});
    run_ = out_.size();
  }

  /// Marks are sorted by their class, those of one class as they come.
  void put_sorted(char32_t c, std::size_t end) {
    std::uint32_t const order = mark_order(c);
    if (order == 0) {
      put(c, end);
      return;
    }
    std::size_t at = out_.size();
    while (at > run_ && mark_order(out_[at - 1].value) > order) {
      --at;
    }
    out_.insert(out_.begin() + static_cast<std::ptrdiff_t>(at), {c, end});
  }

  BertNormalizer const& options_;
  std::vector<NormalCharacter>& out_;
  std::size_t run_ = 0; ///< where the marks begin that may be sorted
};

} // namespace detail

/// The normalised text of `text` (valid UTF-8), whose bytes lie behind `offset` others.
[[nodiscard]] inline std::vector<NormalCharacter> normalize(BertNormalizer const& options,
                                                            std::string_view text, std::size_t offset = 0) {
  std::vector<NormalCharacter> out;
  out.reserve(text.size());
  detail::BertCollector collector(options, out);
  for (std::size_t at = 0; at < text.size();) {
    CodePoint const c = code_point_at(text, at);
    at += c.length;
    collector.add(c.value, offset + at);
  }
  collector.finish();
  return out;
}

/// Calls on_word(begin, end) for each word of a normalised text: what stands between white space, each
/// punctuation mark a word of its own.
template <class OnWord>
void split_words(std::vector<NormalCharacter> const& text, OnWord const& on_word) {
  std::size_t begin = 0;
  auto const end_word = [&](std::size_t end) {
    if (begin < end) {
      on_word(begin, end);
    }
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    bool const mark = detail::bert_class(text[i].value) == BertClass::punctuation;
    if (mark || character_class(text[i].value) == CharacterClass::space) {
      end_word(i);
      begin = i + 1;
    }
    if (mark) {
      on_word(i, i + 1);
    }
  }
  end_word(text.size());
}

} // namespace pocketllm::text
