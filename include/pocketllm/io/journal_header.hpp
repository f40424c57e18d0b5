// SPDX-License-Identifier: Apache-2.0
// What the JSON texts of a journal say: the header, how the run was made; the closing note, how it ended.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/core/split_mix.hpp>
#include <pocketllm/io/journal_format.hpp>
#include <pocketllm/io/strict_json.hpp>
#include <pocketllm/text/quote.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pocketllm::io {

/// Members that a header must have, in whatever form the program that writes it chooses: the digest of the
/// weights that the run began with; the tensors trained; the perturbation, estimator, update rule and
/// schedule with their parameters; the objective; the data, with a digest of it and the rule by which a
/// step's batch is chosen. Two runs are the same if these are.
inline constexpr std::array<char const*, 8> required_members{
    "base", "trained", "perturbation", "estimator", "update", "schedule", "objective", "data"};

/// A member that may be there and is not compared: anything that people want to know (a date, a program).
inline constexpr char const* about_member = "about";

/// The header of a journal. Beside `required_members` these members of the JSON object fix the records:
///   "slopes"      how many slopes a step has, 1 to 1024
///   "seeds"       {"rule": "split_mix", "run": S}: the seed of slope k of step t is output number
///                 t * slopes + k of SplitMix64 seeded with S (SeedRule in core/split_mix.hpp), and with
///                 "shared": n the upper half of it is that of n steps;
///                 {"rule": "stored"}: the records hold the seeds
///   "first_step"  number of the first step, 0 if it is not there
class JournalHeader {
public:
  /// Throws Error that begins with `place` (a file, say) when a member is missing or is not as it must be.
  explicit JournalHeader(Json json, std::string_view place = "journal header") : json_(std::move(json)) {
    require(json_.is_object(), place, ": expected a JSON object, found ", json_.type_name());
    for (char const* const member : required_members) {
      require(json_.contains(member) && !json_.at(member).is_null(), place, ": has no \"", member,
              "\", without which nobody can tell which run this is");
    }
    std::uint64_t const slopes = read_number(json_, "slopes", place);
    require(slopes >= 1 && slopes <= journal::most_slopes, place, ": slopes is ", slopes, ", expected 1 to ",
            journal::most_slopes);
    layout_.slopes = static_cast<std::size_t>(slopes);
    read_seeds(place);
    if (json_.contains("first_step")) {
      first_step_ = read_number(json_, "first_step", place);
      require(first_step_ <= std::numeric_limits<std::uint64_t>::max() / 2, place, ": first_step is ",
              first_step_, ", far more than any run has");
    }
  }

  /// All that the header says.
  [[nodiscard]] Json const& json() const noexcept { return json_; }
  /// The sizes of all records, from "slopes" and "seeds".
  [[nodiscard]] journal::Layout const& layout() const noexcept { return layout_; }
  /// The earliest step that the first record can be of; 0 where the header does not say.
  [[nodiscard]] std::uint64_t first_step() const noexcept { return first_step_; }
  /// Whether the records hold the seeds; otherwise `seed` gives them.
  [[nodiscard]] bool stores_seeds() const noexcept { return layout_.stored_seeds; }

  /// The seed of a slope by the rule; of no use where seeds are stored.
  [[nodiscard]] std::uint64_t seed(std::uint64_t step, std::size_t slope) const noexcept {
    return rule_.seed(step, layout_.slopes, slope);
  }

private:
  static std::uint64_t read_number(Json const& json, char const* key, std::string_view place) {
    auto const found = json.find(key);
    bool const natural = found != json.end() && found->is_number_integer() &&
                         (found->is_number_unsigned() || found->get<std::int64_t>() >= 0);
    require(natural, place, ": expected \"", key, "\", an integer of 0 or more, found ",
            found == json.end()          ? "none"
            : found->is_number_integer() ? "a negative one"
                                         : found->type_name());
    return found->get<std::uint64_t>();
  }

  void read_seeds(std::string_view place) {
    auto const found = json_.find("seeds");
    std::string const rule =
        found != json_.end() && found->is_object() ? text::string_member(*found, "rule", place) : "";
    layout_.stored_seeds = rule == "stored";
    if (!layout_.stored_seeds) {
      require(rule == "split_mix", place, R"(: expected "seeds", {"rule": "split_mix", "run": a number} or )",
              R"({"rule": "stored"}, found )", rule.empty() ? "none" : text::quote(rule));
      rule_.run = read_number(*found, "run", place);
      rule_.shared = found->contains("shared") ? read_number(*found, "shared", place) : 1;
    }
  }

  Json json_;
  journal::Layout layout_;
  SeedRule rule_;
  std::uint64_t first_step_ = 0;
};

