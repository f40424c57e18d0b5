// SPDX-License-Identifier: Apache-2.0
// What the programs that train an encoder have in common: which of its weights are trained, and what a
// journal says of it.
#pragma once

#include "classifier_options.hpp"
#include <pocketllm/pocketllm.hpp>

#include <cstddef>
#include <string>
#include <string_view>

namespace examples {

/// The terms that --adapter lora asks for beside an encoder.
inline pocketllm::layers::LoraOptions encoder_lora_options(ClassifierOptions const& o) {
  return lora_options(o.lora, o.seed, "*.query,*.value");
}

/// What a journal's header says of the model, whose model_type in config.json is `type`.
inline pocketllm::io::Json describe_encoder(ClassifierOptions const& o, std::string_view type) {
  pocketllm::io::Json model{{"type", type}, {"storage", o.storage}};
  if (o.adapter == "lora") {
    model["lora"] = pocketllm::train::describe_lora(encoder_lora_options(o));
  } else if (o.adapter == "prefix") {
    model["prefix"] = o.prefix_tokens;
  }
  return model;
}

/// Puts terms beside the weights if they are asked for; `beside` names what is trained with them. Of a model
/// with a prefix, that is trained. Returns the number of weights that are trained.
template <class Model>
std::size_t choose_trained(ClassifierOptions const& o, Model& model, std::string const& beside = "") {
  if constexpr (requires { model.prefix(); }) {
    return model.prefix().size();
  } else if (o.adapter == "lora") {
    pocketllm::layers::add_lora(model, encoder_lora_options(o));
    return pocketllm::optimize::select_trained(model, trained_with_terms(o.train, beside));
  } else {
    return pocketllm::optimize::select_trained(model, o.train);
  }
}

} // namespace examples
