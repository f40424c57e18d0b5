// SPDX-License-Identifier: Apache-2.0
#include "random/noise_table.hpp"
#include <pocketllm/core/hash.hpp>
#include <pocketllm/random/any_perturbation.hpp>
#include <pocketllm/random/noise.hpp>

#include <Random123/philox.h>
#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <fstream>
#include <string>
#include <vector>

using namespace pocketllm;

namespace {

#define ENTRY(name) {#name, &noise_##name},
std::vector<arch::Entry<NoiseTable>> const tables =
    arch::running<NoiseTable>({POCKETLLM_FOR_EACH_ARCH(ENTRY)});

std::uint64_t hash(std::vector<float> const& values) {
  std::string bytes;
  for (float const v : values) {
    auto const bits = std::bit_cast<std::uint32_t>(v);
    for (int shift = 0; shift < 32; shift += 8) {
      bytes.push_back(static_cast<char>(bits >> shift & 0xffU));
    }
  }
  return fnv1a(bytes);
}

nlohmann::json reference() {
  std::ifstream file(std::string(POCKETLLM_TEST_DATA) + "/random/data/noise.json");
  return nlohmann::json::parse(file);
}

} // namespace

TEST_CASE("Philox4x32-10 gives the known answers of Random123") {
  struct Known {
    std::array<std::uint32_t, 4> counter;
    std::array<std::uint32_t, 2> key;
    std::array<std::uint32_t, 4> answer;
  };
  std::array<Known, 3> const known{{
      {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
       {0xffffffff, 0xffffffff},
       {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
       {0xa4093822, 0x299f31d0},
       {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
  }};
  for (auto const& entry : tables) {
    auto const name = entry.name;
    auto const* const table = entry.table;
    CAPTURE(name);
    for (Known const& k : known) {
      CHECK(table->philox(k.counter, k.key[0] | static_cast<std::uint64_t>(k.key[1]) << 32) == k.answer);
    }
    std::uint64_t seed = 1;
    for (std::uint32_t i = 0; i < 1000; ++i) { // and Random123's own code on any counters
      seed = random::split_mix(seed, i);
      r123array4x32 const counter{
          {static_cast<std::uint32_t>(seed), i, ~i, static_cast<std::uint32_t>(seed >> 32)}};
      r123array2x32 const key{{i * 77, static_cast<std::uint32_t>(seed >> 7)}};
      r123array4x32 const expected = philox4x32(counter, key);
      auto const found = table->philox({counter.v[0], counter.v[1], counter.v[2], counter.v[3]},
                                       key.v[0] | static_cast<std::uint64_t>(key.v[1]) << 32);
      REQUIRE(std::equal(found.begin(), found.end(), expected.v));
    }
  }
}

TEST_CASE("z is the one of the numpy reference") {
  auto const cases = reference();
  for (auto const& item : cases.at("gaussian")) {
    random::Stream const stream{item.at("seed").get<std::uint64_t>(),
                                fnv1a(item.at("name").get<std::string>())};
    for (auto const& sample : item.at("samples")) {
      float z = 0;
      random::fill_row<simd::native>(random::Gaussian{}, stream, sample.at("row"), sample.at("column"), 1,
                                     &z);
      CHECK(z == doctest::Approx(sample.at("value").get<double>()).epsilon(5e-6));
    }
  }
  for (auto const& item : cases.at("rademacher")) {
    random::Stream const stream{item.at("seed").get<std::uint64_t>(),
                                fnv1a(item.at("name").get<std::string>())};
    auto const signs = item.at("signs").get<std::string>();
    std::vector<float> z(signs.size());
    random::fill_row<simd::native>(random::Rademacher{}, stream, item.at("row"), 0, z.size(), z.data());
    for (std::size_t i = 0; i < z.size(); ++i) {
      REQUIRE(z[i] == (signs[i] == '+' ? 1.0F : -1.0F));
    }
  }
}

TEST_CASE("z has the same bits at every width, whole or in pieces") {
  random::Stream const stream{0x0123456789abcdefULL, fnv1a("roberta.encoder.layer.0.output.dense.weight")};
  constexpr std::size_t rows = 16, columns = 1000, first_row = 5;
  struct Kind {
    char const* name;
    NoiseTable::Row NoiseTable::*row;
    std::uint64_t pinned; // a change of these numbers makes every journal that was written unreadable
  };
  for (Kind const& kind : {Kind{"gaussian", &NoiseTable::gaussian_row, 4454857201772043616ULL},
                           Kind{"rademacher", &NoiseTable::rademacher_row, 17894773480669342757ULL},
                           Kind{"low-rank", &NoiseTable::low_rank_row, 7972151930103967058ULL}}) {
    std::string const kind_name = kind.name;
    CAPTURE(kind_name);
    std::vector<float> expected(rows * columns);
    for (std::size_t r = 0; r < rows; ++r) {
      (noise_scalar.*kind.row)(stream, first_row + r, 0, columns, expected.data() + r * columns);
    }
    CHECK(hash(expected) == kind.pinned);
    for (auto const& entry : tables) {
      auto const name = entry.name;
      auto const* const table = entry.table;
      CAPTURE(name);
      auto const fill_row = table->*kind.row;
      std::vector<float> whole(rows * columns);
      for (std::size_t r = 0; r < rows; ++r) {
        fill_row(stream, first_row + r, 0, columns, whole.data() + r * columns);
      }
      CHECK(whole == expected);
      std::vector<float> piece(columns);
      for (std::size_t first = 0; first < 800; first += 37) { // also across the end of a block of 512
        for (std::size_t count = 1; count < 200; count += 13) {
          fill_row(stream, first_row, first, count, piece.data());
          REQUIRE(std::equal(piece.begin(), piece.begin() + static_cast<std::ptrdiff_t>(count),
                             expected.begin() + static_cast<std::ptrdiff_t>(first)));
        }
      }
    }
  }
}

TEST_CASE("steps' seeds are the outputs of SplitMix64") {
  auto const cases = reference();
  for (auto const& item : cases.at("step_seeds")) {
    CHECK(random::split_mix(item.at("run_seed"), item.at("step")) == item.at("seed").get<std::uint64_t>());
  }
}

TEST_CASE("a perturbation chosen by name makes that one's z") {
  random::Stream const stream{3, 5};
  std::vector<float> any(700), own(700);
  auto const check = [&](auto const& perturbation) {
    random::AnyPerturbation const chosen(perturbation.name);
    CHECK(chosen.name == perturbation.name);
    random::fill_row<simd::scalar>(chosen, stream, 2, 0, any.size(), any.data());
    random::fill_row<simd::scalar>(perturbation, stream, 2, 0, own.size(), own.data());
    CHECK(any == own);
  };
  check(random::Gaussian{});
  check(random::Rademacher{});
  check(random::LowRank{});
  CHECK(random::AnyPerturbation{}.name == "gaussian");
  CHECK_THROWS_WITH_AS(random::AnyPerturbation("uniform"), doctest::Contains("called uniform"), Error);
  CHECK_THROWS_WITH_AS(random::AnyPerturbation("low-rank", 17), doctest::Contains("rank 17"), Error);
}

TEST_CASE("low-rank noise has as many independent rows as its rank, variance 1, and a factor by the seed's "
          "upper half") {
  constexpr std::size_t rows = 600, columns = 520;
  auto const draw = [&](std::uint64_t seed, std::uint32_t rank) {
    std::vector<float> z(rows * columns);
    for (std::size_t r = 0; r < rows; ++r) {
      random::fill_row<simd::native>(random::LowRank{rank}, {seed, 7}, r, 0, columns, z.data() + r * columns);
    }
    return z;
  };
  std::vector<float> const a = draw(0x500000001ULL, 1), b = draw(0x500000002ULL, 1),
                           c = draw(0x600000002ULL, 1);
  auto const ratio = [&](std::vector<float> const& z, std::size_t column) { return z[column] / z[0]; };
  CHECK(ratio(a, 300) == doctest::Approx(ratio(b, 300)).epsilon(1e-6)); // of one V
  CHECK(std::abs(ratio(a, 300) - ratio(c, 300)) > 1e-3F);
  CHECK(a[columns] / a[0] ==
        doctest::Approx(a[columns + 515] / a[515]).epsilon(1e-6)); // rank 1, also across blocks
  CHECK(std::abs(a[columns] / a[0] - b[columns] / b[0]) > 1e-3F);  // of another U
  double squares = 0.0;
  for (float const z : draw(1, 4)) {
    squares += static_cast<double>(z) * static_cast<double>(z);
  }
  CHECK(squares / (rows * columns) ==
        doctest::Approx(1.0).epsilon(0.15)); // few factors: far from independent
  std::vector<float> vector(40), normal(40);
  random::fill_row<simd::native>(random::LowRank{}, {1, 7, true}, 0, 0, 40, vector.data());
  random::fill_row<simd::native>(random::Gaussian{}, {1, 7, true}, 0, 0, 40, normal.data());
  CHECK(vector == normal);
}
