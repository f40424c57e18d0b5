// SPDX-License-Identifier: Apache-2.0
// Which examples make up the batch of a step: a pure function of the step, so that a run that is resumed
// needs no other state.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/text/shuffle.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace pocketllm::train {

/// How examples are put into batches.
struct BatchOptions {
  std::size_t batch_size = 16; ///< examples; of a micro-batch where there are several
  std::uint64_t seed = 0;      ///< each epoch has an order of its own from it
  /// Whether the examples of a batch are of similar length. It pays where batches are padded to their longest
  /// sequence. models::Batch holds no padding, so there it saves nothing over an epoch and has a price:
  /// larger activations in the batches of the longest examples and, where length tells the class, batches of
  /// mostly one class (of 16 SMS messages the share of spam deviates by 0.35 from a half, otherwise by 0.12).
  bool group_by_length = false;
  /// Grouping sorts within windows of so many batches: in larger ones lengths agree more, in smaller ones
  /// batches are more random.
  std::size_t window = 8;

  /// What is written down of them (train/part.hpp).
  template <class Self, class F>
  static void parameters(Self& self, F&& f) {
    f("size", self.batch_size);
    f("seed", self.seed);
    f("group_by_length", self.group_by_length);
    f("window", self.window);
  }
};

/// The order in which examples are used. An epoch is a permutation of all examples, and epochs follow one
/// another without a gap: step s uses the places s * batch_size and following of that sequence. So each
/// example is used exactly once per epoch, all batches are full, and where batch_size does not divide the
/// number of examples, one batch takes the last examples of an epoch and the first ones of the next (with
/// fewer examples than batch_size, a batch takes several epochs).
///
/// With grouping, the examples of an epoch that go to full batches of its own are cut, in their random order,
/// into windows; each window is sorted by length and cut into batches; then the batches of the epoch are
/// shuffled, so that lengths do not grow over the steps.
class BatchOrder {
public:
  /// `lengths` holds the number of tokens of each example. Throws Error without examples or with a batch size
  /// or window of 0.
  BatchOrder(std::vector<std::size_t> lengths, BatchOptions const& options)
      : lengths_(std::move(lengths)), options_(options) {
    require(!lengths_.empty(), "there are no examples to make batches of");
    require(options_.batch_size > 0, "a batch size of 0; ask for at least 1 example");
    require(options_.window > 0, "a window of 0 batches; ask for at least 1");
    arrange(0);
  }

  /// Indices of the examples of step `step` (from 0), batch_size of them. Valid until the next call.
  [[nodiscard]] std::span<std::size_t const> batch(std::uint64_t step) {
    batch_.clear();
    std::uint64_t const first = step * options_.batch_size;
    for (std::uint64_t place = first; place != first + options_.batch_size; ++place) {
      if (place / size() != epoch_) {
        arrange(place / size());
      }
      batch_.push_back(order_[place % size()]);
    }
    return batch_;
  }

  /// As given to the constructor.
  [[nodiscard]] BatchOptions const& options() const noexcept { return options_; }
  /// Number of examples.
  [[nodiscard]] std::size_t size() const noexcept { return lengths_.size(); }
  /// Epochs, in whole and part, that `steps` steps make.
  [[nodiscard]] double epochs(std::uint64_t steps) const noexcept {
    return static_cast<double>(steps) * static_cast<double>(options_.batch_size) /
           static_cast<double>(size());
  }

private:
  /// Makes the order of one epoch.
  void arrange(std::uint64_t epoch) {
    // The epoch's stream begins at a mixed value: streams that begin at neighbouring states would overlap.
    text::SplitMix64 random(text::SplitMix64(options_.seed + epoch * 0x9e3779b97f4a7c15ULL)());
    order_ = text::shuffled_indices(size(), random);
    epoch_ = epoch;
    if (options_.group_by_length) {
      group(epoch, random);
    }
  }

  void group(std::uint64_t epoch, text::SplitMix64& random) {
    std::size_t const width = options_.batch_size;
    // examples of this epoch that complete the last batch of the one before
    std::size_t const over = static_cast<std::size_t>((epoch % width) * (size() % width) % width);
    std::size_t const head = std::min((width - over) % width, size());
    std::size_t const batches = (size() - head) / width;
    auto const begin = order_.begin() + static_cast<std::ptrdiff_t>(head);
    auto const at = [&](std::size_t batch) { return begin + static_cast<std::ptrdiff_t>(batch * width); };
    for (std::size_t from = 0; from < batches; from += options_.window) {
      // stable: what std::sort does with equal lengths is not specified
      std::stable_sort(at(from), at(std::min(from + options_.window, batches)),
                       [&](std::size_t a, std::size_t b) { return lengths_[a] < lengths_[b]; });
    }
    std::vector<std::size_t> const sorted(begin, at(batches));
    std::vector<std::size_t> const places = text::shuffled_indices(batches, random);
    for (std::size_t batch = 0; batch < batches; ++batch) {
      std::copy_n(sorted.begin() + static_cast<std::ptrdiff_t>(batch * width), width, at(places[batch]));
    }
  }

  std::vector<std::size_t> lengths_;
  BatchOptions options_;
  std::uint64_t epoch_ = 0;
  std::vector<std::size_t> order_; ///< of the epoch `epoch_`
  std::vector<std::size_t> batch_;
};

} // namespace pocketllm::train
