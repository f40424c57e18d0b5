// SPDX-License-Identifier: Apache-2.0
#include "temporary_folder.hpp"
#include <pocketllm/train/stop.hpp>

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <utility>

namespace test_stop {

using namespace pocketllm;
using namespace pocketllm::train;

namespace {

int handled = 0;
void count_signal(int) { ++handled; }

void (*handler_of(int signal))(int) {
  struct sigaction now {};
  sigaction(signal, nullptr, &now);
  return now.sa_handler;
}

/// How a child process ends that runs `f` and then exits with 7: the status of waitpid.
template <class F>
int child(F&& f) {
  pid_t const process = fork();
  REQUIRE(process >= 0);
  if (process == 0) {
    f();
    _exit(7);
  }
  int status = 0;
  REQUIRE(waitpid(process, &status, 0) == process);
  return status;
}

} // namespace

TEST_CASE("Ctrl-C and SIGTERM set the flag; the handlers from before come back") {
  for (int const signal : {SIGINT, SIGTERM}) {
    handled = 0;
    std::signal(signal, count_signal);
    StopFlag flag;
    {
      StopSignal const guard(flag);
      CHECK_FALSE(flag.requested());
      std::raise(signal);
      CHECK(flag.requested());
      CHECK(flag.signal() == signal);
      CHECK(handled == 0);
    }
    CHECK((handler_of(signal) == count_signal));
    std::raise(signal);
    CHECK(handled == 1);
    std::signal(signal, SIG_DFL);
  }
}

TEST_CASE("the second signal ends the process, also when it is the other one") {
  for (auto const& [first, second] : {std::pair{SIGINT, SIGINT}, {SIGTERM, SIGTERM}, {SIGTERM, SIGINT}}) {
    int const status = child([first = first, second = second] {
      StopFlag flag;
      StopSignal const guard(flag);
      std::raise(first);
      if (!flag.requested()) {
        _exit(1);
      }
      std::raise(second);
    });
    CHECK(WIFSIGNALED(status));
    CHECK(WTERMSIG(status) == second);
  }
}

TEST_CASE("a signal that is ignored stays ignored") {
  int const status = child([] {
    std::signal(SIGINT, SIG_IGN);
    StopFlag flag;
    StopSignal const guard(flag);
    std::raise(SIGINT);
    if (flag.requested()) {
      _exit(1);
    }
    std::raise(SIGTERM);
    if (!flag.requested() || handler_of(SIGINT) != SIG_IGN) {
      _exit(2);
    }
    std::raise(SIGINT);
  });
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 7);
}

TEST_CASE("one StopSignal at a time") {
  StopFlag flag, other;
  {
    StopSignal const guard(flag);
    CHECK(test::error_of([&] { StopSignal const second(other); }) ==
          "stop signals are caught already; keep one StopSignal for the whole program");
    CHECK((handler_of(SIGINT) != SIG_DFL)); // the failed one left the first in place
  }
  StopSignal const again(other);
  CHECK_FALSE(other.requested());
}

TEST_CASE("a condition is met by its flag or its token") {
  CHECK_FALSE(StopCondition().requested());
  StopFlag flag;
  StopCondition const by_flag(flag);
  CHECK_FALSE(by_flag.requested());
  flag.request();
  CHECK(by_flag.requested());
  CHECK(flag.signal() == 0);
#if defined(__cpp_lib_jthread)
  std::stop_source source;
  StopFlag quiet;
  StopCondition const by_token(source.get_token()), by_both(quiet, source.get_token());
  CHECK_FALSE(by_token.requested());
  CHECK_FALSE(by_both.requested());
  source.request_stop();
  CHECK(by_token.requested());
  CHECK(by_both.requested());
#endif
}

} // namespace test_stop
