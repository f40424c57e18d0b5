// SPDX-License-Identifier: Apache-2.0
// Who trains: this process alone, or several that hold the same weights and share the micro-batches of a
// step.
#pragma once

#include <concepts>
#include <cstddef>
#include <span>
#include <vector>

namespace pocketllm::train {

/// Members are numbered from 0. `gather(mine)` gives every member the numbers of all, in the order of the
/// members, as many from each; `any(asks)` tells every member whether one of them asks. All members must call
/// them in the same order.
template <class T>
concept Team = requires(T team, std::span<float const> mine, bool asks) {
  { team.rank() } -> std::same_as<std::size_t>;
  { team.size() } -> std::same_as<std::size_t>;
  { team.gather(mine) } -> std::same_as<std::vector<float>>;
  { team.any(asks) } -> std::same_as<bool>;
};

/// A team of one.
struct Alone {
  /// Always 0.
  [[nodiscard]] static std::size_t rank() noexcept { return 0; }
  /// Always 1.
  [[nodiscard]] static std::size_t size() noexcept { return 1; }
  /// A copy of `mine`.
  [[nodiscard]] static std::vector<float> gather(std::span<float const> mine) {
    return {mine.begin(), mine.end()};
  }
  /// `asks` itself.
  [[nodiscard]] static bool any(bool asks) noexcept { return asks; }
};

static_assert(Team<Alone>);
static_assert(!Team<std::vector<float>>);

} // namespace pocketllm::train
