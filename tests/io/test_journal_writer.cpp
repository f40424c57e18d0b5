// SPDX-License-Identifier: Apache-2.0
// Writing a journal: mistakes of the caller, going on, other writers, full disks, and death at any instant.
#include "journal_toy.hpp"

#include <sys/resource.h>

#include <csignal>
#include <limits>
#include <optional>

namespace test_journal_writer {

namespace io = pocketllm::io;
using Kind = io::JournalTail::Kind;
using toy::Json;
using Names = std::vector<std::string>;

namespace {

/// Every record goes to the system at once, and to the disk never before the end.
constexpr io::SyncPolicy at_once{.write_seconds = 0.0, .sync_seconds = 1e9};

io::JournalWriter create(toy::fs::path const& path, io::JournalHeader const& header, std::uint64_t steps) {
  auto writer = io::JournalWriter::create(path, header, at_once);
  for (std::uint64_t step = 0; step < steps; ++step) {
    toy::append(writer, header, step);
  }
  return writer;
}

/// The message of the Error that f() throws, in a child process where it can be thrown whatever happens to
/// the child's file limits; checks that it has `part`.
template <class F>
bool throws_with(F&& f, std::string_view part) {
  try {
    f();
  } catch (pocketllm::Error const& error) {
    return std::string_view(error.what()).find(part) != std::string_view::npos;
  }
  return false;
}

void limit_file_size(::rlim_t bytes) {
  ::rlimit limit{};
  ::getrlimit(RLIMIT_FSIZE, &limit);
  limit.rlim_cur = std::min(bytes, limit.rlim_max);
  ::setrlimit(RLIMIT_FSIZE, &limit);
}

} // namespace

TEST_CASE("a journal resumed after any cut ends with the bytes of one that was not cut") {
  toy::TemporaryDirectory const directory;
  io::JournalHeader const header = toy::header();
  toy::fs::path const whole = directory.path / "whole", path = directory.path / "run.journal";
  {
    auto writer = create(whole, header, 5);
    writer.note({{"half", true}});
    for (std::uint64_t step = 5; step < 8; ++step) {
      toy::append(writer, header, step);
    }
    writer.finish({8, "finished", "blake3:"});
  }
  std::string const file = toy::read(whole);
  for (std::size_t size = toy::header_bytes(file); size <= file.size(); ++size) {
    CAPTURE(size);
    toy::write(path, file.substr(0, size));
    auto [writer, journal] = io::JournalWriter::resume(path, header);
    CHECK(journal.tail().bytes == (size - journal.tail().offset));
    CHECK(toy::fs::file_size(path) == journal.tail().offset);
    CHECK(writer.next_step() == journal.next_step());
    bool noted = !journal.notes().empty();
    for (std::uint64_t step = writer.next_step(); step < 8; ++step) {
      if (step == 5 && !std::exchange(noted, true)) {
        writer.note({{"half", true}});
      }
      toy::append(writer, header, step);
    }
    if (!journal.closing()) {
      writer.finish({8, "finished", "blake3:"});
    }
    writer.flush();
    CHECK(toy::read(path) == file);
  }
}

TEST_CASE("a finished run may go on") {
  toy::TemporaryDirectory const directory;
  io::JournalHeader const header = toy::header();
  toy::fs::path const path = directory.path / "run.journal";
  create(path, header, 3).finish({3, "finished", "blake3:1"});
  CHECK(io::read_journal(path).closing()->weights == "blake3:1");
  {
    auto [writer, journal] = io::JournalWriter::resume(path, header);
    toy::append(writer, header, 3);
  }
  io::Journal const read = io::read_journal(path);
  CHECK(read.size() == 4);
  CHECK_FALSE(read.closing());
  CHECK(read.notes().size() == 1);
}

TEST_CASE("a journal that is damaged in its middle is cut only when that is accepted") {
  toy::TemporaryDirectory const directory;
  io::JournalHeader const header = toy::header();
  toy::fs::path const path = directory.path / "run.journal";
  create(path, header, 10).flush();
  std::string file = toy::read(path);
  file[toy::header_bytes(file) + 4 * 18 + 5] ^= 1;
  toy::write(path, file);
  toy::check_error([&] { static_cast<void>(io::JournalWriter::resume(path, header)); },
                   {"run.journal: the file is damaged at byte", "behind step 3",
                    "5 records among them look whole", "repeat the run from step 4"});
  CHECK(toy::read(path) == file);
  auto [writer, journal] = io::JournalWriter::resume(path, header, {.accept_damage = true});
  CHECK(journal.tail().kind == Kind::damaged);
  CHECK(writer.next_step() == 4);
  CHECK(toy::read(path) == file.substr(0, toy::header_bytes(file) + 4 * 18));
}

TEST_CASE("a journal of another run is not touched") {
  toy::TemporaryDirectory const directory;
  toy::fs::path const path = directory.path / "run.journal";
  create(path, toy::header(), 3).flush();
  std::string const file = toy::read(path) + "torn";
  toy::write(path, file);
  toy::check_error(
      [&] {
        static_cast<void>(io::JournalWriter::resume(path, toy::header({{"base", "blake3:another"}})));
      },
      {"run.journal: is of another run: base is "});
  CHECK(toy::read(path) == file);
}

TEST_CASE("mistakes of the caller leave the journal as it was") {
  toy::TemporaryDirectory const directory;
  io::JournalHeader const header = toy::header();
  toy::fs::path const path = directory.path / "run.journal";
  auto writer = create(path, header, 4);
  std::string const before = toy::read(path);
  auto const refused = [&](std::uint64_t step, float rate, std::vector<toy::Slope> const& gradient,
                           std::string const& part) {
    toy::check_error([&] { writer.append(step, rate, 0.5F, gradient); }, {"run.journal: ", part});
  };
  std::uint64_t const seed = header.seed(4, 0);
  refused(4, 1e-6F, {}, "step 4 has 0 slopes, expected 1");
  refused(4, 1e-6F, {{seed, 1.0F}, {seed, 1.0F}}, "step 4 has 2 slopes");
  refused(4, 1e-6F, {{seed + 1, 1.0F}}, "slope 0 of step 4 has another seed");
  refused(4, 1e-6F, {{seed, std::numeric_limits<float>::quiet_NaN()}}, "not a finite number");
  refused(4, std::numeric_limits<float>::infinity(), {{seed, 1.0F}}, "not a finite number");
  refused(3, 1e-6F, {{header.seed(3, 0), 1.0F}}, "step 3 comes behind step 3");
  refused(260, 1e-6F, {{header.seed(260, 0), 1.0F}}, "step 260 comes where 4 is expected");
  toy::check_error(
      [&] {
        writer.note({{"long", std::string(4000, 'x')}});
      },
      {"run.journal", "at most 3070 bytes"});
  toy::check_error([&] { writer.note("text"); }, {"must be a JSON object", "found string"});
  toy::check_error([&] { writer.note({{"key", "\xff"}}); }, {"not UTF-8"});
  CHECK(toy::read(path) == before);

  writer.append(259, 1e-6F, std::numeric_limits<float>::quiet_NaN(), toy::gradient_of(header, 259));
  writer.note({{"long", std::string(3059, 'x')}}); // the longest
  writer.flush();
  io::Journal const read = io::read_journal(path);
  CHECK(read.steps().back().step == 259);
  CHECK(std::isnan(read.steps().back().loss));
  CHECK(read.notes()[0].json.at("long").get<std::string>().size() == 3059);
}

TEST_CASE("journals that cannot be created or resumed") {
  toy::TemporaryDirectory const directory;
  toy::fs::path const path = directory.path / "run.journal";
  auto const create_at = [&](toy::fs::path const& where, Json const& changes = Json::object()) {
    return [where, changes] { static_cast<void>(io::JournalWriter::create(where, toy::header(changes))); };
  };
  toy::write(path, "precious");
  toy::check_error(create_at(path), {"run.journal: is there already; resume it"});
  CHECK(toy::read(path) == "precious");
  toy::check_error(create_at(directory.path / "none" / "x"), {"none", "No such file"});
  toy::check_error(create_at(directory.path / "a", {{"base", "\xff"}}), {"not UTF-8"});
  toy::check_error(create_at(directory.path / "a", {{"update", {{"rate", NAN}}}}),
                   {"number that JSON cannot hold"});
  toy::check_error(create_at(directory.path / "a", {{"base", std::string(2'000'000, 'x')}}), {"use digests"});
  auto const resume_at = [](toy::fs::path const& where) {
    return [where] { static_cast<void>(io::JournalWriter::resume(where, toy::header())); };
  };
  toy::check_error(resume_at(path), {"run.journal: is not a journal"});
  toy::check_error(resume_at(directory.path / "b"), {"b: cannot be opened for writing: No such file"});
  CHECK(toy::names_in(directory.path) == Names{"run.journal"});
}

TEST_CASE("a link to a journal stays a link") {
  toy::TemporaryDirectory const directory;
  toy::fs::create_directory(directory.path / "disk");
  create(directory.path / "disk" / "real", toy::header(), 2).flush();
  toy::fs::create_symlink("disk/real", directory.path / "link");
  {
    auto [writer, journal] = io::JournalWriter::resume(directory.path / "link", toy::header());
    toy::append(writer, toy::header(), 2);
  }
  CHECK(toy::fs::is_symlink(directory.path / "link"));
  CHECK(io::read_journal(directory.path / "disk" / "real").size() == 3);
}

TEST_CASE("two processes cannot write one journal, and reading does not mind a writer") {
  toy::TemporaryDirectory const directory;
  io::JournalHeader const header = toy::header();
  toy::fs::path const path = directory.path / "run.journal";
  auto const tries = [&] {
    return toy::in_child([&] {
      return throws_with([&] { static_cast<void>(io::JournalWriter::resume(path, header)); },
                         "run.journal: another program is writing this")
                 ? 0
                 : 1;
    });
  };
  {
    auto created = create(path, header, 3); // holds the lock from before the file has its name
    CHECK(tries() == 0);
    CHECK(io::read_journal(path).size() == 3);
    toy::append(created, header, 3);
  }
  CHECK(tries() == 1);
  {
    auto [writer, journal] = io::JournalWriter::resume(path, header);
    auto moved = std::move(writer);
    CHECK(tries() == 0);
    toy::append(moved, header, 4);
  }
  CHECK(tries() == 1);
  CHECK(io::read_journal(path).size() == 5);
}

TEST_CASE("records reach the file by the policy") {
  toy::TemporaryDirectory const directory;
  io::JournalHeader const header = toy::header();
  auto const written = [&](std::string const& name, io::SyncPolicy const& policy, std::uint64_t steps) {
    auto writer = io::JournalWriter::create(directory.path / name, header, policy);
    for (std::uint64_t step = 0; step < steps; ++step) {
      toy::append(writer, header, step);
    }
    return io::read_journal(directory.path / name).size();
  };
  CHECK(written("at once", at_once, 3) == 3);
  CHECK(written("later", {.write_seconds = 1e9, .sync_seconds = 1e9}, 3) == 0);
  CHECK(io::read_journal(directory.path / "later").size() == 3); // at the end at the latest
  CHECK(written("by steps", {.write_seconds = 1e9, .sync_seconds = 1e9, .sync_steps = 4}, 11) == 8);
  CHECK(written("always", {.write_seconds = 1e9, .sync_seconds = 0.0}, 3) == 3);
  // a tail longer than this would be taken for damage
  CHECK(written("many", {.write_seconds = 1e9, .sync_seconds = 1e9}, 4000) == 64 * 1024 / 18 + 1);
}

TEST_CASE("a full disk stops the run, with everything before it in the file") {
  toy::TemporaryDirectory const directory;
  io::JournalHeader const header = toy::header();
  for (::rlim_t extra = 0; extra < 40; ++extra) {
    toy::fs::path const path = directory.path / std::to_string(extra);
    create(path, header, 2).flush();
    auto const size = static_cast<::rlim_t>(toy::fs::file_size(path));
    int const status = toy::in_child([&] {
      std::signal(SIGXFSZ, SIG_IGN); // then writing beyond the limit fails as it does on a full disk
      auto [writer, journal] = io::JournalWriter::resume(path, header, {.policy = at_once});
      limit_file_size(size + extra);
      for (std::uint64_t step = 2; step < 20; ++step) {
        auto const append = [&, &writer = writer] { toy::append(writer, header, step); };
        bool const fits = step - 2 < extra / 18;
        if (fits ? throws_with(append, "")
                 : !throws_with(append, "cannot be written: File too large; raise")) {
          return 1;
        }
      }
      if (toy::fs::file_size(path) != size + extra / 18 * 18) {
        return 2; // no part of a record is left behind
      }
      if (extra % 2 != 0) { // space is made: what was kept in memory is written
        limit_file_size(RLIM_INFINITY);
        toy::append(writer, header, 20);
        writer.flush();
      }
      return 0;
    });
    CHECK(status == 0);
    io::Journal const read = io::read_journal(path);
    CHECK(read.tail().kind == Kind::none);
    CHECK(read.size() == (extra % 2 != 0 ? 21 : 2 + extra / 18));
    CHECK(toy::is_right(read));
  }
}

TEST_CASE("a disk too full for the header leaves no journal") {
  toy::TemporaryDirectory const directory;
  int const status = toy::in_child([&] {
    std::signal(SIGXFSZ, SIG_IGN);
    limit_file_size(100);
    return throws_with([&] { create(directory.path / "run.journal", toy::header(), 0); },
                       "run.journal: cannot be written: File too large; raise")
               ? 0
               : 1;
  });
  CHECK(status == 0);
  CHECK(toy::names_in(directory.path).empty());
}

TEST_CASE("a writer killed at any instant leaves its first records, to go on from") {
  toy::TemporaryDirectory const directory;
  io::JournalHeader const header = toy::header();
  toy::fs::path const path = directory.path / "run.journal";
  std::size_t steps = 0;
  unsigned created = 0;
  for (unsigned trial = 0; created < 40 && trial < 2000; ++trial) { // on a busy machine many die too early
    if (trial % 3 == 0) {                                           // creating is killed, too
      toy::fs::remove(path);
      steps = 0;
    }
    static_cast<void>(toy::in_child(
        [&] {
          io::SyncPolicy const policy{.write_seconds = 0.0, .sync_seconds = 0.003};
          auto writer = toy::fs::exists(path)
                            ? io::JournalWriter::resume(path, header, {.policy = policy}).writer
                            : io::JournalWriter::create(path, header, policy);
          for (std::uint64_t step = writer.next_step();; ++step) {
            toy::append(writer, header, step);
          }
          return 0;
        },
        200 + 173 * trial % 9000));
    if (!toy::fs::exists(path)) {
      continue;
    }
    ++created;
    io::Journal const read = io::read_journal(path);
    CHECK(read.tail().kind != Kind::damaged);
    CHECK(read.size() >= steps); // what was in the file stays there
    CHECK(toy::is_right(read));
    steps = read.size();
  }
  CHECK(created == 40);
}

} // namespace test_journal_writer
