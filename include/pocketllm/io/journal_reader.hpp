// SPDX-License-Identifier: Apache-2.0
// Reading a journal: every record that can be trusted, and what is said of those that cannot.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/io/journal_format.hpp>
#include <pocketllm/io/journal_header.hpp>
#include <pocketllm/io/journal_parse.hpp>
#include <pocketllm/io/strict_json.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pocketllm::io {

/// What stands in a file behind the last record that can be trusted. Checksums are one over all that is
/// before them, so behind a bad record nothing is trusted.
struct JournalTail {
  /// What is wrong with it.
  enum class Kind : std::uint8_t {
    none,    ///< the file ends with a good record
    torn,    ///< the last records were not written in full: a crash, or a writer at work
    damaged, ///< something happened to records that had been whole: good ones follow, or the tail is too long
             ///< for a crash
  };
  Kind kind = Kind::none;    ///< with `none`, `bytes` and `records` are 0
  std::uint64_t offset = 0;  ///< of the first byte that is not trusted: the file's good bytes
  std::uint64_t bytes = 0;   ///< from there to the end of the file
  std::uint64_t records = 0; ///< behind the bad one and whole as far as can be told
};

/// A step as its record has it.
struct JournalStep {
  std::uint64_t step = 0;     ///< its number in the run
  float learning_rate = 0.0F; ///< as used
  float loss = 0.0F;          ///< mean over the points of the step
  friend bool operator==(JournalStep const&, JournalStep const&) = default;
};

/// A note and the number of steps before it.
struct JournalNote {
  std::size_t steps = 0; ///< that stand before it in the file; 0 right behind the header
  Json json;             ///< an object; what it is about, its members say
};

/// All records of a journal that can be trusted, in memory: some 20 bytes a step.
class Journal {
public:
  /// Reads the bytes of a file; `name` stands in front of messages. A tail that is not whole is no error, see
  /// `tail`. Throws Error when this is no journal, when it has another version, when its header is damaged,
  /// or when it has records that this version does not know and that change weights.
  Journal(std::span<std::byte const> bytes, std::string name)
      : Journal(journal::read_header(bytes, name), bytes, std::move(name)) {}

  /// The name that messages give, usually the file's.
  [[nodiscard]] std::string const& name() const noexcept { return name_; }
  /// How the run was made, and the layout of the records.
  [[nodiscard]] JournalHeader const& header() const noexcept { return header_; }

  /// Number of steps, and each of them.
  [[nodiscard]] std::size_t size() const noexcept { return steps_.size(); }
  /// The steps in the order of their numbers, of which some may be left out.
  [[nodiscard]] std::span<JournalStep const> steps() const noexcept { return steps_; }
  /// The slopes of steps()[i].
  [[nodiscard]] std::span<float const> slopes(std::size_t i) const noexcept {
    return std::span(slopes_).subspan(i * header_.layout().slopes, header_.layout().slopes);
  }
  /// The seed of the direction along which slopes(i)[k] was measured.
  [[nodiscard]] std::uint64_t seed(std::size_t i, std::size_t k) const noexcept {
    return header_.stores_seeds() ? seeds_[i * header_.layout().slopes + k] : header_.seed(steps_[i].step, k);
  }
  /// The gradient of steps()[i], as a vector of {seed, slope}: gradient<optimize::Slope>(i).
  template <class Slope>
  [[nodiscard]] std::vector<Slope> gradient(std::size_t i) const {
    std::vector<Slope> gradient;
    for (std::size_t k = 0; k < header_.layout().slopes; ++k) {
      gradient.push_back({seed(i, k), slopes(i)[k]});
    }
    return gradient;
  }
  /// The step that a continued run begins with: the one behind the last.
  [[nodiscard]] std::uint64_t next_step() const noexcept { return next_step_; }

  /// All notes in the order of the file, closings among them.
  [[nodiscard]] std::span<JournalNote const> notes() const noexcept { return notes_; }
  /// How the run ended, unless it was interrupted or went on afterwards.
  [[nodiscard]] std::optional<Closing> const& closing() const noexcept { return closing_; }

  /// What stands in the file behind the records that are here.
  [[nodiscard]] JournalTail const& tail() const noexcept { return tail_; }
  /// A sentence about the tail for the user; empty when there is none.
  [[nodiscard]] std::string tail_text() const {
    if (tail_.kind == JournalTail::Kind::none) {
      return "";
    }
    std::string const behind =
        size() == 0 ? std::string("behind the header") : concat("behind step ", steps_.back().step);
    if (tail_.kind == JournalTail::Kind::torn) {
      return concat(name_, ": the last ", tail_.bytes, " bytes, ", behind,
                    ", were not written in full and do not count");
    }
    return concat(name_, ": the file is damaged at byte ", tail_.offset, ", ", behind, "; the ", tail_.bytes,
                  " bytes from there on do not count, though ", tail_.records,
                  " records among them look whole");
  }

