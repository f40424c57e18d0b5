// SPDX-License-Identifier: Apache-2.0
// A tokenizer of characters framed as OPT's, and what is needed of the small OPT of
// tests/models/data/opt_pre.
#pragma once

#include "golden.hpp"
#include "toy_prompt.hpp"
#include <pocketllm/models/opt.hpp>

#include <cstdint>
#include <string_view>
#include <vector>

namespace toy {

/// Characters with </s> before a text, as OPT has it.
struct CausalCharacters : Characters {
  [[nodiscard]] std::vector<std::int32_t> encode_framed(std::string_view text) const {
    std::vector<std::int32_t> ids = encode(text);
    ids.insert(ids.begin(), 2);
    return ids;
  }
  [[nodiscard]] std::vector<std::int32_t> encode_framed(std::string_view a, std::string_view b) const {
    return encode_framed(std::string(a) + std::string(b));
  }
  [[nodiscard]] text::SpecialTokens special_tokens() const {
    text::SpecialTokens special;
    special.bos = special.eos = 2;
    return special;
  }
  [[nodiscard]] text::Framing framing() const { return {{2}, {}, {2}, {2}, {}}; }
};
static_assert(text::Tokenizer<CausalCharacters>);

inline CausalCharacters const causal_tokenizer;

inline models::Opt<float> load_opt() {
  return io::load<models::Opt<float>>(golden::path_of("models/data/opt_pre"));
}

inline golden::Json opt_batches() {
  return io::read_object(golden::path_of("models/data/opt_pre/golden.json")).at("batches");
}

/// Points of the weights at which losses are compared.
inline std::vector<random::Point> const some_points{{7, 1e-2F}, {7, -1e-2F}, {8, 1e-2F}, random::origin};

/// Whether losses at several points are those at one after the other, whatever the threads, bit for bit, and
/// differ.
template <class Objective>
bool same_at_all_points(Objective const& objective, typename Objective::Batch const& batch) {
  auto const model = load_opt();
  random::Gaussian const perturbation;
  Runtime one(1), two(2);
  auto const together = objective(model, batch, random::perturb(perturbation, some_points), one);
  bool same = together == objective(model, batch, random::perturb(perturbation, some_points), two) &&
              together.size() == some_points.size() && together[0] != together[1] &&
              together[0] != together[2];
  for (std::size_t i = 0; i < some_points.size(); ++i) {
    auto const point = std::span(some_points).subspan(i, 1);
    same = same && objective(model, batch, random::perturb(perturbation, point), two) ==
                       std::vector<float>{together[i]};
  }
  return same;
}

} // namespace toy
