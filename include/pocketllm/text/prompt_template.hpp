// SPDX-License-Identifier: Apache-2.0
// Prompt templates such as "{text} It was {mask}.": parsed once, then rendered to ids for each example.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/text/quote.hpp>
#include <pocketllm/text/tokenizer.hpp>
#include <pocketllm/text/truncation.hpp>
#include <pocketllm/text/utf8.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pocketllm::text {

/// The value of one field of a template.
struct Field {
  std::string_view name;  ///< without braces
  std::string_view value; ///< the text that takes the place of `{name}`
};

/// A rendered prompt: ids with framing, and where the masks of the template are among them.
struct Prompt {
  std::vector<std::int32_t> ids;           ///< framing included
  std::vector<std::size_t> mask_positions; ///< indices into `ids`, ascending
};

/// Whether a template must contain `{mask}`.
enum class MaskSlot { required, optional };

/// A template: text with `{mask}` and fields in braces, e.g. `{premise}? {mask}, {hypothesis}`. `{{` and `}}`
/// stand for braces. A field may come several times.
class PromptTemplate {
public:
  /// Throws `Error` on a brace that is not closed or not opened, a field without a name, invalid UTF-8, or a
  /// missing `{mask}` where it is required.
  explicit PromptTemplate(std::string_view text, MaskSlot mask = MaskSlot::required) : source_(text) {
    require(is_valid_utf8(text), "template ", quote(text), ": invalid UTF-8");
    for (std::size_t at = 0; at < text.size();) {
      bool const brace = text[at] == '{' || text[at] == '}';
      if (brace && at + 1 < text.size() && text[at + 1] == text[at]) {
        append_text(text.substr(at, 1));
        at += 2;
      } else if (brace) {
        at = parse_slot(at);
      } else {
        append_text(text.substr(at, 1));
        ++at;
      }
    }
    require(mask == MaskSlot::optional || mask_count() > 0, "template ", quote(text),
            ": no {mask}; write {mask} where the model is to put the label word");
  }

  /// Names of the fields, each once, in the order in which they first come.
  [[nodiscard]] std::vector<std::string> const& field_names() const noexcept { return field_names_; }

  /// How many times `{mask}` occurs.
  [[nodiscard]] std::size_t mask_count() const noexcept {
    return static_cast<std::size_t>(std::count_if(pieces_.begin(), pieces_.end(), is_mask));
  }

  /// True if a word in the place of the (first) mask comes after a space, so that the label words are the
  /// tokens " word". False at the very start and where something else touches the mask.
  [[nodiscard]] bool mask_follows_space() const {
    auto const mask = std::find_if(pieces_.begin(), pieces_.end(), is_mask);
    return mask != pieces_.end() && mask != pieces_.begin() && (mask - 1)->text.ends_with(' ');
  }

  /// Ids of the template with its fields filled in. If that is more than `max_tokens` (framing included), the
  /// fields are cut at their ends, the longest first, as little as makes it fit; everything else stays whole.
  /// Uncut, the ids are those of the rendered text as a whole. Invalid UTF-8 in a value reads as U+FFFD.
  /// Values of further fields are ignored. Throws `Error` if a field has no value, if the tokenizer has no
  /// mask, or if the prompt does not fit without any of the fields' text.
  template <Tokenizer T>
  [[nodiscard]] Prompt render(T const& tokenizer, std::span<Field const> fields,
                              std::size_t max_tokens) const {
    return place_masks(tokenizer, fill(fitting_values(tokenizer, fields, max_tokens), mask_text(tokenizer)));
  }

  /// The same with the fields written in the call: `render(tokenizer, {{"text", x}}, 128)`.
  template <Tokenizer T>
  [[nodiscard]] Prompt render(T const& tokenizer, std::initializer_list<Field> fields,
                              std::size_t max_tokens) const {
    return render(tokenizer, std::span<Field const>(fields.begin(), fields.size()), max_tokens);
  }

  /// The text whose ids `render` gives, without framing: for a prompt that something is to be added to.
  template <Tokenizer T>
  [[nodiscard]] std::string fill(T const& tokenizer, std::span<Field const> fields,
                                 std::size_t max_tokens) const {
    return fill(fitting_values(tokenizer, fields, max_tokens), mask_text(tokenizer)).text;
  }

  /// The whole text of a template without {mask}. Throws `Error` if a field has no value.
  [[nodiscard]] std::string fill(std::span<Field const> fields) const {
    return fill(ordered_values(fields), {}).text;
  }

private:
  enum class Kind { text, field, mask };
  struct Piece {
    Kind kind = Kind::text;
    std::string text;      ///< of Kind::text
    std::size_t field = 0; ///< of Kind::field: index into field_names_
  };
  struct Filled {
    std::string text;
    std::vector<std::size_t> mask_ends; ///< offsets just after each mask
  };

  [[nodiscard]] static bool is_mask(Piece const& piece) noexcept { return piece.kind == Kind::mask; }

  void append_text(std::string_view text) {
    if (pieces_.empty() || pieces_.back().kind != Kind::text) {
      pieces_.emplace_back();
    }
    pieces_.back().text += text;
  }

