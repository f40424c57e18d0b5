// SPDX-License-Identifier: Apache-2.0
// What a run needs beside its data: threads and a workspace for activations.
#pragma once

#include <pocketllm/core/thread_pool.hpp>
#include <pocketllm/core/workspace.hpp>

namespace pocketllm {

/// What products with weights of codes (i8, i4) take activations as: numbers as they are, or codes of 8 bits
/// with a scale for 32 features of a token. Sums of integers are faster, most of all on AArch64 with the dot
/// product of ARMv8.2, and have the same bits on all machines; rounding changes results by some thousandths
/// of their size.
enum class Activations : unsigned char { f32, i8 };

/// Threads and the memory of activations. One per run; used by one caller at a time.
class Runtime {
public:
  /// `threads` in all, the calling one included; 0 for as many as the machine has.
  explicit Runtime(std::size_t threads = 0, Activations activations = Activations::f32)
      : pool_(threads), activations_(activations) {}

  /// The threads of all products and updates; not to be used from within one of its loops.
  [[nodiscard]] ThreadPool& pool() noexcept { return pool_; }
  /// What was asked for; it makes no difference to weights that are stored as floats.
  [[nodiscard]] Activations activations() const noexcept { return activations_; }
  /// For one thread at a time: what a loop needs is taken before it.
  [[nodiscard]] Workspace& workspace() noexcept { return workspace_; }

private:
  ThreadPool pool_;
  Activations activations_;
  Workspace workspace_;
};

} // namespace pocketllm
