// SPDX-License-Identifier: Apache-2.0
// Read-only memory maps.
#include "toy.hpp"
#include <pocketllm/core/mapped_file.hpp>

#include <sys/stat.h>

#include <utility>

namespace test_mapped_file {

using pocketllm::MappedFile;

namespace {
std::string content(MappedFile const& map) {
  return {reinterpret_cast<char const*>(map.bytes().data()), map.bytes().size()};
}
} // namespace

TEST_CASE("a map holds the file's bytes, also behind drop, move, rename and deletion") {
  toy::TemporaryDirectory const directory;
  std::string text(20'000, 'a'); // several pages and a part of one
  text.replace(9'000, 3, "xyz");
  toy::write(directory.path / "file", text);
  MappedFile map(directory.path / "file");
  CHECK(map.size() == text.size());
  CHECK(content(map) == text);
  map.advise_sequential();
  map.drop(map.bytes());
  CHECK(content(map) == text);
  map.drop(map.bytes().subspan(4'097, 1));
  map.drop(map.bytes().last(0));
  map.drop({});
  CHECK(content(map) == text);

  MappedFile moved = std::move(map);
  toy::fs::rename(directory.path / "file", directory.path / "other");
  toy::fs::remove(directory.path / "other");
  CHECK(content(moved) == text);
  toy::write(directory.path / "second", "2");
  moved = MappedFile(directory.path / "second");
  CHECK(content(moved) == "2");
  CHECK(moved.path() == directory.path / "second");
}

TEST_CASE("what cannot be mapped is an error that names the path and the reason") {
  toy::TemporaryDirectory const directory;
  toy::write(directory.path / "empty", "");
  REQUIRE(::mkfifo((directory.path / "pipe").c_str(), 0600) == 0);
  auto const map = [&](char const* name) {
    return [path = directory.path / name] { MappedFile const file(path); };
  };
  toy::check_error(map("nothing"), {(directory.path / "nothing").string(), "No such file or directory"});
  toy::check_error(map("."), {directory.path.string(), "is a directory"});
  toy::check_error(map("empty"), {(directory.path / "empty").string(), "empty"});
  toy::check_error(map("pipe"), {(directory.path / "pipe").string(), "not a regular file"});
  toy::check_error(map("empty/file"), {"empty/file", "Not a directory"});
}

} // namespace test_mapped_file
