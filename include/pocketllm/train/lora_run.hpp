// SPDX-License-Identifier: Apache-2.0
// What the header of a journal says of LoRA terms: enough to make them again as they were before the first
// step.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/io/journal_header.hpp>
#include <pocketllm/io/journal_reader.hpp>
#include <pocketllm/layers/lora.hpp>
#include <pocketllm/text/json_file.hpp>
#include <pocketllm/train/part.hpp>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace pocketllm::train {

/// The options of layers::add_lora as JSON, for RunDescription::model["lora"].
[[nodiscard]] inline io::Json describe_lora(layers::LoraOptions const& options) {
  return {{"rank", options.rank},
          {"alpha", io::readable(options.alpha)},
          {"targets", options.targets},
          {"seed", options.seed}};
}

/// Reads what `describe_lora` wrote. Throws Error that begins with `place` when something is missing, of
/// another type, or not known.
[[nodiscard]] inline layers::LoraOptions read_lora(io::Json const& json, std::string_view place) {
  require(json.is_object(), place, ": expected an object, found ", json.type_name());
  layers::LoraOptions options;
  auto const read = [&](char const* key, auto& value) {
    require(json.contains(key), place, ": there is no \"", key, "\"");
    detail::parameter_from_json(json.at(key), concat(place, ".", key), value);
  };
  read("rank", options.rank);
  read("alpha", options.alpha);
  read("seed", options.seed);
  options.targets = text::string_member(json, "targets", place);
  require(json.size() == 4, place,
          ": has a member that is not known here; use the version of pocketllm that wrote it");
  return options;
}

/// The terms that a journal's run trained; none when it trained something else. Throws Error as read_lora
/// does.
[[nodiscard]] inline std::optional<layers::LoraOptions> lora_of(io::Journal const& journal) {
  io::Json const* const model = text::find_member(journal.header().json(), "model");
  io::Json const* const lora = model == nullptr ? nullptr : text::find_member(*model, "lora");
  if (lora == nullptr) {
    return std::nullopt;
  }
  return read_lora(*lora, journal.name() + ": header: model.lora");
}

} // namespace pocketllm::train
