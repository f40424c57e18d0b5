// SPDX-License-Identifier: Apache-2.0
// A named weight tensor of a model: one or two dimensions, row-major, owned or borrowed (a memory map).
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/core/hash.hpp>
#include <pocketllm/tensor/storage.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace pocketllm::tensor {

/// What is known of a weight beside its elements.
class TensorShape {
public:
  TensorShape() = default;
  /// `name` as in the Hugging Face file, `shape` of one or two sizes.
  TensorShape(std::string name, std::vector<std::size_t> shape)
      : name_(std::move(name)), shape_(std::move(shape)), key_(fnv1a(name_)) {
    require(!shape_.empty() && shape_.size() <= 2, name_, ": a weight has one or two dimensions, not ",
            shape_.size());
  }

  /// As in the Hugging Face file; empty when default constructed.
  [[nodiscard]] std::string const& name() const noexcept { return name_; }
  /// {rows, columns} or {columns}; empty when default constructed.
  [[nodiscard]] std::vector<std::size_t> const& shape() const noexcept { return shape_; }
  /// 1 for a vector.
  [[nodiscard]] std::size_t rows() const noexcept { return shape_.size() == 2 ? shape_[0] : 1; }
  /// Elements of a row; 0 when default constructed.
  [[nodiscard]] std::size_t cols() const noexcept { return shape_.empty() ? 0 : shape_.back(); }
  /// Elements: rows() * cols().
  [[nodiscard]] std::size_t size() const noexcept { return rows() * cols(); }
  /// Identifies the tensor to the noise: a hash of its name (core/hash.hpp).
  [[nodiscard]] std::uint64_t key() const noexcept { return key_; }

private:
  std::string name_;
  std::vector<std::size_t> shape_;
  std::uint64_t key_ = 0;
};

/// A weight. `shape` is {rows, columns} or {columns}; a vector counts as one row. The data is
/// allocated by `allocate`, or lies elsewhere (a memory map) and is kept alive by `owner`; then it
/// may be read only (`writable` false) and an update allocates a copy first. Copies of a tensor share its
/// elements until one of them is written. Constructed, it has no data yet.
template <WeightStorage T>
class Tensor : public TensorShape {
public:
  using value_type = T; ///< how an element is stored
  /// TensorShape's constructors: a name and a shape, no data yet.
  using TensorShape::TensorShape;

  /// Whether perturbations and updates touch this tensor.
  [[nodiscard]] bool trained() const noexcept { return trained_; }
  /// Freezes the tensor (false) or trains it; copies of it stay as they are.
  void set_trained(bool trained) noexcept { trained_ = trained; }

  /// Whether its elements were allocated or borrowed yet.
  [[nodiscard]] bool has_data() const noexcept { return data_ != nullptr; }
  /// The elements, row by row; null without data.
  [[nodiscard]] T const* data() const noexcept { return data_; }
  /// The cols() elements of row r; only with data.
  [[nodiscard]] T const* row(std::size_t r) const noexcept { return data_ + r * cols(); }
  /// All elements, row by row; only with data.
  [[nodiscard]] std::span<T const> values() const noexcept { return {data_, size()}; }
  /// Bytes that the elements take.
  [[nodiscard]] std::size_t bytes() const noexcept { return size() * sizeof(T); }

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
  T const* data_ = nullptr;
  std::shared_ptr<void const> owner_;
  bool writable_ = false;
  bool trained_ = true;
};

/// A weight in codes, which is never trained: the rows' codes one behind the other, and their scales.
template <QuantizedStorage T>
class Tensor<T> : public TensorShape {
public:
  using value_type = T;                 ///< a code, or a byte of two
  using Layout = QuantizedLayout<T>;    ///< how many codes and scales a row has
  using Scale = typename Layout::Scale; ///< float or f16
  /// TensorShape's constructors: a name and a shape, no data yet.
  using TensorShape::TensorShape;

  /// Never: perturbations and updates leave codes as they are.
  [[nodiscard]] static constexpr bool trained() noexcept { return false; }
  /// Throws Error when asked to train.
  void set_trained(bool trained) const {
    require(!trained, name(), ": weights of ", std::same_as<T, i4> ? 4 : 8,
            " bits are a base that stays as it is; train an adapter on it, or load the model as f16, bf16 "
            "or f32");
  }

  /// Units of T, and scales, of all rows.
  [[nodiscard]] std::size_t units() const noexcept { return rows() * Layout::row_units(cols()); }
  /// Scales of all rows.
  [[nodiscard]] std::size_t scale_count() const noexcept { return rows() * Layout::row_scales(cols()); }
  /// Bytes that codes and scales take.
  [[nodiscard]] std::size_t bytes() const noexcept {
    return units() * sizeof(T) + scale_count() * sizeof(Scale);
  }

  /// Whether its elements were allocated or borrowed yet.
  [[nodiscard]] bool has_data() const noexcept { return codes_ != nullptr; }
  /// The codes, row by row; null without data.
  [[nodiscard]] T const* data() const noexcept { return codes_; }
  /// All codes, row by row; only with data.
  [[nodiscard]] std::span<T const> values() const noexcept { return {codes_, units()}; }
  /// All scales, row by row; only with data.
  [[nodiscard]] std::span<Scale const> scales() const noexcept { return {scales_, scale_count()}; }
  /// Codes and scales of row r; only with data.
  [[nodiscard]] QuantizedRow<T> row(std::size_t r) const noexcept {
    return {codes_ + r * Layout::row_units(cols()), scales_ + r * Layout::row_scales(cols())};
  }

  /// Memory for codes and scales, to be filled by the caller.
  struct Memory {
    T* codes;      ///< units() of them
    Scale* scales; ///< scale_count() of them
  };
  /// Allocates memory for codes and scales, without a value; the tensor owns it. Copies keep what they had.
  Memory allocate() {
    std::shared_ptr<T[]> codes(new T[units()]);
    std::shared_ptr<Scale[]> scales(new Scale[scale_count()]);
    Memory const memory{codes.get(), scales.get()};
    borrow(memory.codes, std::move(codes), memory.scales, std::move(scales));
    return memory;
  }

  /// Takes codes and scales that lie elsewhere; the owners keep them alive.
  void borrow(T const* codes, std::shared_ptr<void const> owner, Scale const* scales,
              std::shared_ptr<void const> scale_owner) noexcept {
    codes_ = codes;
    scales_ = scales;
    owner_ = std::move(owner);
    scale_owner_ = std::move(scale_owner);
  }

private:
  T const* codes_ = nullptr;
  Scale const* scales_ = nullptr;
  std::shared_ptr<void const> owner_, scale_owner_;
};

} // namespace pocketllm::tensor