  /// Parses `{name}` at `open`; returns the offset after it.
  [[nodiscard]] std::size_t parse_slot(std::size_t open) {
    std::string_view const text = source_;
    require(text[open] == '{', "template ", quote(text), ": } without { before it at byte ", open,
            "; write }} for a brace");
    std::size_t const close = text.find_first_of("{}", open + 1);
    require(close != std::string_view::npos && text[close] == '}', "template ", quote(text), ": { at byte ",
            open, " is not closed; write {{ for a brace");
    std::string_view const name = text.substr(open + 1, close - open - 1);
    bool const named = !name.empty() && name.front() != ' ' && name.back() != ' ';
    require(named, "template ", quote(text), ": {", name, "} at byte ", open,
            " is not the name of a field; write ", "{name}, or {{ for a brace");
    Piece piece;
    if (name == "mask") {
      piece.kind = Kind::mask;
    } else {
      piece.kind = Kind::field;
      auto const known = std::find(field_names_.begin(), field_names_.end(), name);
      piece.field = static_cast<std::size_t>(known - field_names_.begin());
      if (known == field_names_.end()) {
        field_names_.emplace_back(name);
      }
    }
    pieces_.push_back(std::move(piece));
    return close + 1;
  }

  template <Tokenizer T>
  [[nodiscard]] std::string mask_text(T const& tokenizer) const {
    if (mask_count() == 0) {
      return {};
    }
    SpecialTokens const special = tokenizer.special_tokens();
    require(special.mask.has_value(), "template ", quote(source_),
            ": the tokenizer has no mask token for {mask}; use a ",
            "masked language model such as RoBERTa, or a template without {mask}");
    return tokenizer.decode(std::array{*special.mask});
  }

  [[nodiscard]] std::vector<std::string> ordered_values(std::span<Field const> fields) const {
    std::vector<std::string> values;
    for (std::string const& name : field_names_) {
      auto const found =
          std::find_if(fields.begin(), fields.end(), [&](Field const& f) { return f.name == name; });
      require(found != fields.end(), "template ", quote(source_), ": no value for {", name, "}");
      values.push_back(replace_invalid_utf8(found->value));
    }
    return values;
  }

  [[nodiscard]] Filled fill(std::vector<std::string> const& values, std::string const& mask) const {
    Filled filled;
    for (Piece const& piece : pieces_) {
      filled.text += piece.kind == Kind::mask    ? mask
                     : piece.kind == Kind::field ? values[piece.field]
                                                 : piece.text;
      if (piece.kind == Kind::mask) {
        filled.mask_ends.push_back(filled.text.size());
      }
    }
    return filled;
  }

  /// The fields' values, cut so that the prompt has at most `max_tokens`.
  template <Tokenizer T>
  [[nodiscard]] std::vector<std::string> fitting_values(T const& tokenizer, std::span<Field const> fields,
                                                        std::size_t max_tokens) const {
    std::string const mask = mask_text(tokenizer);
    std::vector<std::string> values = ordered_values(fields);
    auto const fits = [&](std::vector<std::string> const& candidate) {
      return tokenizer.encode_framed(fill(candidate, mask).text).size() <= max_tokens;
    };
    if (!fits(values)) {
      shorten(tokenizer, values, max_tokens, fits);
    }
    return values;
  }

  /// Cuts `values` until `fits(values)`.
  template <Tokenizer T, class Fits>
  void shorten(T const& tokenizer, std::vector<std::string>& values, std::size_t max_tokens,
               Fits const& fits) const {
    std::vector<std::vector<std::size_t>> cuts;
    for (std::size_t field = 0; field < values.size(); ++field) {
      cuts.push_back(token_cuts(tokenizer, values[field], field_follows_space(field)));
    }
    auto const shortened = shorten_longest(values, cuts, max_tokens, fits);
    if (!shortened) {
      std::vector<std::string> const none(values.size());
      std::size_t const alone = tokenizer.encode_framed(fill(none, mask_text(tokenizer)).text).size();
      fail("template ", quote(source_), ": the prompt alone takes ", alone, " tokens, more than the ",
           max_tokens, " allowed; shorten the template or allow more tokens");
    }
    values = *shortened;
  }

  [[nodiscard]] bool field_follows_space(std::size_t field) const {
    auto const piece = std::find_if(pieces_.begin(), pieces_.end(), [&](Piece const& p) {
      return p.kind == Kind::field && p.field == field;
    });
    return piece != pieces_.begin() && (piece - 1)->text.ends_with(' ');
  }

  template <Tokenizer T>
  [[nodiscard]] Prompt place_masks(T const& tokenizer, Filled const& filled) const {
    Prompt prompt{tokenizer.encode_framed(filled.text), {}};
    if (filled.mask_ends.empty()) {
      return prompt;
    }
    std::vector<std::size_t> const ends = tokenizer.token_ends(filled.text);
    Framing const& framing = tokenizer.framing();
    SpecialTokens const special = tokenizer.special_tokens();
    for (std::size_t const end : filled.mask_ends) {
      auto const at =
          static_cast<std::size_t>(std::lower_bound(ends.begin(), ends.end(), end) - ends.begin());
      std::size_t const position = framing.before.size() + at;
      bool const found = position < prompt.ids.size() && prompt.ids[position] == special.mask;
      require(found, "template ", quote(source_), ": the text around {mask} hides the mask token in ",
              quote(filled.text));
      prompt.mask_positions.push_back(position);
    }
    return prompt;
  }

  std::string source_;
  std::vector<Piece> pieces_;
  std::vector<std::string> field_names_;
};

} // namespace pocketllm::text
