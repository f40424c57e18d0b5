// SPDX-License-Identifier: Apache-2.0
#include <pocketllm/train/resources.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <memory>

namespace test_resources {

using namespace pocketllm::train;

TEST_CASE("memory that is written counts, and the peak stays when it is given back") {
  constexpr std::size_t size = 64 << 20;
  std::size_t const before = resident_memory();
  REQUIRE(before > 100'000);
  CHECK(peak_resident_memory() + (1 << 20) >= before); // Linux batches its counters
  std::size_t during = 0;
  {
    std::unique_ptr<char[]> const memory(new char[size]);
    for (std::size_t i = 0; i < size; i += 1024) {
      static_cast<char volatile*>(memory.get())[i] = 1;
    }
    during = resident_memory();
  }
  CHECK(during >= before + size / 10 * 9);
  CHECK(peak_resident_memory() >= before + size / 10 * 9);
  CHECK(peak_resident_memory() + (1 << 20) >= resident_memory());
}

TEST_CASE("sizes have decimal units") {
  CHECK(format_bytes(0) == "0 B");
  CHECK(format_bytes(999) == "999 B");
  CHECK(format_bytes(1000) == "1 kB");
  CHECK(format_bytes(999'499) == "999 kB");
  CHECK(format_bytes(999'500) == "1 MB");
  CHECK(format_bytes(81'234'567) == "81 MB");
  CHECK(format_bytes(999'500'000) == "1.00 GB");
  CHECK(format_bytes(1'554'999'999) == "1.55 GB");
  CHECK(format_bytes(12'005'000'000) == "12.01 GB");
}

TEST_CASE("durations round before they are put into units") {
  CHECK(format_duration(0) == "0.0 s");
  CHECK(format_duration(4.24) == "4.2 s");
  CHECK(format_duration(9.94) == "9.9 s");
  CHECK(format_duration(9.96) == "10 s");
  CHECK(format_duration(59.4) == "59 s");
  CHECK(format_duration(59.5) == "1 min 00 s");
  CHECK(format_duration(65) == "1 min 05 s");
  CHECK(format_duration(3599.4) == "59 min 59 s");
  CHECK(format_duration(3599.6) == "1 h 00 min");
  CHECK(format_duration(11'220) == "3 h 07 min");
  CHECK(format_duration(86'399) == "1 d 00 h");
  CHECK(format_duration(100'000) == "1 d 04 h");
  CHECK(format_duration(-1) == "unknown");
  CHECK(format_duration(NAN) == "unknown");
  CHECK(format_duration(INFINITY) == "unknown");
}

} // namespace test_resources
