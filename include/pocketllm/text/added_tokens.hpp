// SPDX-License-Identifier: Apache-2.0
// Added and special tokens: found in the text before anything else is done with it.
#pragma once

#include <pocketllm/text/byte_level.hpp>
#include <pocketllm/text/unicode.hpp>
#include <pocketllm/text/utf8.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pocketllm::text {

/// A token that is found in the text as it stands; the members are those of the Hugging Face files.
struct AddedToken {
  std::int32_t id = 0;      ///< in the vocabulary
  std::string content;      ///< the text that stands for it, in UTF-8
  bool single_word = false; ///< only where no letter, number or underscore touches it
  bool lstrip = false;      ///< takes the white space on its left with it
  bool rstrip = false;      ///< takes the white space on its right with it
  bool normalized = false;  ///< looked for after those that are not normalized
  bool special = true;      ///< decoding with `skip_special` leaves it out
};

/// Cuts a text at added tokens: from left to right, the longest where several match.
class AddedTokenSplitter {
public:
  AddedTokenSplitter() = default;

  /// Tokens without content are left out: they would stand everywhere.
  explicit AddedTokenSplitter(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)) {
    std::erase_if(tokens_, [](AddedToken const& token) { return token.content.empty(); });
    std::stable_sort(tokens_.begin(), tokens_.end(), [](AddedToken const& a, AddedToken const& b) {
      return a.content.size() > b.content.size();
    });
    for (std::size_t i = 0; i < tokens_.size(); ++i) {
      auto const first = static_cast<unsigned char>(tokens_[i].content.front());
      passes_[tokens_[i].normalized ? 1 : 0][first].push_back(i);
    }
  }

  /// The longest first; those of equal length in the order given.
  [[nodiscard]] std::vector<AddedToken> const& tokens() const noexcept { return tokens_; }

  /// Calls `on_text(begin, end)` and `on_token(id, end)` for the parts of `text` (valid UTF-8), in order.
  template <class OnText, class OnToken>
  void split(std::string_view text, OnText const& on_text, OnToken const& on_token) const {
    split_pass(0, text, 0, text.size(), on_text, on_token);
  }

private:
  using ByFirstByte = std::array<std::vector<std::size_t>, 256>;

  /// The longest token of a pass that stands at `at`.
  [[nodiscard]] AddedToken const* match(ByFirstByte const& pass, std::string_view text,
                                        std::size_t at) const {
    for (std::size_t const index : pass[static_cast<unsigned char>(text[at])]) {
      if (text.substr(at).starts_with(tokens_[index].content)) {
        return &tokens_[index];
      }
    }
    return nullptr;
  }

  /// `part` is what lies between two matches of the pass before: strips and word boundaries stop at its ends.
  template <class OnText, class OnToken>
  void split_pass(std::size_t pass, std::string_view text, std::size_t begin, std::size_t end,
                  OnText const& on_text, OnToken const& on_token) const {
    auto const rest = [&](std::size_t from, std::size_t to) {
      if (from < to && pass + 1 < passes_.size()) {
        split_pass(pass + 1, text, from, to, on_text, on_token);
      } else if (from < to) {
        on_text(from, to);
      }
    };
    std::string_view const part = text.substr(0, end);
    std::size_t done = begin;
    for (std::size_t at = begin; at < end;) {
      AddedToken const* token = match(passes_[pass], part, at);
      if (token == nullptr) {
        ++at;
        continue;
      }
      std::size_t const after = at + token->content.size();
      if (!token->single_word || stands_alone(part, begin, at, after)) {
        rest(done, token->lstrip ? strip_left(part, done, at) : at);
        done = token->rstrip ? detail::end_of_run(part, after, CharacterClass::space) : std::max(done, after);
        on_token(token->id, done);
      }
      at = after;
    }
    rest(done, end);
  }

  [[nodiscard]] static bool stands_alone(std::string_view part, std::size_t begin, std::size_t at,
                                         std::size_t after) {
    bool const word_before =
        at > begin && is_word_character(code_point_at(part, previous_code_point(part, at)).value);
    bool const word_after = after < part.size() && is_word_character(code_point_at(part, after).value);
    return !word_before && !word_after;
  }

  [[nodiscard]] static std::size_t strip_left(std::string_view part, std::size_t limit, std::size_t at) {
    while (at > limit) {
      std::size_t const before = previous_code_point(part, at);
      if (character_class(code_point_at(part, before).value) != CharacterClass::space) {
        break;
      }
      at = before;
    }
    return at;
  }

  std::vector<AddedToken> tokens_;
  std::array<ByFirstByte, 2>
      passes_; ///< [normalized][first byte of the token] indices into tokens_, longest first
};

} // namespace pocketllm::text
