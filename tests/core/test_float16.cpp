// SPDX-License-Identifier: Apache-2.0
#include <pocketllm/core/float16.hpp>

#include <doctest/doctest.h>

#include <cmath>

using namespace pocketllm;

TEST_CASE("every f16 and bf16 that is a number survives the way through float") {
  for (std::uint32_t bits = 0; bits < 0x10000U; ++bits) {
    f16 const half{static_cast<std::uint16_t>(bits)};
    bf16 const brain{static_cast<std::uint16_t>(bits)};
    if (!std::isnan(to_float(half))) {
      REQUIRE(from_float<f16>(to_float(half)) == half);
    }
    if (!std::isnan(to_float(brain))) {
      REQUIRE(from_float<bf16>(to_float(brain)) == brain);
    }
  }
}

TEST_CASE("rounding to f16 goes to the nearest, ties to even") {
  CHECK(to_float(from_float<f16>(1.0F + 0x1p-11F)) == 1.0F);               // a tie: down to even
  CHECK(to_float(from_float<f16>(1.0F + 3 * 0x1p-11F)) == 1.0F + 0x1p-9F); // a tie: up to even
  CHECK(to_float(from_float<f16>(65519.0F)) == 65504.0F);
  CHECK(std::isinf(to_float(from_float<f16>(65520.0F))));
  CHECK(to_float(from_float<f16>(0x1p-24F)) == 0x1p-24F);
  CHECK(to_float(from_float<f16>(0x1p-25F)) == 0.0F); // a tie with zero
  CHECK(to_float(from_float<f16>(-1.5F * 0x1p-25F)) == -0x1p-24F);
  CHECK(std::isnan(to_float(from_float<f16>(NAN))));
}

TEST_CASE("rounding to bf16 goes to the nearest, ties to even") {
  CHECK(to_float(from_float<bf16>(1.0F + 0x1p-8F)) == 1.0F);
  CHECK(to_float(from_float<bf16>(1.0F + 3 * 0x1p-8F)) == 1.0F + 0x1p-6F);
  CHECK(std::isinf(to_float(from_float<bf16>(3.4028235e38F))));
  CHECK(std::isnan(to_float(from_float<bf16>(NAN))));
}
