// SPDX-License-Identifier: Apache-2.0
// The journal's file, byte by byte. A journal is a training run: the header says how it was made, and each
// record what one step learnt. It is only ever appended to.
//
// All numbers are little-endian, floats are IEEE 754 binary32.
//
//   header
//     offset  bytes  what
//          0      8  89 50 4c 4a 0d 0a 1a 0a: "PLJ" between bytes that a transfer as text would change
//          8      4  u32 version of the format, 1
//         12      4  u32 J, length of the text, at most 2^20
//         16      J  one JSON object in UTF-8 (journal_header.hpp), meant to be read by people too
//       16+J      4  u32 CRC-32C of all bytes before it
//
//   records, one behind the other up to the end of the file, each of R bytes. R is 14 + 4 n where the header
//   has n "slopes" and a seed rule, and 14 + 12 n where seeds are stored.
//     offset  bytes  what
//          0      1  u8 kind
//          1      1  u8 count, by kind
//          2    R-6  body, by kind
//        R-4      4  u32 CRC-32C of bytes 0 to R-5, continued from the checksum of the record before it (the
//                    header's for the first): one over all bytes of the file up to here but checksums.
//                    So a record of another journal, or at another place, does not pass.
//
//   kind 1, a step: count is the number of steps left out between this one and the step record before it
//   (a loss that was not a number, say), usually 0. The first record follows the header's "first_step".
//     body    bytes  what
//          0      4  f32 learning rate as used
//          4      4  f32 loss, the mean over the points of the step; may be NaN when it is not known
//          8    4 n  f32 slopes
//      8+4 n    8 n  u64 seeds, only where they are stored
//   The step's number, its seeds (by the rule) and its batch (a function of the step, described under "data"
//   in the header) follow from the record's place. That leaves 18 bytes to a two-point step.
//
//   kinds 2 to 127 are other records that change weights. None is defined yet. A reader that meets one that
//   it does not know must refuse the journal: going on without it would give wrong weights.
//
//   kinds 128 to 255 are messages, which change no weights; a reader passes over those that it does not know.
//   A message is a text of L bytes, cut into as many records of its kind as it takes, which follow one
//   another: count is the number of records of it that still come; their bodies one behind the other are a
//   u16 L, the text, and zeros. A message counts when all of its records are there.
//
//   kind 128, a note: the text is a JSON object, whose members say what it is about. Defined is "closing"
//   (journal_header.hpp), the weights at the end of a run.
//
// A new kind needs no new version; a new meaning of what is above does.
#pragma once

#include <pocketllm/core/crc32c.hpp>
#include <pocketllm/core/little_endian.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace pocketllm::io::journal {

/// The first bytes of a journal.
inline constexpr std::array<std::uint8_t, 8> magic{0x89, 'P', 'L', 'J', '\r', '\n', 0x1a, '\n'};
inline constexpr std::uint32_t version = 1;                  ///< of the format; others are refused
inline constexpr std::size_t header_text_at = 16;            ///< bytes before the JSON
inline constexpr std::size_t largest_header_text = 1U << 20; ///< bytes; a list of all tensors is some 20 kB
inline constexpr std::size_t most_slopes = 1024;             ///< a record; the largest are 12 kB then
inline constexpr std::size_t largest_message = 16U << 10;    ///< bytes of text
inline constexpr std::size_t record_head = 2,                ///< bytes before a record's body: kind and count
    checksum = 4;                                            ///< bytes behind it
inline constexpr std::size_t step_head = 8;                  ///< bytes before a step's slopes
inline constexpr std::size_t most_skipped = 255;             ///< steps left out before a record
inline constexpr std::size_t most_unsynced = 64U << 10;      ///< bytes; a writer syncs before it has more
/// Bytes that a crash can tear: the above, and a message and a record that were appended last.
inline constexpr std::size_t largest_torn_tail = 2 * most_unsynced;

/// Kinds of records. A reader passes over those from first_message_kind on that it does not know.
enum Kind : std::uint8_t { step_kind = 1, first_message_kind = 128, note_kind = 128 };

/// The sizes that a journal's header fixes for all of its records.
struct Layout {
  std::size_t slopes = 1;    ///< of a step: 1 to most_slopes
  bool stored_seeds = false; ///< each slope has its seed of 8 bytes in the record

