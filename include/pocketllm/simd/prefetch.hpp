// SPDX-License-Identifier: Apache-2.0
// Memory that will be read soon, fetched into the cache little by little while something else is computed.
#pragma once

#include <algorithm>
#include <cstddef>

namespace pocketllm::simd {

/// Walks over some rows of memory, `row_bytes` of each, `stride` bytes apart, and asks for what it passes.
/// Behind the end it stays where it is. Addresses are only hints: what they point to is never read.
class Prefetch {
public:
  Prefetch() = default; ///< asks for nothing that is not in the cache

  /// To pass everything in about `steps` steps.
  Prefetch(void const* first, std::size_t rows, std::size_t row_bytes, std::size_t stride,
           std::size_t steps) noexcept
      : at_(static_cast<char const*>(first)), end_(at_ + row_bytes), rows_(rows), skip_(stride - row_bytes),
        stride_(stride) {
    constexpr std::size_t line = 64;
    std::size_t const bytes = rows * row_bytes / std::max<std::size_t>(1, steps) + 1;
    lines_ = (bytes + line - 1) / line;
    bytes_ = bytes / lines_; // at most a line, so that none is left out
  }

  /// Asks for the next share: a cache line, or as many as it takes to be done in time.
  [[gnu::always_inline]] void step() noexcept {
    std::size_t i = 0;
    do {
      __builtin_prefetch(at_); // into all levels: the second alone is no faster
      at_ += bytes_;
      if (at_ >= end_) [[unlikely]] {
        next_row();
      }
    } while (++i < lines_);
  }

private:
  void next_row() noexcept {
    if (--rows_ == 0) {
      at_ = end_ - 1;
      bytes_ = 0;
      lines_ = 1;
      return;
    }
    at_ = end_ + skip_;
    end_ += stride_;
  }

  static constexpr char nothing = 0;
  char const* at_ = &nothing;
  char const* end_ = &nothing + 1;
  std::size_t rows_ = 0, skip_ = 0, stride_ = 0, bytes_ = 0, lines_ = 1;
};

} // namespace pocketllm::simd
