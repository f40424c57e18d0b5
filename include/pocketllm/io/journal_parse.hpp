// SPDX-License-Identifier: Apache-2.0
// The parts of a journal that are more than a record: its header, and messages cut into records.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/io/journal_format.hpp>
#include <pocketllm/io/journal_header.hpp>
#include <pocketllm/io/strict_json.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pocketllm::io::journal {

/// How errors end about records whose checksum is right and whose content is not.
inline constexpr char const* written_by_others = "; the journal was written by something else than pocketllm";

/// The text of a message, from records that follow one another.
class MessageParts {
public:
  /// Whether a message has begun of which records are still to come.
  [[nodiscard]] bool pending() const noexcept { return remaining_ != 0; }

  /// Takes the next record of a message, at byte `at` of the file `name`. True when it was the last one: then
  /// `text` is whole. Throws Error when it is not the one that had to come.
  [[nodiscard]] bool add(std::span<std::byte const> record, std::string_view name, std::size_t at) {
    auto const kind = std::to_integer<std::uint8_t>(record[0]);
    auto const count = std::to_integer<std::size_t>(record[1]);
    if (remaining_ == 0) {
      bytes_.clear();
      kind_ = kind;
      remaining_ = count + 1;
    }
    require(kind == kind_ && count + 1 == remaining_, name, ": byte ", at,
            ": a record of a message is out of its order", written_by_others);
    std::span<std::byte const> const body =
        record.subspan(record_head, record.size() - record_head - checksum);
    bytes_.insert(bytes_.end(), body.begin(), body.end());
    --remaining_;
    require(remaining_ != 0 || text_bytes() + 2 <= bytes_.size(), name, ": byte ", at,
            ": a message is longer than its records", written_by_others);
    return remaining_ == 0;
  }

  /// The kind of the message begun last, 128 for a note.
  [[nodiscard]] std::uint8_t kind() const noexcept { return kind_; }
  /// The text of a message whose last record `add` has taken. Valid until the next `add`.
  [[nodiscard]] std::string_view text() const noexcept {
    return {reinterpret_cast<char const*>(bytes_.data()) + 2, text_bytes()};
  }

private:
  [[nodiscard]] std::size_t text_bytes() const noexcept { return load_little<std::uint16_t>(bytes_.data()); }

  std::vector<std::byte> bytes_;
  std::size_t remaining_ = 0;
  std::uint8_t kind_ = 0;
};

/// A header that was found at the beginning of a file, and its bytes there.
struct FoundHeader {
  JournalHeader header;  ///< checked
  std::size_t bytes = 0; ///< from the magic number to the checksum: where the first record begins
};

/// Checks and reads the header; `name` is the file's. Throws Error when this is no journal, when it has
/// another version, or when its header is damaged or lacks something.
[[nodiscard]] inline FoundHeader read_header(std::span<std::byte const> bytes, std::string const& name) {
  bool const begins = bytes.size() >= header_text_at &&
                      std::equal(magic.begin(), magic.end(), bytes.begin(),
                                 [](std::uint8_t a, std::byte b) { return std::byte{a} == b; });
  require(begins, name, ": is not a journal of pocketllm, or has lost its beginning");
  auto const found = load_little<std::uint32_t>(bytes.data() + 8);
  require(found == version, name, ": has version ", found, " of the journal's format, expected ", version,
          "; use a pocketllm of the age of the one that wrote it");
  std::size_t const length = load_little<std::uint32_t>(bytes.data() + 12);
  bool const fits = length <= largest_header_text && header_text_at + length + checksum <= bytes.size();
  std::size_t const end = fits ? header_text_at + length + checksum : 0;
  require(fits && is_whole(bytes.first(end), 0), name,
          ": the header is damaged, so nobody can tell which run this is; use a copy of the file");
  std::string_view const text(reinterpret_cast<char const*>(bytes.data()) + header_text_at, length);
  std::string const place = name + ": header";
  return {JournalHeader(parse_object(text, place), place), end};
}

} // namespace pocketllm::io::journal
