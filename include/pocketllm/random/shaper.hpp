// SPDX-License-Identifier: Apache-2.0
// Directions that are shaped by something that is known when the program runs: which weights are left alone,
// or how far each is moved.
#pragma once

#include <pocketllm/random/stream.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace pocketllm::random {

/// Changes the noise of AnyPerturbation::shaped_by. It must be a pure function of its arguments and of what a
/// replay has too: the model, as it is when a step begins, and `parameter`.
class Shaper {
public:
  Shaper() = default;
  Shaper(Shaper const&) = delete;
  Shaper& operator=(Shaper const&) = delete;
  virtual ~Shaper() = default;

  /// What the perturbation in a journal calls its number. Must end with a zero, as literals do.
  [[nodiscard]] virtual std::string_view name() const noexcept = 0;
  /// The one number that it is made with, for the journal.
  [[nodiscard]] virtual float parameter() const noexcept = 0;

  /// Whether a tensor has no noise of a seed at all, which then is not made.
  [[nodiscard]] virtual bool is_silent(Stream /*stream*/) const noexcept { return false; }

  /// Changes z of the first `count` columns of a block of a row in place. By exact operations alone, or such
  /// that are rounded alike everywhere.
  virtual void shape(Stream /*stream*/, std::size_t /*row*/, std::size_t /*block*/, std::size_t /*count*/,
                     float* /*z*/) const noexcept {}

  /// How many of a model's layers have no noise of any of these seeds, counted from below, embeddings
  /// included; none when the embeddings have.
  [[nodiscard]] virtual std::optional<std::size_t>
  quiet_layers(std::span<std::uint64_t const> /*seeds*/) const {
    return std::nullopt;
  }
};

/// Something for each of a model's tensors, found by the tensor's key().
template <class Value>
class ByTensor {
public:
  /// Adds what belongs to `key`, for which there must be nothing yet.
  void add(std::uint64_t key, Value value) {
    auto const at = std::lower_bound(entries_.begin(), entries_.end(), key, less);
    entries_.insert(at, {key, std::move(value)});
  }
  /// Null for a tensor that is not known.
  [[nodiscard]] Value const* find(std::uint64_t key) const noexcept {
    auto const at = std::lower_bound(entries_.begin(), entries_.end(), key, less);
    return at != entries_.end() && at->first == key ? &at->second : nullptr;
  }
  /// f(key, value) for all of them.
  template <class F>
  void for_each(F&& f) {
    for (auto& [key, value] : entries_) {
      f(key, value);
    }
  }

private:
  using Entry = std::pair<std::uint64_t, Value>;
  static bool less(Entry const& entry, std::uint64_t key) noexcept { return entry.first < key; }

  std::vector<Entry> entries_; ///< by key
};

} // namespace pocketllm::random
