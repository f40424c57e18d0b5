// SPDX-License-Identifier: Apache-2.0
// Asking a run to finish its step and stop: from a signal handler, another thread or a callback.
#pragma once

#include <pocketllm/core/error.hpp>

#include <signal.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <version>
#if defined(__cpp_lib_jthread)
#include <stop_token>
#include <utility>
#endif

namespace pocketllm::train {

/// A request to stop that any thread and any signal handler may make.
class StopFlag {
public:
  /// `signal` is the number of the signal that asks, 0 when it is no signal. Safe in signal handlers.
  void request(int signal = 0) noexcept {
    signal_.store(signal, std::memory_order_relaxed);
    requested_.store(true, std::memory_order_release);
  }
  /// Whether anybody has asked; there is no way back.
  [[nodiscard]] bool requested() const noexcept { return requested_.load(std::memory_order_acquire); }
  /// The signal that asked, or 0.
  [[nodiscard]] int signal() const noexcept { return signal_.load(std::memory_order_relaxed); }

private:
  std::atomic<bool> requested_{false};
  std::atomic<int> signal_{0};
  static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<int>::is_always_lock_free,
                "only lock-free atomics may be used in signal handlers");
};

/// While it lives, the first SIGINT (Ctrl-C) or SIGTERM sets a flag, and a second one ends the process as if
/// there were no handler. The end of its life brings back the handlers that were there. A signal that was
/// ignored stays ignored (as under nohup).
class StopSignal {
public:
  /// `flag` must outlive this. Throws Error when another StopSignal lives.
  explicit StopSignal(StopFlag& flag) {
    StopFlag* none = nullptr;
    require(target().compare_exchange_strong(none, &flag),
            "stop signals are caught already; keep one StopSignal for the whole program");
    for (std::size_t i = 0; i < signals.size(); ++i) {
      sigaction(signals[i], nullptr, &before_[i]);
      if (before_[i].sa_handler != SIG_IGN) {
        struct sigaction action {};
        action.sa_handler = handle;
        action.sa_flags = SA_RESTART; // files being written must not see EINTR
        sigaction(signals[i], &action, nullptr);
      }
    }
  }

  ~StopSignal() {
    for (std::size_t i = 0; i < signals.size(); ++i) {
      sigaction(signals[i], &before_[i], nullptr);
    }
    target().store(nullptr);
  }

  StopSignal(StopSignal const&) = delete;
  StopSignal& operator=(StopSignal const&) = delete;

private:
  static constexpr std::array signals{SIGINT, SIGTERM};

  [[nodiscard]] static std::atomic<StopFlag*>& target() noexcept {
    static constinit std::atomic<StopFlag*> flag{nullptr};
    static_assert(std::atomic<StopFlag*>::is_always_lock_free);
    return flag;
  }

  /// Calls nothing but atomics and sigaction, which POSIX allows in handlers.
  static void handle(int signal) noexcept {
    int const saved = errno;
    struct sigaction standard {};
    standard.sa_handler = SIG_DFL;
    for (int const each : signals) {
      struct sigaction now {};
      sigaction(each, nullptr, &now);
      if (now.sa_handler == handle) { // not one that is ignored
        sigaction(each, &standard, nullptr);
      }
    }
    if (StopFlag* const flag = target().load()) {
      flag->request(signal);
    }
    errno = saved;
  }

  std::array<struct sigaction, 2> before_{};
};

/// What a loop asks between steps: any of a flag and a std::stop_token, or neither. The flag must outlive it.
class StopCondition {
public:
  StopCondition() = default;
  /// Asks a flag, which must outlive it.
  StopCondition(StopFlag const& flag) noexcept : flag_(&flag) {}
  StopCondition(StopFlag&&) = delete;
#if defined(__cpp_lib_jthread) // not in every libc++
  /// Asks a token.
  StopCondition(std::stop_token token) noexcept : token_(std::move(token)) {}
  /// Asks both; one that says stop is enough.
  StopCondition(StopFlag const& flag, std::stop_token token) noexcept
      : flag_(&flag), token_(std::move(token)) {}

  /// Whether it is time to stop; false for ever when there is nothing to ask.
  [[nodiscard]] bool requested() const noexcept {
    return (flag_ != nullptr && flag_->requested()) || token_.stop_requested();
  }
#else
  /// Whether it is time to stop; false for ever when there is nothing to ask.
  [[nodiscard]] bool requested() const noexcept { return flag_ != nullptr && flag_->requested(); }
#endif

private:
  StopFlag const* flag_ = nullptr;
#if defined(__cpp_lib_jthread)
  std::stop_token token_;
#endif
};

} // namespace pocketllm::train
