// SPDX-License-Identifier: Apache-2.0
// --adapter lora: which layers get terms of low rank, and which of a model's tensors are trained then.
#pragma once

#include "command_line.hpp"
#include <pocketllm/layers/lora.hpp>
#include <pocketllm/optimize/selection.hpp>

#include <CLI/CLI.hpp>

#include <cstddef>
#include <cstdint>
#include <string>

namespace examples {

/// What the command line says of terms.
struct LoraChoice {
  std::int64_t rank = 8; ///< this and alpha as in MeZO
  double alpha = 16.0;
  std::string targets; ///< empty for those that the family of models has as queries and values
};

inline void add_lora_terms(CLI::App& app, LoraChoice& o) {
  app.add_option("--lora-rank", o.rank, "Rank of the terms")
      ->check(whole_number(1, 512))
      ->capture_default_str()
      ->type_name("N");
  app.add_option("--lora-alpha", o.alpha, "Terms are scaled by this over their rank")
      ->check(number(false))
      ->capture_default_str()
      ->type_name("X");
  app.add_option("--lora-targets", o.targets,
                 "Layers that get a term: names as in the model's file without .weight, * for any characters "
                 "(default: queries and values, as in MeZO)")
      ->type_name("NAMES");
}

/// For a model whose queries and values are the layers `usual`.
inline pocketllm::layers::LoraOptions lora_options(LoraChoice const& o, std::uint64_t seed,
                                                   char const* usual) {
  return {.rank = static_cast<std::size_t>(o.rank),
          .alpha = static_cast<float>(o.alpha),
          .targets = o.targets.empty() ? usual : o.targets,
          .seed = seed};
}

/// The names that are trained: the user's if there are any, the terms otherwise, and with them `beside`.
inline std::string trained_with_terms(std::string const& asked, std::string const& beside = "") {
  return asked != "*" ? asked : "*.lora_?.weight" + (beside.empty() ? "" : "," + beside);
}

} // namespace examples
