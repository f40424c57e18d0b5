// SPDX-License-Identifier: Apache-2.0
// The weight update W <- decay W + sum_i c_i z(s_i) in one sweep: a pure function of the list {(s_i, c_i)},
// so that the same list replays to the same bits on any machine.
#pragma once

#include <pocketllm/core/runtime.hpp>
#include <pocketllm/core/workspace.hpp>
#include <pocketllm/random/perturbed.hpp>
#include <pocketllm/simd/arithmetic.hpp>
#include <pocketllm/simd/kernel.hpp>
#include <pocketllm/tensor/factored_update.hpp>
#include <pocketllm/tensor/tensor.hpp>
#include <pocketllm/tensor/update_terms.hpp>

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>

namespace pocketllm::tensor {
namespace kernel {

/// A piece is some 64 kB of weights: a whole row, or several, or a part of a long one. A block of a row is
/// visited once, and all updates are made while it is in the first-level cache. Where the directions have
/// factors it is some whole rows, which are visited for hundreds of updates at a time.
template <class T, class P>
struct Update {
  struct Task {
    T* data;
    std::size_t rows, cols;
    std::uint64_t key;
    bool vector; ///< of one dimension
    P const& perturbation;
    std::span<UpdateTerms const> updates;
    float* memory = nullptr; ///< factor_floats of the thread's own, where factored()

    [[nodiscard]] std::size_t blocks_across() const noexcept {
      return (cols + random::block_cols - 1) / random::block_cols;
    }
    [[nodiscard]] std::size_t blocks() const noexcept { return rows * blocks_across(); }
    [[nodiscard]] static constexpr std::size_t blocks_in_piece() noexcept {
      return 65536 / (random::block_cols * sizeof(T));
    }
    [[nodiscard]] bool factored() const noexcept {
      if constexpr (random::Factored<P>) {
        return perturbation.factors() != 0 && !vector;
      }
      return false;
    }
    [[nodiscard]] std::size_t pieces() const noexcept {
      if (factored()) {
        return (rows + rows_of_factored_piece - 1) / rows_of_factored_piece;
      }
      return (blocks() + blocks_in_piece() - 1) / blocks_in_piece();
    }
  };
  using Signature = void(Task const&, std::size_t);

  template <class A>
  static void run(Task const& task, std::size_t piece) noexcept {
    if constexpr (random::Factored<P>) {
      if (task.factored()) {
        return by_factors<A>(task, piece * rows_of_factored_piece);
      }
    }
    std::size_t const across = task.blocks_across();
    std::size_t const begin = piece * Task::blocks_in_piece();
    std::size_t const end = std::min(task.blocks(), begin + Task::blocks_in_piece());
    for (std::size_t i = begin; i < end; ++i) {
      block<A>(task, i / across, i % across);
    }
  }

private:
  using Row = std::array<float, random::block_cols>;
  static constexpr std::size_t block_ahead = 1;

  /// Asks for weights that will be changed soon; an address behind the end does no harm.
  static void fetch(T const* w, std::size_t count) noexcept {
    constexpr std::size_t line = 64 / sizeof(T);
    for (std::size_t i = 0; i < count; i += line) {
      __builtin_prefetch(w + i, 1);
    }
  }

  template <class A>
  static void block(Task const& t, std::size_t row, std::size_t block) noexcept {
    std::size_t const first = block * random::block_cols;
    std::size_t const count = std::min(random::block_cols, t.cols - first);
    T* const w = t.data + row * t.cols + first;
    fetch(w + block_ahead * random::block_cols, count); // while noise is made
    for (UpdateTerms const& update : t.updates) {
      if (!update.terms.empty()) {
        change<A>(t, update, w, row, block, count);
      }
    }
  }

  /// All updates of the rows from `first`; those that FactoredUpdates cannot make, element by element.
  template <class A>
  static void by_factors(Task const& t, std::size_t first) noexcept {
    using Together = FactoredUpdates<A, T, P>;
    Together together(t.memory);
    FactoredPiece<T, P> const piece{
        t.data + first * t.cols, first, std::min(rows_of_factored_piece, t.rows - first), t.cols, t.key,
        t.perturbation};
    for (std::span<UpdateTerms const> left = t.updates; !left.empty();) {
      std::size_t const taken = together.take(piece, left);
      if (taken != 0) {
        together.apply(piece);
      } else {
        for (std::size_t i = 0; i < piece.rows * t.blocks_across(); ++i) {
          std::size_t const block = i % t.blocks_across(), column = block * random::block_cols;
          std::size_t const row = first + i / t.blocks_across();
          change<A>(t, left.front(), t.data + row * t.cols + column, row, block,
                    std::min(random::block_cols, t.cols - column));
        }
      }
      left = left.subspan(std::max<std::size_t>(taken, 1));
    }
  }

  template <class A>
  static void change(Task const& t, UpdateTerms const& update, T* w, std::size_t row, std::size_t block,
                     std::size_t count) noexcept {
    Row sum, noise;
    if (update.groups.empty()) {
      add_up<A>(t, update.terms, row, block, count, sum, noise);
    } else {
      scale_by_moments<A>(t, update, row, block, count, sum, noise);
    }
    if constexpr (!std::same_as<T, float>) {
      detail::RoundingBits{}.fill<A>({detail::rounding_seed(update.terms), t.key}, row, block, count,
                                     noise.data());
    }
    detail::add_rounded<A>(w, sum.data(), noise.data(), update.decay, count);
  }

