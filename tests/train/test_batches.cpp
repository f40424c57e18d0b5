// SPDX-License-Identifier: Apache-2.0
#include "temporary_folder.hpp"
#include <pocketllm/train/batches.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <set>
#include <utility>
#include <vector>

namespace test_batches {

using namespace pocketllm;
using namespace pocketllm::train;
using Indices = std::vector<std::size_t>;

namespace {

Indices some_lengths(std::size_t count) {
  Indices lengths;
  for (std::size_t i = 0; i < count; ++i) {
    lengths.push_back(5 + i * 7919 % 60);
  }
  return lengths;
}

Indices take(BatchOrder& order, std::uint64_t step) {
  auto const batch = order.batch(step);
  return {batch.begin(), batch.end()};
}

/// Mean over the batches of the difference of the longest and the shortest example.
double mean_spread(BatchOrder& order, Indices const& lengths, std::uint64_t steps) {
  std::size_t sum = 0;
  for (std::uint64_t step = 0; step < steps; ++step) {
    std::size_t low = SIZE_MAX, high = 0;
    for (std::size_t const index : order.batch(step)) {
      low = std::min(low, lengths[index]);
      high = std::max(high, lengths[index]);
    }
    sum += high - low;
  }
  return static_cast<double>(sum) / static_cast<double>(steps);
}

} // namespace

TEST_CASE("each example is used once in every epoch, and all batches are full") {
  for (bool const grouped : {false, true}) {
    for (auto const& sizes : {std::pair<std::size_t, std::size_t>{512, 16},
                              {100, 16},
                              {17, 16},
                              {16, 16},
                              {7, 16},
                              {1, 3},
                              {97, 5},
                              {12, 1},
                              {15, 10}}) {
      std::size_t const count = sizes.first, size = sizes.second;
      CAPTURE(count);
      CAPTURE(size);
      BatchOrder order(some_lengths(count),
                       {.batch_size = size, .seed = 3, .group_by_length = grouped, .window = 2});
      Indices sequence;
      for (std::uint64_t step = 0; sequence.size() < 5 * count * size; ++step) {
        auto const batch = order.batch(step);
        REQUIRE(batch.size() == size);
        sequence.insert(sequence.end(), batch.begin(), batch.end());
      }
      for (std::size_t begin = 0; begin + count <= sequence.size(); begin += count) {
        std::set<std::size_t> const epoch(sequence.begin() + static_cast<std::ptrdiff_t>(begin),
                                          sequence.begin() + static_cast<std::ptrdiff_t>(begin + count));
        REQUIRE(epoch.size() == count);
        REQUIRE(*epoch.rbegin() == count - 1);
      }
    }
  }
}

TEST_CASE("a batch depends on its step alone, not on what was asked before") {
  BatchOptions const options{.batch_size = 6, .seed = 9, .group_by_length = true, .window = 3};
  BatchOrder forward(some_lengths(50), options);
  std::vector<Indices> batches;
  for (std::uint64_t step = 0; step < 60; ++step) {
    batches.push_back(take(forward, step));
  }
  BatchOrder backward(some_lengths(50), options);
  for (std::uint64_t step = 60; step-- > 0;) {
    CHECK(take(backward, step) == batches[step]);
    BatchOrder fresh(some_lengths(50), options);
    CHECK(take(fresh, step) == batches[step]);
  }
}

TEST_CASE("the order is pinned") {
  BatchOrder grouped({9, 1, 8, 2, 7, 3, 6, 4, 5, 5},
                     {.batch_size = 3, .seed = 1, .group_by_length = true, .window = 3});
  CHECK(take(grouped, 0) == Indices{4, 2, 0});
  CHECK(take(grouped, 3) == Indices{3, 5, 9});
  CHECK(take(grouped, 1'000'000) == Indices{1, 3, 7});
  BatchOrder plain(Indices(10, 1), {.batch_size = 3, .seed = 1, .group_by_length = false});
  CHECK(take(plain, 0) == Indices{6, 4, 7});
  CHECK(take(plain, 3) == Indices{3, 5, 9});
}

TEST_CASE("epochs and seeds have orders of their own") {
  BatchOrder one(some_lengths(16), {.batch_size = 16, .seed = 1, .group_by_length = false});
  BatchOrder two(some_lengths(16), {.batch_size = 16, .seed = 2, .group_by_length = false});
  std::set<Indices> orders;
  for (std::uint64_t step = 0; step < 20; ++step) {
    orders.insert(take(one, step));
    orders.insert(take(two, step));
  }
  CHECK(orders.size() == 40);
}

TEST_CASE("grouping makes lengths within a batch alike and leaves no trend over an epoch") {
  Indices const lengths = some_lengths(1600);
  BatchOrder grouped(lengths, {.batch_size = 16, .seed = 4, .group_by_length = true});
  BatchOrder plain(lengths, {.batch_size = 16, .seed = 4, .group_by_length = false});
  CHECK(mean_spread(plain, lengths, 100) > 45.0);   // of 59 that are possible
  CHECK(mean_spread(grouped, lengths, 100) < 10.0); // about 59 / 8
  double covariance = 0.0;
  constexpr std::uint64_t steps = 2000;
  for (std::uint64_t step = 0; step < steps; ++step) {
    double sum = 0.0;
    for (std::size_t const index : grouped.batch(step)) {
      sum += static_cast<double>(lengths[index]);
    }
    covariance += (sum / 16 - 34.5) * (static_cast<double>(step % 100) / 100 - 0.495) / steps;
  }
  // batches' mean lengths spread by about 17, places by 0.29: the covariance of independent ones has the
  // standard deviation 17 * 0.29 / sqrt(2000) = 0.11
  CHECK(std::abs(covariance) < 0.5);
}

TEST_CASE("what makes no batches is refused; epochs are counted") {
  auto const complaint = [](Indices lengths, BatchOptions const& options) {
    return test::error_of([&] { BatchOrder const order(std::move(lengths), options); });
  };
  CHECK(complaint({}, {}) == "there are no examples to make batches of");
  CHECK(complaint({1}, {.batch_size = 0}) == "a batch size of 0; ask for at least 1 example");
  CHECK(complaint({1}, {.window = 0}) == "a window of 0 batches; ask for at least 1");
  CHECK(BatchOrder({1, 1, 1, 1}, {.batch_size = 2}).epochs(3) == 1.5);
}

} // namespace test_batches
