// SPDX-License-Identifier: Apache-2.0
// The noise functions of one instruction set.
#pragma once

#include "arch.hpp"
#include <pocketllm/random/noise.hpp>

#include <array>
#include <cstddef>
#include <cstdint>

struct NoiseTable {
  std::size_t width;
  std::array<std::uint32_t, 4> (*philox)(std::array<std::uint32_t, 4> counter, std::uint64_t key);
  using Row = void (*)(pocketllm::random::Stream stream, std::size_t row, std::size_t first,
                       std::size_t count, float* out);
  Row gaussian_row, rademacher_row, low_rank_row;
};

#define POCKETLLM_DECLARE_NOISE(name) extern NoiseTable const noise_##name;
POCKETLLM_FOR_EACH_ARCH(POCKETLLM_DECLARE_NOISE)
