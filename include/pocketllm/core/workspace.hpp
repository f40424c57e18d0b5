// SPDX-License-Identifier: Apache-2.0
// Memory for activations that is allocated once and used again in every step.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <new>
#include <span>
#include <utility>
#include <vector>

namespace pocketllm {

/// A stack of float buffers. `take` gives the next one, a `Frame` gives back all that was taken while it
/// lived. When a step needs more than there is, a further chunk is added; once everything has been given
/// back the chunks become a single one of their common size, so that steps of equal size allocate nothing.
class Workspace {
public:
  Workspace() = default;
  Workspace(Workspace const&) = delete;
  Workspace& operator=(Workspace const&) = delete;

  /// `count` floats without a value, aligned to a cache line, valid until the enclosing frame ends.
  [[nodiscard]] std::span<float> take(std::size_t count) {
    std::size_t const rounded = (count + line - 1) / line * line;
    if (chunks_.empty() || chunks_[current_].used + rounded > chunks_[current_].size) {
      next_chunk(rounded);
    }
    Chunk& chunk = chunks_[current_];
    float* const data = chunk.data.get() + chunk.used;
    chunk.used += rounded;
    return {data, count};
  }

  /// Bytes held.
  [[nodiscard]] std::size_t capacity_bytes() const noexcept {
    std::size_t floats = 0;
    for (Chunk const& chunk : chunks_) {
      floats += chunk.size;
    }
    return floats * sizeof(float);
  }

  /// How often memory was asked from the system so far.
  [[nodiscard]] std::size_t allocations() const noexcept { return allocations_; }

  /// Gives back, at its end, what was taken since its beginning.
  class Frame {
  public:
    /// Begins now. Frames end in the opposite order of their beginnings.
    explicit Frame(Workspace& workspace) noexcept
        : workspace_(workspace), chunk_(workspace.current_),
          used_(workspace.chunks_.empty() ? 0 : workspace.chunks_[chunk_].used) {}
    ~Frame() { workspace_.give_back(chunk_, used_); }
    Frame(Frame const&) = delete;
    Frame& operator=(Frame const&) = delete;

  private:
    Workspace& workspace_;
    std::size_t chunk_, used_;
  };

private:
  static constexpr std::size_t line = 16; // floats in a cache line of 64 bytes
  struct Free {
    void operator()(float* data) const noexcept { ::operator delete[](data, std::align_val_t{64}); }
  };
  struct Chunk {
    std::unique_ptr<float[], Free> data;
    std::size_t size = 0, used = 0;
  };

  static std::unique_ptr<float[], Free> allocate(std::size_t floats) {
    return std::unique_ptr<float[], Free>(
        static_cast<float*>(::operator new[](floats * sizeof(float), std::align_val_t{64})));
  }

  void next_chunk(std::size_t floats) {
    while (current_ + 1 < chunks_.size()) {
      ++current_;
      if (floats <= chunks_[current_].size) {
        return;
      }
    }
    chunks_.push_back({allocate(floats), floats, 0});
    ++allocations_;
    current_ = chunks_.size() - 1;
  }

  void give_back(std::size_t chunk, std::size_t used) noexcept {
    for (std::size_t i = chunk + 1; i < chunks_.size(); ++i) {
      chunks_[i].used = 0;
    }
    if (!chunks_.empty()) {
      chunks_[chunk].used = used;
    }
    current_ = chunk;
    if (chunk == 0 && used == 0 && chunks_.size() > 1) {
      merge();
    }
  }

  /// All chunks become one. Their memory is freed first: the peak is what a step needs, not twice that.
  void merge() noexcept {
    std::size_t const floats = capacity_bytes() / sizeof(float);
    chunks_.clear();
    try {
      chunks_.push_back({allocate(floats), floats, 0});
      ++allocations_;
    } catch (std::bad_alloc const&) { // the next take asks again, and reports it
    }
  }

  std::vector<Chunk> chunks_;
  std::size_t current_ = 0;
  std::size_t allocations_ = 0;
};

} // namespace pocketllm
