// SPDX-License-Identifier: Apache-2.0
// Updates along directions that are products of two thin factors: the factors are made once for a piece of a
// matrix, and z never is.
#pragma once

#include <pocketllm/random/factored.hpp>
#include <pocketllm/random/stream.hpp>
#include <pocketllm/simd/arithmetic.hpp>
#include <pocketllm/tensor/update_terms.hpp>

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>

namespace pocketllm::tensor::kernel {

inline constexpr std::size_t rows_of_factored_piece = 32; ///< at most

/// Columns of all U and of all V that a thread keeps, and the floats that they take.
inline constexpr std::size_t most_u = 256, most_v = 32;
inline constexpr std::size_t factor_floats = most_u * rows_of_factored_piece + most_v * random::block_cols;

/// Some whole rows of a matrix.
template <class T, class P>
struct FactoredPiece {
  T* data; ///< of the first of the rows
  std::size_t first_row, rows, cols;
  std::uint64_t key;
  P const& perturbation;
};

/// Several updates of a piece of a matrix. take() makes U for its rows, apply() V for a block of columns,
/// which serves all rows. Then a weight costs factors() + 2 multiply-adds for a direction, with the bits that
/// an update from z itself would give; where terms may be folded, that much for all those that share V.
template <class A, class T, random::Factored P>
class FactoredUpdates {
public:
  /// `memory` has factor_floats.
  explicit FactoredUpdates(float* memory) noexcept
      : u_(memory), v_(memory + most_u * rows_of_factored_piece) {}

  /// Takes as many of `updates`, from the first one on, as there is room for; 0 when the first one has to be
  /// made without this.
  [[nodiscard]] std::size_t take(FactoredPiece<T, P> const& piece,
                                 std::span<UpdateTerms const> updates) noexcept {
    factors_ = piece.perturbation.factors();
    steps_count_ = slots_count_ = columns_count_ = 0;
    std::size_t taken = 0;
    while (taken < updates.size() && reserve(piece, updates[taken])) {
      if (!updates[taken].terms.empty()) {
        make_rows(piece, updates[taken]);
      }
      ++taken;
    }
    return taken;
  }

  /// Makes the updates that were taken.
  void apply(FactoredPiece<T, P> const& piece) noexcept {
    for (std::size_t first = 0, block = 0; first < piece.cols; first += random::block_cols, ++block) {
      std::size_t const count = std::min(random::block_cols, piece.cols - first);
      for (std::size_t i = 0; i < columns_count_; ++i) {
        float const* const v = piece.perturbation.template column_factors<A>({columns_[i], piece.key}, block);
        std::copy_n(v, factors_ * random::block_cols, v_ + i * factors_ * random::block_cols);
      }
      for (std::size_t row = 0; row < piece.rows; ++row) {
        T* const w = piece.data + row * piece.cols + first;
        std::size_t const done = in_registers(w, row, count);
        one_by_one(piece, w, row, block, done, count);
      }
    }
  }

private:
  static constexpr std::size_t most_steps = 256;

  /// One direction of an update, or all of it that share V.
  struct Slot {
    float coefficient;
    std::uint32_t columns; ///< which V
  };
  /// One update: the slots up to `end`, from the end of the one before.
  struct Step {
    std::uint32_t end;
    float decay;
    std::uint64_t rounding;
  };

  /// Makes room for an update, or leaves all as it was.
  [[nodiscard]] bool reserve(FactoredPiece<T, P> const& piece, UpdateTerms const& update) noexcept {
    if (update.terms.empty()) {
      return true; // nothing to do
    }
    std::size_t const slots_before = slots_count_, columns_before = columns_count_;
    bool fits = update.groups.empty() && steps_count_ < most_steps;
    for (std::size_t i = 0; fits && i < update.terms.size(); ++i) {
      std::uint64_t const seed = piece.perturbation.columns_seed(update.terms[i].seed);
      std::size_t const v = columns_of(seed);
      if (v == columns_count_) {
        fits = (columns_count_ + 1) * factors_ <= most_v;
        columns_[columns_count_] = seed; // there is one more place than is used
        columns_count_ += fits ? 1 : 0;
      }
      if (fits && !(update.folded && slot_of(v, slots_before) != slots_count_)) {
        fits = (slots_count_ + 1) * factors_ <= most_u;
        if (fits) {
          slots_[slots_count_++] = {update.folded ? 1.0F : update.terms[i].coefficient,
                                    static_cast<std::uint32_t>(v)};
        }
      }
    }
    if (!fits) {
      slots_count_ = slots_before, columns_count_ = columns_before;
      return false;
    }
    steps_[steps_count_++] = {static_cast<std::uint32_t>(slots_count_), update.decay,
                              detail::rounding_seed(update.terms)};
    return true;
  }

  [[nodiscard]] std::size_t columns_of(std::uint64_t seed) const noexcept {
    std::size_t i = 0;
    while (i < columns_count_ && columns_[i] != seed) {
      ++i;
    }
    return i;
  }
  [[nodiscard]] std::size_t slot_of(std::size_t v, std::size_t slot) const noexcept {
    while (slot < slots_count_ && slots_[slot].columns != v) {
      ++slot;
    }
    return slot;
  }
  [[nodiscard]] float* u(std::size_t slot, std::size_t r) noexcept {
    return u_ + (slot * factors_ + r) * rows_of_factored_piece;
  }

