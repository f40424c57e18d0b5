// SPDX-License-Identifier: Apache-2.0
// Keys and values of tokens that a model has read: what it needs of them to read on.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/core/lanes.hpp>
#include <pocketllm/core/runtime.hpp>
#include <pocketllm/layers/attention.hpp>
#include <pocketllm/models/past.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace pocketllm::models {

/// The keys and values of one sequence in all layers, with room for `capacity` tokens: 8 bytes a token, layer
/// and number of the width.
class KeyValueCache {
public:
  /// An empty one. The memory for all `capacity` tokens is taken at once.
  KeyValueCache(std::size_t layers, std::size_t width, std::size_t capacity)
      : layers_(layers), width_(width), capacity_(capacity), data_(2 * layers * capacity * width) {}

  /// Tokens read so far.
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  /// Tokens that it has room for, read ones among them.
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
  /// Layers of the model that it is for.
  [[nodiscard]] std::size_t layers() const noexcept { return layers_; }
  /// Numbers of a token's key in one layer, and as many of its value.
  [[nodiscard]] std::size_t width() const noexcept { return width_; }

  /// For a pass over `tokens` further tokens. Throws Error when there is no room for them.
  [[nodiscard]] Past extend(std::size_t tokens) {
    require(tokens <= capacity_ - size_, "the cache of ", capacity_, " tokens is full: ", size_,
            " have been read and ", tokens, " are to follow");
    Past past{size_};
    for (std::size_t layer = 0; layer < layers_; ++layer) {
      past.before.push_back({rows(layer, 0, 0, size_), rows(layer, 1, 0, size_)});
      past.own.emplace_back(rows(layer, 0, size_, tokens), rows(layer, 1, size_, tokens));
    }
    return past;
  }
  /// The `tokens` tokens of the last pass are there now.
  void commit(std::size_t tokens) noexcept { size_ += tokens; }

  /// Keys and values of what has been read, [1, size(), width].
  [[nodiscard]] layers::KeyValues at(std::size_t layer) noexcept {
    return {rows(layer, 0, 0, size_), rows(layer, 1, 0, size_)};
  }

private:
  [[nodiscard]] Lanes<float> rows(std::size_t layer, std::size_t which, std::size_t first,
                                  std::size_t count) noexcept {
    return {data_.data() + ((2 * layer + which) * capacity_ + first) * width_, 1, count, width_};
  }

  std::size_t layers_, width_, capacity_, size_ = 0;
  std::vector<float> data_;
};

/// A model that reads tokens and keeps their keys and values in a cache.
template <class M>
concept FillsCache = requires(M const& model, KeyValueCache& cache, std::span<std::int32_t const> ids,
                              std::size_t tokens, Runtime& runtime) {
  { model.make_cache(tokens) } -> std::same_as<KeyValueCache>;
  model.read(cache, ids, runtime);
  { model.config().max_tokens() } -> std::convertible_to<std::size_t>;
};
static_assert(!FillsCache<KeyValueCache>);

namespace detail {

/// For a model of the encoder's or decoder's shape `shape` with `positions` positions. Throws Error when
/// there are none for `capacity` tokens.
template <class Shape>
[[nodiscard]] KeyValueCache make_cache(Shape const& shape, std::size_t positions, std::size_t capacity) {
  require(capacity <= positions, "a context of ", capacity, " tokens; the model has positions for ",
          positions);
  return {shape.layers, shape.width, capacity};
}

} // namespace detail

} // namespace pocketllm::models
