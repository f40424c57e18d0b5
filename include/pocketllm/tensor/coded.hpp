// SPDX-License-Identifier: Apache-2.0
// Packed activations as codes of 8 bits with a scale for 32 features of a token, and the rows of weights that
// such codes are multiplied with.
#pragma once

#include <pocketllm/core/runtime.hpp>
#include <pocketllm/simd/arithmetic.hpp>
#include <pocketllm/simd/code_tile.hpp>
#include <pocketllm/tensor/packed.hpp>
#include <pocketllm/tensor/storage.hpp>

#include <algorithm>
#include <cstddef>
#include <cstring>

namespace pocketllm::tensor {

/// The codes of Packed activations, in panels of the same shape; none where `codes` is null. Features are
/// padded with zeros to whole groups.
struct Coded {
  float* codes =
      nullptr; ///< elements of 32 bits, `Dot<A>::count` codes in each: [groups, `code_words<A>`, width(p)]
  float* scales = nullptr; ///< [groups, width(p)]
  std::size_t words = 0;   ///< `code_words<A>`
  std::size_t groups = 0;  ///< of 32 features, the last one filled up

  /// The codes of panel p of a lane, where `x` is what was coded.
  [[nodiscard]] float* codes_at(Packed const& x, std::size_t lane, std::size_t p) const noexcept {
    return codes + column(x, lane, p) * groups * words;
  }
  /// The scales of panel p of a lane, where `x` is what was coded.
  [[nodiscard]] float* scales_at(Packed const& x, std::size_t lane, std::size_t p) const noexcept {
    return scales + column(x, lane, p) * groups;
  }

private:
  [[nodiscard]] static std::size_t column(Packed const& x, std::size_t lane, std::size_t p) noexcept {
    return (x.lanes == 1 ? 0 : lane) * x.padded_rows() + p * x.panel;
  }
};

namespace kernel {

/// Elements of 32 bits in a group of codes.
struct CodeWords {
  using Signature = void(std::size_t&);
  template <class A>
  static void run(std::size_t& words) noexcept {
    words = simd::code_words<A>;
  }
};

/// The codes of panel p of a lane: x = code * scale, scale = max |x| / 127 of the group. A group with an
/// element that is not finite gets a scale that is none either, so that the result shows it.
struct CodePanel {
  using Signature = void(Packed const&, Coded const&, std::size_t, std::size_t);
  template <class A>
  static void run(Packed const& x, Coded const& to, std::size_t lane, std::size_t p) noexcept {
    std::size_t const width = x.width(p);
    for (std::size_t g = 0; g < to.groups; ++g) {
      std::size_t const first = g * simd::code_group;
      for (std::size_t t = 0; t < width; t += simd::width<A>) {
        code_group<A>(x.at(lane, p) + first * width + t, width, std::min(simd::code_group, x.cols - first),
                      to.codes_at(x, lane, p) + g * simd::code_words<A> * width + t,
                      to.scales_at(x, lane, p) + g * width + t);
      }
    }
  }

private:
  /// `count` features of some tokens, `stride` apart.
  template <class A>
  static void code_group(float const* x, std::size_t stride, std::size_t count, float* codes,
                         float* scales) noexcept {
    using V = simd::f32<A>;
    V top = simd::splat<A>(0.0F), poison = top;
    simd::u32<A> const magnitude = simd::splat<A>(0x7fffffffU);
    for (std::size_t k = 0; k < count; ++k) {
      V const value = simd::load<A>(x + k * stride);
      top = simd::max<A>(top, simd::as_float<A>(simd::as_bits<A>(value) & magnitude));
      poison = simd::mul_add<A>(value, simd::splat<A>(0.0F), poison);
    }
    V const most = simd::splat<A>(127.0F);
    simd::store<A>(scales, simd::divide<A>(top, most) + poison);
    // Below 127 / FLT_MAX there is no inverse; such numbers are as good as zero.
    V const inverse = simd::divide<A>(most, simd::max<A>(top, simd::splat<A>(0x1p-120F)));
    constexpr std::size_t together = simd::Dot<A>::count, bits = 32 / together;
    V const magic = simd::splat<A>(12582912.0F); // 1.5 * 2^23: the sum's lowest bits are the rounded number
    for (std::size_t k = 0; k < simd::code_group; k += together, codes += stride) {
      simd::u32<A> word = simd::splat<A>(0U);
      for (std::size_t i = together; i-- > 0;) {
        word = simd::shift_left<A, bits>(word);
        if (k + i < count) {
          simd::u32<A> const code =
              simd::as_bits<A>(simd::mul_add<A>(simd::load<A>(x + (k + i) * stride), inverse, magic));
          word = word | (code & simd::splat<A>((1U << bits) - 1U));
        }
      }
      simd::store<A>(codes, simd::as_float<A>(word));
    }
  }
};

/// Half a group of bytes, for compilers' own vectors: arrays would lie in memory between one loop and the
/// next.
using HalfGroup = std::int8_t __attribute__((vector_size(16)));
static_assert(2 * sizeof(HalfGroup) == simd::code_group);

/// Stores them as the codes of A.
template <class A>
[[gnu::always_inline]] inline void store_codes(HalfGroup const& bytes, float* to) noexcept {
  auto const codes = __builtin_convertvector(bytes, typename simd::Dot<A>::Sixteen);
  std::memcpy(to, &codes, sizeof codes);
}

/// The codes of `count` columns of a row from `column` on, a multiple of a group, as a block has them, and a
/// scale for each group.
template <class A>
void load_codes(QuantizedRow<i8> row, std::size_t column, std::size_t count, float* codes,
                float* scales) noexcept {
  for (std::size_t k = 0; k < count; k += sizeof(HalfGroup), codes += simd::code_words<A> / 2) {
    HalfGroup bytes{};
    if (k + sizeof bytes <= count) {
      std::memcpy(&bytes, row.codes + column + k, sizeof bytes);
    } else {
      std::memcpy(&bytes, row.codes + column + k, count - k);
    }
    store_codes<A>(bytes, codes);
  }
  std::fill_n(scales, (count + simd::code_group - 1) / simd::code_group, *row.scales);
}
template <class A>
void load_codes(QuantizedRow<i4> row, std::size_t column, std::size_t count, float* codes,
                float* scales) noexcept {
  static_assert(QuantizedLayout<i4>::group == simd::code_group);
  std::size_t const first = column / simd::code_group;
  for (std::size_t g = 0; g * simd::code_group < count; ++g, codes += simd::code_words<A>) {
    HalfGroup bytes;
    std::memcpy(&bytes, row.codes + (first + g) * sizeof bytes, sizeof bytes);
    store_codes<A>((bytes & 15) - 8, codes);
    store_codes<A>((bytes >> 4 & 15) - 8, codes + simd::code_words<A> / 2);
    scales[g] = to_float(row.scales[first + g]);
  }
}

} // namespace kernel
} // namespace pocketllm::tensor