  /// U of the newest update, whose slots are there.
  void make_rows(FactoredPiece<T, P> const& piece, UpdateTerms const& update) noexcept {
    std::size_t const begin = steps_count_ == 1 ? 0 : steps_[steps_count_ - 2].end;
    if (update.folded) {
      for (float* to = u(begin, 0); to != u(slots_count_, 0); to += simd::width<A>) {
        simd::store<A>(to, simd::splat<A>(0.0F));
      }
    }
    for (std::size_t i = 0; i < update.terms.size(); ++i) {
      random::Point const& term = update.terms[i];
      std::size_t const slot =
          update.folded ? slot_of(columns_of(piece.perturbation.columns_seed(term.seed)), begin) : begin + i;
      simd::f32<A> const c = simd::splat<A>(term.coefficient);
      for (std::size_t r = 0; r < factors_; ++r) {
        for (std::size_t row = 0; row < piece.rows; row += simd::width<A>) {
          simd::f32<A> const made =
              piece.perturbation.template row_factor<A>({term.seed, piece.key}, piece.first_row + row, r);
          float* const to = u(slot, r) + row;
          simd::store<A>(to, update.folded ? simd::fma<A>(c, made, simd::load<A>(to)) : made);
        }
      }
    }
  }

  /// z along a slot, of the vector from column j of the block.
  [[gnu::always_inline]] simd::f32<A> direction(std::size_t slot, std::size_t row,
                                                std::size_t j) const noexcept {
    float const* const u = u_ + slot * factors_ * rows_of_factored_piece + row;
    float const* const v = v_ + slots_[slot].columns * factors_ * random::block_cols + j;
    simd::f32<A> z = simd::splat<A>(u[0]) * simd::load<A>(v);
    for (std::size_t r = 1; r < factors_; ++r) {
      z = simd::fma<A>(simd::splat<A>(u[r * rows_of_factored_piece]),
                       simd::load<A>(v + r * random::block_cols), z);
    }
    return z;
  }

  /// All updates of the first columns of a row's block, as many as are whole tiles, which stay in registers
  /// meanwhile. Returns their number: none of 16-bit weights, which are rounded by each update.
  [[nodiscard]] std::size_t in_registers(T* w, std::size_t row, std::size_t count) noexcept {
    constexpr std::size_t vectors = 4, tile = vectors * simd::width<A>;
    std::size_t done = 0;
    if constexpr (std::same_as<T, float>) {
      for (; done + tile <= count; done += tile) {
        std::array<simd::f32<A>, vectors> weights;
        for (std::size_t i = 0; i < vectors; ++i) {
          weights[i] = simd::load<A>(w + done + i * simd::width<A>);
        }
        std::size_t slot = 0;
        for (std::size_t step = 0; step < steps_count_; ++step) {
          step_of_tile(weights, steps_[step], slot, row, done);
        }
        for (std::size_t i = 0; i < vectors; ++i) {
          simd::store<A>(w + done + i * simd::width<A>, weights[i]);
        }
      }
    }
    return done;
  }

  template <std::size_t N>
  [[gnu::always_inline]] void step_of_tile(std::array<simd::f32<A>, N>& weights, Step const& step,
                                           std::size_t& slot, std::size_t row, std::size_t j) noexcept {
    std::array<simd::f32<A>, N> sum, z;
    sum.fill(simd::splat<A>(0.0F));
    for (; slot < step.end; ++slot) {
      float const* const u = u_ + slot * factors_ * rows_of_factored_piece + row;
      float const* const v = v_ + slots_[slot].columns * factors_ * random::block_cols + j;
      for (std::size_t i = 0; i < N; ++i) {
        z[i] = simd::splat<A>(u[0]) * simd::load<A>(v + i * simd::width<A>);
      }
      for (std::size_t r = 1; r < factors_; ++r) {
        for (std::size_t i = 0; i < N; ++i) {
          z[i] = simd::fma<A>(simd::splat<A>(u[r * rows_of_factored_piece]),
                              simd::load<A>(v + r * random::block_cols + i * simd::width<A>), z[i]);
        }
      }
      for (std::size_t i = 0; i < N; ++i) {
        sum[i] = simd::fma<A>(simd::splat<A>(slots_[slot].coefficient), z[i], sum[i]);
      }
    }
    for (std::size_t i = 0; i < N; ++i) {
      weights[i] = simd::fma<A>(simd::splat<A>(step.decay), weights[i], sum[i]);
    }
  }

  /// The updates of columns `first` to `end` of a row's block, one behind the other.
  void one_by_one(FactoredPiece<T, P> const& piece, T* w, std::size_t row, std::size_t block,
                  std::size_t first, std::size_t end) noexcept {
    if (first == end) {
      return;
    }
    std::array<float, random::block_cols> sum, random{}; // floats are not rounded by them
    std::size_t slot = 0;
    for (std::size_t step = 0; step < steps_count_; ++step) {
      for (std::size_t j = first; j < end; j += simd::width<A>) {
        simd::f32<A> total = simd::splat<A>(0.0F);
        for (std::size_t s = slot; s < steps_[step].end; ++s) {
          total = simd::fma<A>(simd::splat<A>(slots_[s].coefficient), direction(s, row, j), total);
        }
        simd::store<A>(sum.data() + j, total);
      }
      slot = steps_[step].end;
      if constexpr (!std::same_as<T, float>) {
        detail::RoundingBits{}.fill<A>({steps_[step].rounding, piece.key}, piece.first_row + row, block, end,
                                       random.data());
      }
      detail::add_rounded<A>(w + first, sum.data() + first, random.data() + first, steps_[step].decay,
                             end - first);
    }
  }

  std::size_t factors_ = 0, steps_count_ = 0, slots_count_ = 0, columns_count_ = 0;
  std::array<Step, most_steps> steps_;
  std::array<Slot, most_u> slots_;
  std::array<std::uint64_t, most_v + 1> columns_; ///< the seeds of V
  float* u_;                                      ///< [slots, factors, rows_of_factored_piece]
  float* v_;                                      ///< [columns, factors, block_cols]
};

} // namespace pocketllm::tensor::kernel
