// SPDX-License-Identifier: Apache-2.0
// Updates along directions of low rank, made from the factors: the bits of those made element by element.
#include "tensor/kernel_table.hpp"
#include "tensor/naive.hpp"

#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

using namespace pocketllm;

namespace {

#define ENTRY(name) {#name, &kernels_##name},
std::vector<arch::Entry<KernelTable>> const tables =
    arch::running<KernelTable>({POCKETLLM_FOR_EACH_ARCH(ENTRY)});

/// Seeds whose upper half stays the same for `shared` steps.
std::vector<random::Point> points(std::size_t count, std::size_t shared, std::uint64_t seed) {
  std::vector<random::Point> list;
  for (std::size_t i = 0; i < count; ++i) {
    std::uint64_t const upper = random::split_mix(seed, i / shared) & ~0xffffffffULL;
    float const coefficient = 1e-3F * (static_cast<float>(i % 7) - 2.5F);
    list.push_back({upper | (random::split_mix(seed + 1, i) >> 32), coefficient});
  }
  return list;
}

/// One update for each of `terms` points.
std::vector<tensor::UpdateTerms> each(std::vector<random::Point> const& all, std::size_t terms,
                                      float decay = 1.0F) {
  std::vector<tensor::UpdateTerms> list;
  for (std::size_t i = 0; i < all.size(); i += terms) {
    list.push_back({std::span(all).subspan(i, std::min(terms, all.size() - i)), decay});
  }
  return list;
}

template <class T>
std::vector<std::uint32_t> bits(tensor::Tensor<T> const& w) {
  std::vector<std::uint32_t> values;
  for (T const v : w.values()) {
    values.push_back(std::bit_cast<std::uint32_t>(to_float(v)));
  }
  return values;
}

template <class T>
void check_bits(std::vector<tensor::UpdateTerms> const& list, std::uint32_t rank = 2) {
  for (auto const& shape : std::vector<std::vector<std::size_t>>{{35, 700}, {1, 3}, {33, 512}, {41}}) {
    CAPTURE(shape[0]);
    Runtime runtime(2);
    auto const before = naive::tensor_of<T>("some.weight", shape, 5);
    auto plain = before;
    kernels_scalar.of<T>().low_rank_updates(plain, rank, false, list, runtime);
    REQUIRE(bits(plain) != bits(before));
    for (auto const& entry : tables) {
      CAPTURE(entry.name);
      auto found = before;
      entry.table->template of<T>().low_rank_updates(found, rank, true, list, runtime);
      REQUIRE(bits(found) == bits(plain));
    }
  }
}

template <class T>
void check_all_bits() {
  auto const shared = points(70, 20, 1), own = points(20, 1, 2), many = points(140, 70, 3);
  check_bits<T>(each(shared, 1));
  check_bits<T>(each(shared, 4, 0.99F)); // several directions a step, and some with two V
  check_bits<T>(each(own, 1, 0.5F));     // more V than are kept
  check_bits<T>(each(shared, 1), 1);
  check_bits<T>(each(shared, 7), 16);
  check_bits<T>(each(many, 1)); // more directions than are kept
  // one that has too many of them by itself, one of no terms, and one that is not linear
  auto mixed = each(many, 130, 0.75F);
  mixed.push_back({{}, 0.5F});
  std::vector<tensor::TermGroup> const groups{{30, 0.5F, 0.25F}, {40, 0.5F, 0.25F}};
  mixed.push_back({shared, 0.9F, groups, 1.0F});
  mixed.push_back({std::span(own).first(1), 1.0F});
  check_bits<T>(mixed);
}

/// The same list as one update whose terms may be summed.
void check_folded(std::vector<random::Point> const& all, std::uint32_t rank) {
  tensor::UpdateTerms once{all, 0.75F};
  once.folded = true;
  for (auto const& entry : tables) {
    CAPTURE(entry.name);
    Runtime runtime(2);
    auto const before = naive::tensor_of<float>("some.weight", {35, 700}, 5);
    auto found = before;
    entry.table->f32.low_rank_updates(found, rank, true, {&once, 1}, runtime);
    std::vector<float> z(before.cols());
    double worst = 0.0;
    for (std::size_t r = 0; r < before.rows(); ++r) {
      std::vector<double> expected(before.cols());
      for (random::Point const& term : all) {
        random::fill_row<simd::scalar>(random::LowRank{rank}, {term.seed, before.key()}, r, 0, z.size(),
                                       z.data());
        for (std::size_t c = 0; c < z.size(); ++c) {
          expected[c] += static_cast<double>(term.coefficient) * static_cast<double>(z[c]);
        }
      }
      for (std::size_t c = 0; c < z.size(); ++c) {
        double const sum = expected[c] + 0.75 * static_cast<double>(before.row(r)[c]);
        worst = std::max(worst, std::abs(static_cast<double>(found.row(r)[c]) - sum));
      }
    }
    CHECK(worst < 5e-7); // of weights up to 1, and sums of 300 terms
  }
}

} // namespace

TEST_CASE("low-rank updates from the factors have the bits of those element by element: f32") {
  check_all_bits<float>();
}
TEST_CASE("low-rank updates from the factors have the bits of those element by element: f16") {
  check_all_bits<f16>();
}
TEST_CASE("low-rank updates from the factors have the bits of those element by element: bf16") {
  check_all_bits<bf16>();
}

TEST_CASE("folded terms are the sum of all, to rounding") {
  check_folded(points(300, 100, 3), 2);
  check_folded(points(50, 25, 4), 16);
  check_folded(points(40, 1, 2), 2); // nothing to share, and too many V to be kept
}

TEST_CASE("16-bit weights are rounded once for folded terms") {
  auto const all = points(64, 64, 9);
  tensor::UpdateTerms once{all, 1.0F};
  once.folded = true;
  Runtime runtime(1);
  auto found = naive::tensor_of<f16>("some.weight", {64, 600}, 5);
  tensor::Tensor<float> exact("some.weight", {64, 600});
  exact.allocate();
  for (std::size_t i = 0; i < exact.size(); ++i) {
    exact.mutable_data()[i] = to_float(found.data()[i]);
  }
  kernels_scalar.f16.low_rank_updates(found, 2, true, {&once, 1}, runtime);
  kernels_scalar.f32.low_rank_updates(exact, 2, false, each(all, 1), runtime);
  double worst = 0.0, mean = 0.0;
  for (std::size_t i = 0; i < exact.size(); ++i) {
    double const error = static_cast<double>(to_float(found.data()[i]) - exact.data()[i]);
    worst = std::max(worst, std::abs(error));
    mean += error / static_cast<double>(exact.size());
  }
  CHECK(worst < 0x1p-10);                // a unit in the last place of weights up to 2
  CHECK(std::abs(mean) < 0x1p-10 / 200); // neither up nor down
}
