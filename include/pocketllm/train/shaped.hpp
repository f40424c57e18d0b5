// SPDX-License-Identifier: Apache-2.0
// Shaped directions of a run, from what its journal says of them.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/io/journal_reader.hpp>
#include <pocketllm/io/strict_json.hpp>
#include <pocketllm/random/any_perturbation.hpp>
#include <pocketllm/random/shaper.hpp>
#include <pocketllm/tensor/small_weights.hpp>
#include <pocketllm/tensor/some_layers.hpp>
#include <pocketllm/tensor/visit.hpp>
#include <pocketllm/train/part.hpp>

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace pocketllm::train {

namespace detail {

/// The number that a shaper is made with; none when the perturbation is not shaped so.
[[nodiscard]] inline std::optional<float> shaping(io::Json const& perturbation, std::string_view name,
                                                  std::string_view place) {
  std::string const key(name);
  if (!perturbation.is_object() || !perturbation.contains(key)) {
    return std::nullopt;
  }
  float value = 0.0F;
  parameter_from_json(perturbation.at(key), concat(place, ".", key), value);
  return value;
}

} // namespace detail

/// The library's shaper that a header's perturbation names; null for none. The model must have the weights
/// that the run began with, and its trained tensors. Throws Error as the shaper does.
template <tensor::HasTensors Model>
[[nodiscard]] std::unique_ptr<random::Shaper const> shaper_of(io::Json const& perturbation,
                                                              Model const& model, std::string_view place) {
  if (auto const share = detail::shaping(perturbation, tensor::SmallWeights::parameter_name, place)) {
    return std::make_unique<tensor::SmallWeights>(model, *share);
  }
  if (auto const layers = detail::shaping(perturbation, tensor::SomeLayers::parameter_name, place)) {
    require(*layers >= 1.0F, place, ": ", *layers, " layers at a time; it must be one or more");
    return std::make_unique<tensor::SomeLayers>(model, static_cast<std::size_t>(*layers));
  }
  return nullptr;
}

/// The library's perturbation that a header names, shaped. Throws Error when it is none of the library's.
[[nodiscard]] inline random::AnyPerturbation
shaped_perturbation(io::Json const& json, random::Shaper const& shaper, std::string_view place) {
  io::Json plain = json;
  plain.erase(std::string(shaper.name()));
  random::AnyPerturbation found;
  with_part(Perturbations{}, plain, place,
            [&]<class P>(P const& part) { found = random::AnyPerturbation(part); });
  return found.shaped_by(shaper);
}

/// Throws Error when the run moved small weights alone: which they were can be seen from the weights before
/// each step only, so its steps cannot be `what`.
inline void require_no_small_weights(io::Journal const& journal, std::string_view what) {
  bool const sparse =
      journal.header().json().at("perturbation").contains(std::string(tensor::SmallWeights::parameter_name));
  require(!sparse, journal.name(),
          ": moved small weights alone, and which they were depends on the weights "
          "before each step, so its steps cannot be ",
          what);
}

} // namespace pocketllm::train
