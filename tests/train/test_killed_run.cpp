// SPDX-License-Identifier: Apache-2.0
// Runs that die: killed at any instant, on a full disk, with files that were damaged meanwhile. However often
// that happens, the run that goes on ends with the weights of one that was never disturbed.
#include "journaled_run.hpp"
#include "temporary_folder.hpp"
#include <pocketllm/core/split_mix.hpp>

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <string>

namespace test_killed_run {

using namespace pocketllm;
namespace fs = std::filesystem;

namespace {

/// Every try trains anew, several times slower with a sanitizer or on an emulated processor, which need few
/// of them to see what they look for.
unsigned fewer() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return 6;
#else
  return std::getenv("POCKETLLM_TEST_FEW") != nullptr ? 6 : 1;
#endif
}

using Run = toy::JournaledRun<f16, random::Gaussian, toy::Momentum>;

toy::RunSettings const settings{.steps = 300, .snapshot_every = 60};
/// The same with frequent snapshots and waits for the disk, so that many kills meet them.
toy::RunSettings const busy{
    .steps = 300, .snapshot_every = 7, .policy = {.write_seconds = 0.0, .sync_seconds = 0.002}};

/// The run that nothing happens to.
struct Undisturbed {
  std::string digest;
  unsigned microseconds;
};
Undisturbed const& undisturbed() {
  static Undisturbed const run = [] {
    test::TemporaryFolder const folder;
    auto const began = std::chrono::steady_clock::now();
    std::string const digest = Run(busy).go(folder.path() / "run.journal");
    auto const took = std::chrono::steady_clock::now() - began;
    return Undisturbed{
        digest, static_cast<unsigned>(std::chrono::duration_cast<std::chrono::microseconds>(took).count())};
  }();
  return run;
}

enum Ending { right = 0, wrong = 1, refused = 2, killed = 3 };

/// Goes on with the run in a child process, killed after some microseconds unless that is 0; the largest file
/// that it may write has `most` bytes.
Ending go_on(fs::path const& path, toy::RunSettings mine, unsigned kill_after_us = 0,
             ::rlim_t most = RLIM_INFINITY) {
  std::string const& expected = undisturbed().digest;
  ::pid_t const child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN); // then writing beyond the limit fails as on a full disk
    ::rlimit const limit{most, RLIM_INFINITY};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    try {
      ::_exit(Run(mine).go(path) == expected ? right : wrong);
    } catch (Error const&) {
      ::_exit(refused);
    }
  }
  if (kill_after_us != 0) {
    ::usleep(kill_after_us);
    ::kill(child, SIGKILL);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? static_cast<Ending>(WEXITSTATUS(status)) : killed;
}

std::string read(fs::path const& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write(fs::path const& path, std::string const& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

/// The snapshot beside the journal.
fs::path snapshot_beside(fs::path const& journal) {
  for (auto const& entry : fs::directory_iterator(journal.parent_path())) {
    if (entry.path().extension() == ".safetensors") {
      return entry.path();
    }
  }
  return {};
}

} // namespace

TEST_CASE("a run that is killed again and again ends with the weights of one that never was") {
  std::uint64_t drawn = 0;
  unsigned kills = 0, runs = 0, with_snapshot = 0;
  while (kills < 120 / fewer()) {
    test::TemporaryFolder const folder;
    fs::path const path = folder.path() / "run.journal";
    Ending ending = killed;
    while (ending == killed) {
      // some early, in the header and the replay, most during steps, waits for the disk and snapshots
      auto const delay =
          static_cast<unsigned>(split_mix(11, drawn++) % (undisturbed().microseconds / 5 + 1000));
      ending = go_on(path, busy, 1 + (drawn % 8 == 0 ? delay / 20 : delay));
      kills += ending == killed ? 1 : 0;
      with_snapshot += snapshot_beside(path).empty() ? 0 : 1;
      REQUIRE(kills < 5'000); // it gets on
    }
    REQUIRE(ending == right);
    CHECK(io::read_journal(path).closing()->weights == undisturbed().digest);
    ++runs;
  }
  MESSAGE(kills << " kills in " << runs << " runs");
  CHECK(with_snapshot > 20 / fewer());
}

TEST_CASE("a disk that fills up stops the run, and it goes on when there is space") {
  test::TemporaryFolder const folder;
  fs::path const path = folder.path() / "run.journal";
  REQUIRE(go_on(path, settings) == right);
  std::size_t const journal = read(path).size(), snapshot = fs::file_size(snapshot_beside(path));
  REQUIRE(snapshot > journal);
  unsigned stopped = 0;
  for (std::uint64_t i = 0; i < 30; i += fewer()) {
    test::TemporaryFolder const other;
    fs::path const full = other.path() / "run.journal";
    // first the journal's header, then its records, at last a snapshot does not fit
    std::size_t const most = i < 20 ? split_mix(12, i) % journal : snapshot - 1 - split_mix(12, i) % 1000;
    Ending const ending = go_on(full, settings, 0, most);
    CHECK(ending == refused);
    stopped += ending == refused ? 1 : 0;
    CHECK(go_on(full, settings) == right);
  }
  CHECK(stopped == 30 / fewer());
}

TEST_CASE("bytes that change in the journal or a snapshot never make wrong weights") {
  test::TemporaryFolder const folder;
  fs::path const path = folder.path() / "run.journal";
  Run(settings).go(path, 150);
  std::string const journal = read(path);
  fs::path const snapshot_path = snapshot_beside(path);
  REQUIRE(snapshot_path.filename() == "run.journal.120.safetensors");
  std::string const snapshot = read(snapshot_path);
  toy::RunSettings accepting = settings;
  accepting.accept_damage = true;
  unsigned refusals = 0;
  for (std::uint64_t i = 0; i < 60 / fewer(); ++i) {
    std::string bad_journal = journal, bad_snapshot = snapshot;
    std::string& bad = i % 3 == 0 ? bad_snapshot : bad_journal;
    for (std::uint64_t k = 0; k <= i % 2; ++k) {
      bad[split_mix(13, 4 * i + k) % bad.size()] ^= static_cast<char>(1 + split_mix(14, 4 * i + k) % 255);
    }
    if (i % 5 == 0) {
      bad.resize(split_mix(15, i) % bad.size()); // and a part is missing
    }
    write(path, bad_journal);
    write(snapshot_path, bad_snapshot);
    Ending ending = go_on(path, settings);
    CHECK(ending != wrong);
    if (ending == refused) {
      ++refusals;
      CHECK(read(path) == bad_journal); // as it was, for whoever wants to look into it
      ending = go_on(path, accepting);
      CHECK((ending == right || (ending == refused && bad_journal.compare(0, 1000, journal, 0, 1000) != 0)));
    }
    for (auto const& entry : fs::directory_iterator(folder.path())) {
      fs::remove(entry.path());
    }
  }
  CHECK(refusals > 10 / fewer());
}

} // namespace test_killed_run
