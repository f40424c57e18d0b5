// SPDX-License-Identifier: Apache-2.0
// What a run needs beside its data: threads and a workspace for activations.
#pragma once

#include <pocketllm/core/thread_pool.hpp>
#include <pocketllm/core/workspace.hpp>

namespace pocketllm {

/// Threads and the memory of activations. One per run; used by one caller at a time.
class Runtime {
public:
  /// `threads` in all, the calling one included; 0 for as many as the machine has.
  explicit Runtime(std::size_t threads = 0) : pool_(threads) {}

  [[nodiscard]] ThreadPool& pool() noexcept { return pool_; }
  [[nodiscard]] Workspace& workspace() noexcept { return workspace_; }

private:
  ThreadPool pool_;
  Workspace workspace_;
};

} // namespace pocketllm
