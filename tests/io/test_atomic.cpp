// SPDX-License-Identifier: Apache-2.0
// Files and directories that are replaced as a whole.
#include "toy.hpp"
#include <pocketllm/io/atomic_directory.hpp>
#include <pocketllm/io/atomic_file.hpp>

#include <optional>

namespace test_atomic {

namespace io = pocketllm::io;
using Names = std::vector<std::string>;

TEST_CASE("a file appears and is replaced at commit, and not before") {
  toy::TemporaryDirectory const directory;
  toy::fs::path const target = directory.path / "journal";
  for (std::string const text : {"first", "second"}) {
    io::AtomicFile file(target);
    file.write(text.substr(0, 2));
    file.write(toy::bytes_of(text).subspan(2));
    CHECK(toy::fs::exists(target) == (text == "second"));
    file.commit();
    CHECK(toy::read(target) == text);
  }
  {
    io::AtomicFile file(target);
    file.write("third");
  }
  CHECK(toy::read(target) == "second");
  CHECK(toy::names_in(directory.path) == Names{"journal"});
}

TEST_CASE("a link to a file stays a link") {
  toy::TemporaryDirectory const directory;
  toy::fs::create_directory(directory.path / "disk");
  toy::write(directory.path / "disk" / "real", "old");
  toy::fs::create_symlink("disk/real", directory.path / "link");
  io::AtomicFile file(directory.path / "link");
  file.write("new");
  file.commit();
  CHECK(toy::fs::is_symlink(directory.path / "link"));
  CHECK(toy::read(directory.path / "disk" / "real") == "new");
}

TEST_CASE("what a killed program left is used again, a living one is not disturbed") {
  toy::TemporaryDirectory const directory;
  toy::fs::path const target = directory.path / "file";
  toy::write(directory.path / ".file.saving", "a longer text of another program");
  {
    io::AtomicFile file(target);
    toy::check_error([&] { io::AtomicFile const second(target); },
                     {".file.saving", "another program is writing"});
    file.write("short");
    file.commit();
  }
  CHECK(toy::read(target) == "short");

  toy::fs::path const folder = directory.path / "folder";
  toy::fs::create_directories(directory.path / ".folder.saving" / "deep");
  {
    io::AtomicDirectory output(folder);
    CHECK(toy::names_in(output.path()).empty());
    toy::check_error([&] { io::AtomicDirectory const second(folder); },
                     {".folder.saving", "another program"});
    toy::write(output.path() / "a", "1");
    output.commit();
  }
  CHECK(toy::names_in(directory.path) == Names{"file", "folder"});
  CHECK(toy::names_in(folder) == Names{"a"});
}

TEST_CASE("a directory is replaced at commit, and not before") {
  toy::TemporaryDirectory const directory;
  toy::fs::path const target = directory.path / "new" / "parents" / "model";
  for (std::string const text : {"first", "second"}) {
    io::AtomicDirectory output(target / ""); // "model/" is the same as "model"
    toy::write(output.path() / text, text);
    CHECK_FALSE(toy::fs::exists(target / text));
    output.commit();
    CHECK(toy::names_in(target) == Names{text});
  }
  {
    io::AtomicDirectory const output(target);
    toy::write(output.path() / "third", "");
  }
  CHECK(toy::names_in(target) == Names{"second"});
  CHECK(toy::names_in(target.parent_path()) == Names{"model"});
}

TEST_CASE("replacing in two steps, for systems that cannot exchange names") {
  toy::TemporaryDirectory const directory;
  toy::fs::path const fresh = directory.path / "fresh", target = directory.path / "target";
  toy::fs::create_directories(fresh / "new");
  toy::fs::create_directories(target / "old");
  io::detail::replace_in_two_steps(fresh, target);
  CHECK(toy::names_in(target) == Names{"new"});
  CHECK(toy::names_in(io::detail::retired_beside(target)) == Names{"old"});

  toy::check_error([&] { io::detail::replace_in_two_steps(directory.path / "nothing", target); },
                   {target.string()});
  CHECK(toy::names_in(target) == Names{"new"}); // rolled back

  toy::fs::rename(target, io::detail::retired_beside(target)); // a crash between the steps
  io::AtomicDirectory const next(target);
  CHECK(toy::names_in(target) == Names{"new"});
}

TEST_CASE("paths that cannot be written to") {
  toy::TemporaryDirectory const directory;
  toy::write(directory.path / "file", "");
  toy::check_error([&] { io::AtomicFile const file(directory.path / "file" / "x"); },
                   {"file", "Not a directory"});
  toy::check_error([&] { io::AtomicFile const file(directory.path / "none" / "x"); },
                   {"none", "No such file"});
  toy::check_error([&] { io::AtomicDirectory const out(directory.path / "file" / "x"); },
                   {"file", "Not a directory"});
  toy::check_error([&] { io::AtomicFile const file(""); }, {"empty"});
  toy::check_error([&] { io::AtomicFile const file("/"); }, {"/: is not a path"});
  toy::fs::create_symlink("nowhere", directory.path / "dangling");
  toy::check_error([&] { io::AtomicFile const file(directory.path / "dangling"); }, {"dangling", "link"});
}

} // namespace test_atomic
