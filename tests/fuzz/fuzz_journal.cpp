// SPDX-License-Identifier: Apache-2.0
// Fuzzes the reader of journals: any bytes give an Error of one line, or records that the same bytes without
// their tail give again. Checksums stop nearly every change that a fuzzer makes, so each input is also read
// with all of them mended.
#include <pocketllm/core/error.hpp>
#include <pocketllm/io/journal_reader.hpp>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string_view>
#include <vector>

namespace {

namespace io = pocketllm::io;
namespace journal = pocketllm::io::journal;

void require(bool condition) {
  if (!condition) {
    std::abort();
  }
}

bool same_steps(io::Journal const& a, io::Journal const& b) {
  auto const bits = [](float x) { return std::bit_cast<std::uint32_t>(x); };
  return std::equal(a.steps().begin(), a.steps().end(), b.steps().begin(), b.steps().end(),
                    [&](io::JournalStep const& x, io::JournalStep const& y) {
                      return x.step == y.step && bits(x.loss) == bits(y.loss) &&
                             bits(x.learning_rate) == bits(y.learning_rate);
                    });
}

void check(std::span<std::byte const> bytes) {
  try {
    io::Journal const found(bytes, "fuzz.journal");
    io::JournalTail const& tail = found.tail();
    require(tail.offset + tail.bytes == bytes.size());
    require((tail.kind == io::JournalTail::Kind::none) == (tail.bytes == 0));
    require(found.tail_text().empty() == (tail.bytes == 0));
    for (std::size_t i = 0; i < found.size(); ++i) {
      require(i == 0 || found.steps()[i].step > found.steps()[i - 1].step);
      require(found.steps()[i].step < found.next_step());
      for (std::size_t k = 0; k < found.slopes(i).size(); ++k) {
        static_cast<void>(found.seed(i, k));
      }
    }
    io::Journal const again(bytes.first(static_cast<std::size_t>(tail.offset)), "fuzz.journal");
    require(again.tail().bytes == 0 && same_steps(found, again) && again.next_step() == found.next_step());
    require(again.notes().size() == found.notes().size() && again.closing() == found.closing());
    require(again.last_checksum() == found.last_checksum());
    io::require_same(found.header(), again.header());
  } catch (pocketllm::Error const& error) {
    require(std::string_view(error.what()).find('\n') == std::string_view::npos);
  }
}

/// Makes the header's length fit into the file and all checksums right.
void mend(std::vector<std::byte>& bytes) {
  std::size_t const least = journal::header_text_at + journal::checksum;
  if (bytes.size() < least) {
    return;
  }
  std::transform(journal::magic.begin(), journal::magic.end(), bytes.begin(),
                 [](std::uint8_t b) { return std::byte{b}; });
  pocketllm::store_little(bytes.data() + 8, journal::version);
  std::size_t const length =
      std::min<std::size_t>(pocketllm::load_little<std::uint32_t>(bytes.data() + 12), bytes.size() - least);
  pocketllm::store_little(bytes.data() + 12, static_cast<std::uint32_t>(length));
  std::span<std::byte> rest(bytes);
  std::uint32_t before = journal::seal(rest.first(least + length), 0);
  std::size_t record = 0;
  try {
    record = journal::read_header(bytes, "fuzz.journal").header.layout().record_bytes();
  } catch (pocketllm::Error const&) {
    return;
  }
  for (rest = rest.subspan(least + length); rest.size() >= record; rest = rest.subspan(record)) {
    before = journal::seal(rest.first(record), before);
  }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  std::span<std::byte const> const bytes = std::as_bytes(std::span(data, size));
  check(bytes);
  std::vector<std::byte> mended(bytes.begin(), bytes.end());
  mend(mended);
  check(mended);
  return 0;
}
