// SPDX-License-Identifier: Apache-2.0
#include "temporary_folder.hpp"
#include <pocketllm/core/scratch_file.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

using namespace pocketllm;

namespace {

std::vector<std::byte> pattern(std::size_t size, unsigned start) {
  std::vector<std::byte> bytes(size);
  for (std::size_t i = 0; i < size; ++i) {
    bytes[i] = static_cast<std::byte>((start + i * 7) % 251);
  }
  return bytes;
}

} // namespace

TEST_CASE("what is appended to a scratch file stays where it is, and the file has no name") {
  test::TemporaryFolder const directory;
  ScratchFile file(directory.path(), 10'000);
  CHECK(std::filesystem::is_empty(directory.path()));
  auto const first = pattern(6'000, 1), second = pattern(4'000, 2);
  auto const at_first = file.append(first);
  CHECK(file.room() == 4'000);
  auto const at_second = file.append(second);
  CHECK(file.room() == 0);
  ScratchFile const moved = std::move(file);
  CHECK(std::ranges::equal(at_first, first));
  CHECK(std::ranges::equal(at_second, second));
  CHECK(at_second.data() == at_first.data() + 6'000);
}

TEST_CASE("a scratch file that cannot be had is an error that says why") {
  test::TemporaryFolder const directory;
  ScratchFile file(directory.path(), 10);
  CHECK(test::error_of([&] {
          file.append(pattern(11, 0));
        }).find("11 bytes for a scratch file with room for 10") != std::string::npos);
  auto const nowhere = directory.path() / "nowhere";
  CHECK(test::error_of([&] { ScratchFile(nowhere, 10); }).find(nowhere.string()) != std::string::npos);
  constexpr std::size_t too_much = std::size_t{1} << 63; // more than a file can have
  CHECK(test::error_of([&] { ScratchFile(directory.path(), too_much); }).find("no room for a scratch file") !=
        std::string::npos);
  CHECK(std::filesystem::is_empty(directory.path()));
}