  /// The checksum of the last record that can be trusted, which the next one continues.
  [[nodiscard]] std::uint32_t last_checksum() const noexcept { return checksum_; }

private:
  Journal(journal::FoundHeader&& found, std::span<std::byte const> bytes, std::string&& name)
      : name_(std::move(name)), header_(std::move(found.header)), next_step_(header_.first_step()) {
    std::size_t const size = header_.layout().record_bytes();
    std::size_t at = found.bytes;
    std::uint32_t before = journal::stored_checksum(bytes.first(at));
    tail_.offset = at;
    checksum_ = before;
    journal::MessageParts message;
    while (bytes.size() - at >= size && journal::is_whole(bytes.subspan(at, size), before)) {
      std::span<std::byte const> const record = bytes.subspan(at, size);
      take(record, message, at);
      before = journal::stored_checksum(record);
      at += size;
      if (!message.pending()) { // the records of a message count together or not at all
        tail_.offset = at;
        checksum_ = before;
      }
    }
    examine_tail(bytes, at);
  }

  void take(std::span<std::byte const> record, journal::MessageParts& message, std::size_t at) {
    auto const kind = std::to_integer<std::uint8_t>(record[0]);
    if (kind >= journal::first_message_kind || message.pending()) {
      if (message.add(record, name_, at) && kind == journal::note_kind) {
        take_note(message.text(), concat(name_, ": byte ", at));
      }
      return;
    }
    require(kind == journal::step_kind, name_, ": byte ", at, ": a record of kind ", int{kind},
            ", which changes weights and is not known here; use a newer pocketllm");
    take_step(record);
  }

  void take_step(std::span<std::byte const> record) {
    std::byte const* const body = record.data() + journal::record_head;
    JournalStep const step{next_step_ + std::to_integer<std::uint64_t>(record[1]), journal::load_float(body),
                           journal::load_float(body + 4)};
    bool finite = std::isfinite(step.learning_rate);
    std::byte const* at = body + journal::step_head;
    for (std::size_t k = 0; k < header_.layout().slopes; ++k, at += 4) {
      slopes_.push_back(journal::load_float(at));
      finite = finite && std::isfinite(slopes_.back());
    }
    require(finite, name_, ": step ", step.step, " has a slope or a rate that is not a number",
            journal::written_by_others);
    for (std::size_t k = 0; header_.stores_seeds() && k < header_.layout().slopes; ++k, at += 8) {
      seeds_.push_back(load_little<std::uint64_t>(at));
    }
    steps_.push_back(step);
    next_step_ = step.step + 1;
    closing_.reset();
  }

  void take_note(std::string_view text, std::string const& place) {
    notes_.push_back({steps_.size(), parse_object(text, place + ": note")});
    if (Closing closing; closing.read(notes_.back().json, place)) {
      closing_ = std::move(closing);
    }
  }

  /// Says what stands behind tail_.offset, where the record at `bad` is the first that is not whole.
  void examine_tail(std::span<std::byte const> bytes, std::size_t bad) {
    tail_.bytes = bytes.size() - tail_.offset;
    std::size_t const size = header_.layout().record_bytes();
    for (std::size_t at = bad + size; at <= bytes.size() && bytes.size() - at >= size; at += size) {
      std::uint32_t const before = journal::stored_checksum(bytes.first(at));
      tail_.records += journal::is_whole(bytes.subspan(at, size), before) ? 1 : 0;
    }
    bool const too_long = tail_.bytes > journal::largest_torn_tail;
    tail_.kind = tail_.bytes == 0                 ? JournalTail::Kind::none
                 : tail_.records != 0 || too_long ? JournalTail::Kind::damaged
                                                  : JournalTail::Kind::torn;
  }

  std::string name_;
  JournalHeader header_;
  std::vector<JournalStep> steps_;
  std::vector<float> slopes_;
  std::vector<std::uint64_t> seeds_;
  std::vector<JournalNote> notes_;
  std::optional<Closing> closing_;
  JournalTail tail_;
  std::uint64_t next_step_ = 0;
  std::uint32_t checksum_ = 0;
};

/// The journal in a file, which another program may be writing at this moment. Throws Error when it cannot be
/// read, and as `Journal` does.
[[nodiscard]] inline Journal read_journal(std::filesystem::path const& path) {
  std::string const bytes = text::read_whole_file(path);
  return {std::as_bytes(std::span(bytes.data(), bytes.size())), path.string()};
}

} // namespace pocketllm::io
