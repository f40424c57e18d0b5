// SPDX-License-Identifier: Apache-2.0
#include "tensor/kernel_table.hpp"
#include "tensor/naive.hpp"
#include <pocketllm/core/hash.hpp>

#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <string>
#include <vector>

using namespace pocketllm;

namespace {

#define ENTRY(name) {#name, &kernels_##name},
std::vector<arch::Entry<KernelTable>> const tables =
    arch::running<KernelTable>({POCKETLLM_FOR_EACH_ARCH(ENTRY)});

std::vector<random::Point> const terms{{41, 1e-2F}, {42, -3e-3F}, {43, 5e-4F}};

template <class T>
std::vector<float> floats(tensor::Tensor<T> const& w) {
  std::vector<float> values;
  for (T const v : w.values()) {
    values.push_back(to_float(v));
  }
  return values;
}

template <class T>
float unit_in_last_place(float value) {
  if constexpr (std::is_same_v<T, float>) {
    return std::ldexp(1.0F, std::max(std::ilogb(value), -126) - 23);
  } else if constexpr (std::is_same_v<T, f16>) {
    return std::ldexp(1.0F, std::max(std::ilogb(value), -14) - 10);
  } else {
    return std::ldexp(1.0F, std::max(std::ilogb(value), -126) - 7);
  }
}

template <class T>
void check_update() {
  for (auto const& entry : tables) {
    auto const name = entry.name;
    auto const* const table = entry.table;
    CAPTURE(name);
    for (std::size_t size = 1; size < 60; size += 3) {
      std::vector<std::size_t> const shape{size, 1 + size * 37 % 300};
      for (Kind const kind : {Kind::gaussian, Kind::rademacher}) {
        auto w = naive::tensor_of<T>("some.weight", shape, size, size % 3);
        auto const before = w;
        Runtime runtime(1);
        table->template of<T>().update(w, kind, terms, 0.75F, runtime);
        for (std::size_t r = 0; r < w.rows(); ++r) {
          std::vector<std::vector<float>> z;
          for (auto const& term : terms) {
            z.push_back(naive::noise(kind, term.seed, w.key(), r, w.cols()));
          }
          for (std::size_t c = 0; c < w.cols(); ++c) {
            double expected = 0.75 * static_cast<double>(to_float(before.row(r)[c]));
            for (std::size_t i = 0; i < terms.size(); ++i) {
              expected += static_cast<double>(terms[i].coefficient) * static_cast<double>(z[i][c]);
            }
            double const found = static_cast<double>(to_float(w.row(r)[c]));
            double const unit = static_cast<double>(unit_in_last_place<T>(static_cast<float>(expected)));
            // and the two partial sums, below 1/16, are rounded by at most half a unit, 1.9e-9, each
            REQUIRE(std::abs(found - expected) <= 1.001 * unit + 3.8e-9);
          }
        }
      }
    }
  }
}

/// A hash of the bits of a tensor, the same on machines of either byte order.
template <class T>
std::uint64_t digest(tensor::Tensor<T> const& w) {
  std::string text;
  for (float const value : floats(w)) {
    text += std::to_string(std::bit_cast<std::uint32_t>(value)) + ",";
  }
  return fnv1a(text);
}

template <class T>
void check_bits(std::uint64_t pinned) {
  for (auto const& entry : tables) {
    auto const name = entry.name;
    auto const* const table = entry.table;
    for (std::size_t threads : {1U, 3U}) {
      CAPTURE(name);
      CAPTURE(threads);
      auto w = naive::tensor_of<T>("some.weight", {77, 700}, 5);
      Runtime runtime(threads);
      table->template of<T>().update(w, Kind::gaussian, terms, 0.999F, runtime);
      table->template of<T>().update(w, Kind::rademacher, terms, 1.0F, runtime);
      CHECK(digest(w) == pinned);
    }
  }
}

/// Three updates in one visit, one of them without terms, and the same ones by three calls.
template <class T>
void check_in_order() {
  std::vector<random::Point> const more{{51, 2e-3F}};
  std::vector<tensor::UpdateTerms> const list{{terms, 0.999F}, {more, 1.0F}, {{}, 0.5F}, {more, 0.75F}};
  for (auto const& entry : tables) {
    auto const name = entry.name;
    CAPTURE(name);
    for (auto const& shape : std::vector<std::vector<std::size_t>>{{77, 700}, {1, 3}, {300, 512}, {41}}) {
      for (Kind const kind : {Kind::gaussian, Kind::rademacher}) {
        auto once = naive::tensor_of<T>("some.weight", shape, 5);
        auto often = once;
        Runtime runtime(3);
        CHECK(entry.table->template of<T>().updates(once, kind, list, runtime) <= once.size());
        for (tensor::UpdateTerms const& update : list) {
          entry.table->template of<T>().update(often, kind, update.terms, update.decay, runtime);
        }
        CHECK(digest(once) == digest(often));
      }
    }
  }
}

} // namespace