  /// Bytes of a record between its head and its checksum.
  [[nodiscard]] constexpr std::size_t body_bytes() const noexcept {
    return step_head + (stored_seeds ? 12 : 4) * slopes;
  }
  /// Bytes of a record, the same for steps and parts of messages: R in the format's description.
  [[nodiscard]] constexpr std::size_t record_bytes() const noexcept {
    return record_head + body_bytes() + checksum;
  }
  /// Bytes of text that a message can have: as many records as `count` can number, and L counts 2 bytes.
  [[nodiscard]] constexpr std::size_t message_bytes() const noexcept {
    return std::min(largest_message, 256 * body_bytes() - 2);
  }
};
static_assert(Layout{}.record_bytes() == 18);

/// The float whose 4 bytes, little-endian, begin at `at`.
[[nodiscard]] inline float load_float(std::byte const* at) noexcept {
  return std::bit_cast<float>(load_little<std::uint32_t>(at));
}
/// Writes the 4 bytes that load_float reads.
inline void store_float(std::byte* at, float number) noexcept {
  store_little(at, std::bit_cast<std::uint32_t>(number));
}

/// The checksum in the last four bytes of a record, or of a header.
[[nodiscard]] inline std::uint32_t stored_checksum(std::span<std::byte const> bytes) noexcept {
  return load_little<std::uint32_t>(bytes.data() + bytes.size() - checksum);
}

/// Whether a record, or a header with `before` 0, has the checksum that follows from the one before it.
[[nodiscard]] inline bool is_whole(std::span<std::byte const> bytes, std::uint32_t before) noexcept {
  return crc32c(bytes.first(bytes.size() - checksum), before) == stored_checksum(bytes);
}

/// Writes the checksum of a record, or of a header with `before` 0, into its last four bytes and returns it.
inline std::uint32_t seal(std::span<std::byte> bytes, std::uint32_t before) noexcept {
  std::uint32_t const sum = crc32c(bytes.first(bytes.size() - checksum), before);
  store_little(bytes.data() + bytes.size() - checksum, sum);
  return sum;
}

/// A whole header around the text.
[[nodiscard]] inline std::vector<std::byte> encode_header(std::string_view text) {
  std::vector<std::byte> bytes(header_text_at + text.size() + checksum);
  std::transform(magic.begin(), magic.end(), bytes.begin(), [](std::uint8_t b) { return std::byte{b}; });
  store_little(bytes.data() + 8, version);
  store_little(bytes.data() + 12, static_cast<std::uint32_t>(text.size()));
  std::transform(text.begin(), text.end(), bytes.begin() + header_text_at,
                 [](char c) { return static_cast<std::byte>(c); });
  seal(bytes, 0);
  return bytes;
}

/// Appends the record of a step to `to` and returns its checksum; `before` is that of the record before it.
/// `slopes` as many as the layout has, `seeds` too where they are stored.
inline std::uint32_t append_step(std::vector<std::byte>& to, Layout const& layout, std::uint8_t skipped,
                                 float learning_rate, float loss, std::span<float const> slopes,
                                 std::span<std::uint64_t const> seeds, std::uint32_t before) {
  std::size_t const begin = to.size();
  to.resize(begin + layout.record_bytes());
  std::byte* at = to.data() + begin;
  at[0] = std::byte{step_kind};
  at[1] = std::byte{skipped};
  store_float(at + record_head, learning_rate);
  store_float(at + record_head + 4, loss);
  at += record_head + step_head;
  for (float const slope : slopes) {
    store_float(at, slope);
    at += 4;
  }
  if (layout.stored_seeds) {
    for (std::uint64_t const seed : seeds) {
      store_little(at, seed);
      at += 8;
    }
  }
  return seal(std::span(to).subspan(begin), before);
}

/// Appends the records of a message of at most `layout.message_bytes()` bytes and returns the last checksum.
inline std::uint32_t append_message(std::vector<std::byte>& to, Layout const& layout, std::uint8_t kind,
                                    std::string_view text, std::uint32_t before) {
  std::vector<std::byte> message(2 + text.size());
  store_little(message.data(), static_cast<std::uint16_t>(text.size()));
  std::transform(text.begin(), text.end(), message.begin() + 2,
                 [](char c) { return static_cast<std::byte>(c); });
  std::size_t const body = layout.body_bytes();
  std::size_t const records = (message.size() + body - 1) / body;
  message.resize(records * body);
  for (std::size_t i = 0; i < records; ++i) {
    std::size_t const begin = to.size();
    to.resize(begin + layout.record_bytes());
    to[begin] = std::byte{kind};
    to[begin + 1] = static_cast<std::byte>(records - 1 - i);
    std::copy_n(message.begin() + static_cast<std::ptrdiff_t>(i * body), body,
                to.begin() + static_cast<std::ptrdiff_t>(begin + record_head));
    before = seal(std::span(to).subspan(begin), before);
  }
  return before;
}

} // namespace pocketllm::io::journal