/// A float as the decimal number with the fewest digits that is read back as the same float, so that a header
/// says 1e-06 and not 9.999999974752427e-07.
[[nodiscard]] inline Json readable(float number) {
  if (std::isfinite(number)) {
    std::array<char, 32> digits{};
    auto const end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
    double const shortest = Json::parse(digits.data(), end).get<double>();
    if (static_cast<float>(shortest) == number) { // rounding twice could miss it, in theory
      return shortest;
    }
  }
  return static_cast<double>(number);
}

namespace detail {

[[nodiscard]] inline std::string show(Json const* value) {
  constexpr std::size_t most = 100; // characters of a value in a message
  if (value == nullptr) {
    return "not there";
  }
  std::string text = value->dump(-1, ' ', true, Json::error_handler_t::replace); // ASCII: may be cut anywhere
  return text.size() <= most ? text : text.substr(0, most) + "...";
}

/// Appends to `list` a text for each member that differs, called by its path; of an array the first element.
inline void list_differences(Json const* journal, Json const* here, std::string const& path,
                             std::vector<std::string>& list) {
  if (journal != nullptr && here != nullptr && journal->is_object() && here->is_object()) {
    Json keys = *journal;
    keys.update(*here);
    for (auto const& [key, ignored] : keys.items()) {
      if (path.empty() && key == about_member) {
        continue;
      }
      auto const member = [&key = key](Json const& json) {
        return json.contains(key) ? &json.at(key) : nullptr;
      };
      list_differences(member(*journal), member(*here), path.empty() ? key : path + "." + key, list);
    }
  } else if (journal != nullptr && here != nullptr && journal->is_array() && here->is_array()) {
    std::size_t i = 0;
    while (i < journal->size() && i < here->size() && (*journal)[i] == (*here)[i]) {
      ++i;
    }
    if (i < journal->size() || i < here->size()) {
      auto const element = [i](Json const& json) { return i < json.size() ? &json[i] : nullptr; };
      list_differences(element(*journal), element(*here), concat(path, '[', i, ']'), list);
    }
  } else if (journal == nullptr || here == nullptr || *journal != *here) {
    list.push_back(concat(path, " is ", show(journal), " in the journal, ", show(here), " here"));
  }
}

} // namespace detail

/// Throws Error that begins with `place` (the journal's file) and lists each member that differs, with both
/// values, unless the two headers describe the same run. "about" is not compared; all other members are,
/// those too that only one of them has.
inline void require_same(JournalHeader const& journal, JournalHeader const& expected,
                         std::string_view place = "journal") {
  constexpr std::size_t most = 8; // differences in a message
  std::vector<std::string> differences;
  detail::list_differences(&journal.json(), &expected.json(), "", differences);
  if (differences.empty()) {
    return;
  }
  std::string text;
  for (std::size_t i = 0; i < differences.size() && i < most; ++i) {
    text += (i == 0 ? "" : "; ") + text::replace_invalid_utf8(differences[i]);
  }
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < 0x20; }, '?'); // in names
  if (differences.size() > most) {
    text += concat("; and ", differences.size() - most, " more");
  }
  fail(place, ": is of another run: ", text,
       "; go on with the settings of the journal, or begin a new one under another name");
}

/// The end of a run, as the last note of a journal has it:
/// {"closing": {"next_step": N, "outcome": "...", "weights": "blake3:..."}}.
struct Closing {
  std::uint64_t next_step = 0; ///< the step that a continued run would begin with
  std::string outcome;         ///< a word: finished, stopped, diverged
  std::string weights;         ///< digest_text of the weights behind the last step

  friend bool operator==(Closing const&, Closing const&) = default;

  /// The note that `read` reads back.
  [[nodiscard]] Json json() const {
    return {{"closing", {{"next_step", next_step}, {"outcome", outcome}, {"weights", weights}}}};
  }

  /// The closing that a note holds; false when it is about something else. Throws Error that begins with
  /// `place` when a member is missing or of another type.
  [[nodiscard]] bool read(Json const& note, std::string_view place) {
    Json const* const closing = text::find_member(note, "closing");
    if (closing == nullptr) {
      return false;
    }
    bool const complete = closing->is_object() && closing->contains("next_step") &&
                          closing->at("next_step").is_number_unsigned();
    require(complete, place, ": the closing note has no next_step; it was written by something else");
    next_step = closing->at("next_step").get<std::uint64_t>();
    outcome = text::string_member(*closing, "outcome", place);
    weights = text::string_member(*closing, "weights", place);
    return true;
  }
};

} // namespace pocketllm::io
