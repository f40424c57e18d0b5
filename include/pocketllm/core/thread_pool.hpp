// SPDX-License-Identifier: Apache-2.0
// Loops shared by threads: small pieces taken from one counter, so that slow cores take fewer of them.
#pragma once

#include <pocketllm/core/error.hpp>

#include <Eigen/Core>
#if __has_include(<Eigen/ThreadPool>) // Eigen 5
#include <Eigen/ThreadPool>
#else
#include <unsupported/Eigen/CXX11/ThreadPool>
#endif

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>

namespace pocketllm {

/// Eigen's thread pool with the one loop that the library needs. Workers sleep while there is nothing to
/// do. The caller works too, so a pool of one thread starts none.
class ThreadPool {
public:
  /// `threads` in all, the caller included; 0 for as many as the machine has.
  explicit ThreadPool(std::size_t threads = 0) : threads_(threads != 0 ? threads : hardware_threads()) {
    // far above any machine's cores; a typing error should not start a million threads
    require(threads_ <= 1024, "threads: ", threads_, " is more than 1024; pass 0 for the machine's number");
    if (threads_ > 1) {
      pool_ = std::make_unique<Eigen::ThreadPool>(static_cast<int>(threads_ - 1), /*allow_spinning=*/false);
    }
  }

  /// Threads that take part in a loop, the caller included.
  [[nodiscard]] std::size_t size() const noexcept { return threads_; }

  /// The machine's number of threads, at least one.
  [[nodiscard]] static std::size_t hardware_threads() noexcept {
    return std::max<std::size_t>(1, std::thread::hardware_concurrency());
  }

  /// Calls f(index, worker) for every index in [0, count), in any order and at the same time; worker < size()
  /// tells the thread, for scratch memory. Returns when all are done. The first exception is rethrown. Not to
  /// be called from within a loop.
  template <class F>
  void parallel_for(std::size_t count, F&& f) {
    std::size_t const helpers = std::min(threads_, count) - (count != 0 ? 1 : 0);
    if (helpers == 0) {
      for (std::size_t i = 0; i < count; ++i) {
        f(i, std::size_t{0});
      }
      return;
    }
    Loop<F> loop{f, count};
    Eigen::Barrier done(static_cast<unsigned>(helpers));
    for (std::size_t worker = 1; worker <= helpers; ++worker) {
      pool_->Schedule([&loop, &done, worker] {
        loop.work(worker);
        done.Notify();
      });
    }
    loop.work(0);
    done.Wait();
    if (loop.error) {
      std::rethrow_exception(loop.error);
    }
  }

private:
  template <class F>
  struct Loop {
    F& f;
    std::size_t count;
    std::atomic<std::size_t> next{0};
    std::mutex error_mutex{};
    std::exception_ptr error{};

    void work(std::size_t worker) noexcept {
      try {
        for (std::size_t i = next.fetch_add(1); i < count; i = next.fetch_add(1)) {
          f(i, worker);
        }
      } catch (...) {
        next.store(count); // the others stop soon
        std::scoped_lock const lock(error_mutex);
        if (!error) {
          error = std::current_exception();
        }
      }
    }
  };

  std::size_t threads_;
  std::unique_ptr<Eigen::ThreadPool> pool_;
};

} // namespace pocketllm
