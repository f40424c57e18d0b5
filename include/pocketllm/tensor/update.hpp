// SPDX-License-Identifier: Apache-2.0
// The weight update W <- decay W + sum_i c_i z(s_i) in one sweep: a pure function of the list {(s_i, c_i)},
// so that the same list replays to the same bits on any machine.
#pragma once

#include <pocketllm/core/runtime.hpp>
#include <pocketllm/random/perturbed.hpp>
#include <pocketllm/simd/kernel.hpp>
#include <pocketllm/simd/round.hpp>
#include <pocketllm/tensor/part.hpp>
#include <pocketllm/tensor/tensor.hpp>

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace pocketllm::tensor {

/// Some of the terms of an update, which together are a gradient g, with its weights in the sums of g and of
/// g^2.
struct TermGroup {
  std::size_t terms = 0;
  float first = 0.0F, second = 0.0F;
};

/// One update among several that follow one another: W <- decay W + sum_i c_i z(s_i), or, with groups,
/// W <- decay W + sum_j first_j g_j / (sqrt(sum_j second_j g_j^2) + floor).
struct UpdateTerms {
  std::span<random::Point const> terms;
  float decay = 1.0F;
  std::span<TermGroup const> groups = {}; ///< none, or of all terms in their order
  float floor = 0.0F;
};

namespace detail {

/// The bits for stochastic rounding: sixteen an element, as the bits of a float.
struct RoundingBits {
  static constexpr std::string_view name = "rounding";

  template <class A>
  void fill(random::Stream stream, std::size_t row, std::size_t block, std::size_t count,
            float* out) const noexcept {
    for (std::size_t lane = 0; lane < random::lanes; lane += simd::width<A>) {
      random::SmallFast<A> generator(random::words<A>(stream, row, block, lane));
      for (std::size_t column = lane; column < count + lane; column += 2 * random::lanes) {
        simd::u32<A> const word = generator();
        simd::store<A>(out + column, simd::as_float<A>(word & simd::splat<A>(0xffffU)));
        simd::store<A>(out + column + random::lanes, simd::as_float<A>(simd::shift_right<A, 16>(word)));
      }
    }
  }
};
static_assert(random::Perturbation<RoundingBits>);

/// The seed of the rounding bits of an update: another output of the generator that made its first seed.
[[nodiscard]] constexpr std::uint64_t rounding_seed(std::span<random::Point const> terms) noexcept {
  return terms.empty() ? 0 : random::split_mix(terms.front().seed, 0);
}

} // namespace detail

namespace kernel {

/// A piece is some 64 kB of weights: a whole row, or several, or a part of a long one. A block of a row is
/// visited once, and all updates are made while it is in the first-level cache.
template <class T, class P>
struct Update {
  struct Task {
    T* data;
    std::size_t rows, cols;
    std::uint64_t key;
    bool vector; ///< of one dimension
    P const& perturbation;
    std::span<UpdateTerms const> updates;

    [[nodiscard]] std::size_t blocks_across() const noexcept {
      return (cols + random::block_cols - 1) / random::block_cols;
    }
    [[nodiscard]] std::size_t blocks() const noexcept { return rows * blocks_across(); }
    [[nodiscard]] static constexpr std::size_t blocks_in_piece() noexcept {
      return 65536 / (random::block_cols * sizeof(T));
    }
    [[nodiscard]] std::size_t pieces() const noexcept {
      return (blocks() + blocks_in_piece() - 1) / blocks_in_piece();
    }
  };
  using Signature = void(Task const&, std::size_t);

  template <class A>
  static void run(Task const& task, std::size_t piece) noexcept {
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
    add<A>(w, sum.data(), noise.data(), update.decay, count);
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

  /// w = decay * w + sum, rounded by the bits of `random`.
  template <class A>
  static void add(T* w, float const* sum, float const* random, float decay, std::size_t count) noexcept {
    simd::f32<A> const keep = simd::splat<A>(decay);
    std::size_t i = 0;
    for (; i + simd::width<A> <= count; i += simd::width<A>) {
      simd::f32<A> const value = simd::fma<A>(keep, simd::load_as_float<A>(w + i), simd::load<A>(sum + i));
      simd::store_rounded<A>(w + i, value, simd::as_bits<A>(simd::load<A>(random + i)));
    }
    if (i < count) {
      simd::f32<A> const value = simd::fma<A>(keep, load_part<A>(w + i, count - i), simd::load<A>(sum + i));
      std::array<T, simd::width<A>> part;
      simd::store_rounded<A>(part.data(), value, simd::as_bits<A>(simd::load<A>(random + i)));
      std::copy_n(part.begin(), count - i, w + i);
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
/// std::bad_alloc when borrowed weights can't be copied.
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
    runtime.pool().parallel_for(task.pieces(), [&](std::size_t piece, std::size_t) {
      simd::invoke<A, Kernel>(task, piece);
      done(w.size() / task.pieces());
    });
  }
}

/// W <- decay W + sum_i c_i z(s_i) over the points `terms`; nothing for a tensor that is not trained. Each
/// weight is read and written once. 16-bit weights are rounded stochastically with bits that follow from the
/// first seed. The same bits for any number of threads and on any instruction set. Throws std::bad_alloc when
/// borrowed weights can't be copied.
template <class A = simd::native, WeightStorage T, random::Perturbation P>
void update(Tensor<T>& w, P const& perturbation, std::span<random::Point const> terms, float decay,
            Runtime& runtime) {
  UpdateTerms const only{terms, decay};
  update_in_order<A>(w, perturbation, {&only, 1}, runtime, [](std::size_t) {});
}

} // namespace pocketllm::tensor
