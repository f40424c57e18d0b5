// SPDX-License-Identifier: Apache-2.0
// What the tests of the journal share: a run of which every record is known.
#pragma once

#include "toy.hpp"
#include <pocketllm/io/journal.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace toy {

namespace io = pocketllm::io;
using io::Json;

struct Slope {
  std::uint64_t seed = 0;
  float slope = 0.0F;
  friend bool operator==(Slope const&, Slope const&) = default;
};

/// The header of data/run.journal without "about"; `changes` replaces members.
inline io::JournalHeader header(Json const& changes = Json::object()) {
  Json json = Json::parse(R"({
    "base": "blake3:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    "data": {"batches": {"seed": 7, "size": 16},
             "digest": "blake3:fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"},
    "estimator": {"epsilon": 1e-3, "name": "two-point"},
    "objective": {"labels": ["personal", "größe"], "name": "masked-prompt"},
    "perturbation": {"name": "gaussian"},
    "schedule": {"rate": 1e-6, "shape": "constant", "steps": 500},
    "seeds": {"rule": "split_mix", "run": 18446744073709551615},
    "slopes": 1, "trained": ["*"], "update": {"name": "sgd", "weight_decay": 0.0}
  })");
  json.update(changes);
  return io::JournalHeader(json);
}

/// What step `step` of every run here learns.
inline std::vector<Slope> gradient_of(io::JournalHeader const& header, std::uint64_t step) {
  std::vector<Slope> gradient;
  for (std::size_t k = 0; k < header.layout().slopes; ++k) {
    gradient.push_back({header.seed(step, k), static_cast<float>(step * 7 + k) - 1.25F});
  }
  return gradient;
}
inline float rate_of(std::uint64_t step) { return 1e-6F / static_cast<float>(step + 1); }
inline float loss_of(std::uint64_t step) { return std::ldexp(1.0F, -static_cast<int>(step % 20)); }

inline void append(io::JournalWriter& writer, io::JournalHeader const& header, std::uint64_t step) {
  writer.append(step, rate_of(step), loss_of(step), gradient_of(header, step));
}

/// Every record of the journal is as `append` makes it, and none is left out.
inline bool is_right(io::Journal const& journal) {
  for (std::size_t i = 0; i < journal.size(); ++i) {
    std::uint64_t const step = journal.header().first_step() + i;
    if (journal.steps()[i] != io::JournalStep{step, rate_of(step), loss_of(step)} ||
        journal.gradient<Slope>(i) != gradient_of(journal.header(), step)) {
      return false;
    }
  }
  return true;
}

inline io::Journal read_journal_bytes(std::string_view bytes) { return {bytes_of(bytes), "run.journal"}; }

/// Where the records begin.
inline std::size_t header_bytes(std::string const& file) {
  return 20 + pocketllm::load_little<std::uint32_t>(bytes_of(file).data() + 12);
}

} // namespace toy
