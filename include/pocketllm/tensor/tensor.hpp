// SPDX-License-Identifier: Apache-2.0
// A named weight tensor of a model: one or two dimensions, row-major, owned or borrowed (a memory map).
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/core/float16.hpp>
#include <pocketllm/core/hash.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pocketllm::tensor {

/// The element types that weights are stored in.
enum class DType : std::uint8_t { f32, f16, bf16 };

/// What a weight's elements may be: trivially copyable, convertible to and from float.
template <class T>
concept WeightStorage = requires(T value, float x) {
  { to_float(value) } -> std::same_as<float>;
  { from_float<T>(x) } -> std::same_as<T>;
};

static_assert(WeightStorage<float> && WeightStorage<f16> && WeightStorage<bf16>);
static_assert(!WeightStorage<std::string>);

/// Storage types of the library itself.
template <class T>
inline constexpr bool is_own_storage =
    std::same_as<T, float> || std::same_as<T, f16> || std::same_as<T, bf16>;

template <WeightStorage T>
inline constexpr DType dtype_of = std::same_as<T, f16>    ? DType::f16
                                  : std::same_as<T, bf16> ? DType::bf16
                                                          : DType::f32;

/// Bytes of one element.
[[nodiscard]] constexpr std::size_t size_of(DType type) noexcept { return type == DType::f32 ? 4 : 2; }

/// The name that safetensors gives the type: F32, F16, BF16.
[[nodiscard]] constexpr std::string_view name_of(DType type) noexcept {
  return type == DType::f32 ? "F32" : type == DType::f16 ? "F16" : "BF16";
}

/// A weight. `shape` is {rows, columns} or {columns}; a vector counts as one row. The data is
/// allocated by `allocate`, or lies elsewhere (a memory map) and is kept alive by `owner`; then it
/// may be read only (`writable` false) and an update allocates a copy first. Copies of a tensor share its
/// elements until one of them is written.
template <WeightStorage T>
class Tensor {
public:
  using value_type = T;

  Tensor() = default;
  /// A tensor without data yet: `name` as in the Hugging Face file, `shape` of one or two sizes.
  Tensor(std::string name, std::vector<std::size_t> shape)
      : name_(std::move(name)), shape_(std::move(shape)), key_(fnv1a(name_)) {
    require(!shape_.empty() && shape_.size() <= 2, name_, ": a weight has one or two dimensions, not ",
            shape_.size());
  }

  [[nodiscard]] std::string const& name() const noexcept { return name_; }
  [[nodiscard]] std::vector<std::size_t> const& shape() const noexcept { return shape_; }
  [[nodiscard]] std::size_t rows() const noexcept { return shape_.size() == 2 ? shape_[0] : 1; }
  [[nodiscard]] std::size_t cols() const noexcept { return shape_.empty() ? 0 : shape_.back(); }
  [[nodiscard]] std::size_t size() const noexcept { return rows() * cols(); }
  /// Identifies the tensor to the noise: a hash of its name (core/hash.hpp).
  [[nodiscard]] std::uint64_t key() const noexcept { return key_; }

  /// Whether perturbations and updates touch this tensor.
  [[nodiscard]] bool trained() const noexcept { return trained_; }
  void set_trained(bool trained) noexcept { trained_ = trained; }

  [[nodiscard]] bool has_data() const noexcept { return data_ != nullptr; }
  [[nodiscard]] T const* data() const noexcept { return data_; }
  [[nodiscard]] T const* row(std::size_t r) const noexcept { return data_ + r * cols(); }
  [[nodiscard]] std::span<T const> values() const noexcept { return {data_, size()}; }

  /// The elements for writing; borrowed or shared data is copied first, so neither a memory map nor another
  /// tensor is ever written.
  [[nodiscard]] T* mutable_data() {
    if (!writable_ || owner_.use_count() > 1) {
      T const* const from = data_;
      std::shared_ptr<void const> const keep = owner_;
      allocate();
      if (from != nullptr) {
        std::copy(from, from + size(), const_cast<T*>(data_));
      }
    }
    return const_cast<T*>(data_);
  }

  /// Allocates memory for the elements, without a value (a big tensor is not touched twice).
  void allocate() {
    std::shared_ptr<T[]> memory(new T[size()]);
    data_ = memory.get();
    owner_ = std::move(memory);
    writable_ = true;
  }

  /// Takes elements that lie elsewhere, read only; `owner` keeps them alive.
  void borrow(T const* data, std::shared_ptr<void const> owner) noexcept {
    data_ = data;
    owner_ = std::move(owner);
    writable_ = false;
  }

private:
  std::string name_;
  std::vector<std::size_t> shape_;
  std::uint64_t key_ = 0;
  T const* data_ = nullptr;
  std::shared_ptr<void const> owner_;
  bool writable_ = false;
  bool trained_ = true;
};

} // namespace pocketllm::tensor