  /// sum = sum_i c_i z(s_i)
  template <class A>
  static void add_up(Task const& t, std::span<random::Point const> terms, std::size_t row, std::size_t block,
                     std::size_t count, Row& sum, Row& noise) noexcept {
    if (terms.empty()) {
      sum.fill(0.0F);
    }
    for (std::size_t i = 0; i < terms.size(); ++i) {
      t.perturbation.template fill<A>({terms[i].seed, t.key, t.vector}, row, block, count, noise.data());
      simd::f32<A> const c = simd::splat<A>(terms[i].coefficient);
      for (std::size_t j = 0; j < count; j += simd::width<A>) {
        simd::f32<A> const before = i == 0 ? simd::splat<A>(0.0F) : simd::load<A>(sum.data() + j);
        simd::store<A>(sum.data() + j, simd::fma<A>(c, simd::load<A>(noise.data() + j), before));
      }
    }
  }

  /// sum = sum_j first_j g_j / (sqrt(sum_j second_j g_j^2) + floor)
  template <class A>
  static void scale_by_moments(Task const& t, UpdateTerms const& update, std::size_t row, std::size_t block,
                               std::size_t count, Row& sum, Row& noise) noexcept {
    Row mean{}, square{};
    std::size_t at = 0;
    for (TermGroup const& group : update.groups) {
      add_up<A>(t, update.terms.subspan(at, group.terms), row, block, count, sum, noise);
      at += group.terms;
      simd::f32<A> const first = simd::splat<A>(group.first), second = simd::splat<A>(group.second);
      for (std::size_t j = 0; j < count; j += simd::width<A>) {
        simd::f32<A> const g = simd::load<A>(sum.data() + j);
        simd::store<A>(mean.data() + j, simd::fma<A>(first, g, simd::load<A>(mean.data() + j)));
        simd::store<A>(square.data() + j, simd::fma<A>(second * g, g, simd::load<A>(square.data() + j)));
      }
    }
    simd::f32<A> const floor = simd::splat<A>(update.floor);
    for (std::size_t j = 0; j < count; j += simd::width<A>) {
      simd::f32<A> const root = simd::sqrt<A>(simd::load<A>(square.data() + j)) + floor;
      simd::store<A>(sum.data() + j, simd::divide<A>(simd::load<A>(mean.data() + j), root));
    }
  }
};

} // namespace kernel
} // namespace pocketllm::tensor

template <class T, class P>
inline constexpr bool pocketllm::simd::is_dispatched<pocketllm::tensor::kernel::Update<T, P>> =
    pocketllm::tensor::is_own_storage<T>&& pocketllm::random::is_own_perturbation<P>;

namespace pocketllm::tensor {

/// Makes all `updates`, one behind the other, in one visit to the weights: the same bits as by as many calls
/// of `update`. Calls done(weights) behind each piece of so many weights, from any thread. Throws
/// std::bad_alloc when borrowed weights can't be copied, or there is no memory for the factors of directions.
template <class A = simd::native, WeightStorage T, random::Perturbation P, class Done>
void update_in_order(Tensor<T>& w, P const& perturbation, std::span<UpdateTerms const> updates,
                     Runtime& runtime, Done&& done) {
  bool const any =
      std::any_of(updates.begin(), updates.end(), [](auto const& u) { return !u.terms.empty(); });
  if (!w.trained() || !any) {
    return;
  }
  if constexpr (FloatStorage<T>) { // others are never trained
    using Kernel = kernel::Update<T, P>;
    typename Kernel::Task const task{w.mutable_data(),      w.rows(),     w.cols(), w.key(),
                                     w.shape().size() == 1, perturbation, updates};
    Workspace::Frame const frame(runtime.workspace());
    std::size_t const floats = task.factored() ? kernel::factor_floats : 0; // of each thread
    float* const memory =
        floats == 0 ? nullptr : runtime.workspace().take(floats * runtime.pool().size()).data();
    runtime.pool().parallel_for(task.pieces(), [&](std::size_t piece, std::size_t worker) {
      typename Kernel::Task own = task;
      own.memory = floats == 0 ? nullptr : memory + worker * floats;
      simd::invoke<A, Kernel>(own, piece);
      done(w.size() / task.pieces());
    });
  }
}

/// W <- decay W + sum_i c_i z(s_i) over the points `terms`; nothing for a tensor that is not trained, or
/// without terms. Each weight is read and written once. 16-bit weights are rounded stochastically with bits
/// that follow from the first seed. The same bits for any number of threads and on any instruction set.
/// Throws std::bad_alloc when borrowed weights can't be copied.
template <class A = simd::native, WeightStorage T, random::Perturbation P>
void update(Tensor<T>& w, P const& perturbation, std::span<random::Point const> terms, float decay,
            Runtime& runtime) {
  UpdateTerms const only{terms, decay};
  update_in_order<A>(w, perturbation, {&only, 1}, runtime, [](std::size_t) {});
}

} // namespace pocketllm::tensor