TEST_CASE("several updates in one visit have the bits of as many visits") {
  check_in_order<float>();
  check_in_order<f16>();
  check_in_order<bf16>();
}

TEST_CASE("the update is the naive one, to the last place: f32") { check_update<float>(); }
TEST_CASE("the update is the naive one, to the last place: f16") { check_update<f16>(); }
TEST_CASE("the update is the naive one, to the last place: bf16") { check_update<bf16>(); }

// A change of these numbers makes every journal that was written unreadable.
TEST_CASE("the update has the same bits on every instruction set and for any threads") {
  check_bits<float>(8980840221422379481ULL);
  check_bits<f16>(162825349807848067ULL);
  check_bits<bf16>(8607971410031345761ULL);
}

TEST_CASE("borrowed weights are copied, not written") {
  std::vector<float> const original(100, 1.0F);
  tensor::Tensor<float> w("w", {10, 10});
  w.borrow(original.data(), nullptr);
  Runtime runtime(1);
  kernels_scalar.f32.update(w, Kind::rademacher, terms, 1.0F, runtime);
  CHECK(original == std::vector<float>(100, 1.0F));
  CHECK(w.data() != original.data());
  CHECK(w.row(3)[3] != 1.0F);
}

TEST_CASE("many updates below half a unit in the last place add up with stochastic rounding") {
  // 0.5 has a unit of 2^-11 in f16 and of 2^-8 in bf16; each update is 2^-16 along a fixed direction
  Runtime runtime(1);
  std::vector<random::Point> const tiny{{7, 0x1p-16F}};
  tensor::Tensor<f16> half("w", {64, 64});
  tensor::Tensor<bf16> brain("w", {64, 64});
  tensor::Tensor<float> full("w", {64, 64});
  auto const start = [](auto& w) {
    w.allocate();
    for (std::size_t i = 0; i < w.size(); ++i) {
      w.mutable_data()[i] = from_float<typename std::remove_cvref_t<decltype(w)>::value_type>(0.5F);
    }
  };
  start(half);
  start(brain);
  start(full);
  constexpr std::size_t steps = 400;
  for (std::size_t i = 0; i < steps; ++i) {
    // the same direction every time, but other rounding bits: as if the seed counted as two
    std::vector<random::Point> const step{{1000 + i, 0.0F}, tiny[0]};
    kernels_scalar.f16.update(half, Kind::rademacher, step, 1.0F, runtime);
    kernels_scalar.bf16.update(brain, Kind::rademacher, step, 1.0F, runtime);
    kernels_scalar.f32.update(full, Kind::rademacher, step, 1.0F, runtime);
  }
  auto const mean_along_z = [&](auto const& w) {
    double sum = 0.0;
    for (std::size_t r = 0; r < 64; ++r) {
      auto const z = naive::noise(Kind::rademacher, 7, w.key(), r, 64);
      for (std::size_t c = 0; c < 64; ++c) {
        sum += (static_cast<double>(to_float(w.row(r)[c])) - 0.5) * static_cast<double>(z[c]);
      }
    }
    return sum / (64.0 * 64.0);
  };
  double const expected = steps * 0x1p-16;
  CHECK(mean_along_z(full) == doctest::Approx(expected).epsilon(1e-4));
  // the error of a mean over 4096 weights of 400 roundings each, of a variance below unit * step: 5 sigma
  CHECK(std::abs(mean_along_z(half) - expected) < 5 * std::sqrt(steps * 0x1p-11 * 0x1p-16 / 4096));
  CHECK(std::abs(mean_along_z(brain) - expected) < 5 * std::sqrt(steps * 0x1p-8 * 0x1p-16 / 4096));
}