template <>
inline constexpr bool pocketllm::simd::is_dispatched<pocketllm::tensor::kernel::CodeWords> = true;
template <>
inline constexpr bool pocketllm::simd::is_dispatched<pocketllm::tensor::kernel::CodePanel> = true;

namespace pocketllm::tensor {

/// The codes of packed activations, in the workspace, for a kernel K called for architecture A.
template <class A, simd::Kernel K>
[[nodiscard]] Coded code(Packed const& x, Runtime& runtime) {
  auto const invoke = [](auto kernel, auto&&... args) {
    using Own = decltype(kernel);
    if constexpr (simd::is_dispatched<K>) {
      simd::invoke<A, Own>(args...);
    } else {
      Own::template run<A>(args...);
    }
  };
  Coded coded;
  coded.groups = (x.cols + simd::code_group - 1) / simd::code_group;
  invoke(kernel::CodeWords{}, coded.words);
  std::size_t const columns = x.lanes * x.padded_rows();
  coded.codes = runtime.workspace().take(columns * coded.groups * coded.words).data();
  coded.scales = runtime.workspace().take(columns * coded.groups).data();
  runtime.pool().parallel_for(x.lanes * x.panels(), [&](std::size_t i, std::size_t) {
    invoke(kernel::CodePanel{}, x, coded, i / x.panels(), i % x.panels());
  });
  return coded;
}

} // namespace pocketllm::tensor
