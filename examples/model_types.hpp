// SPDX-License-Identifier: Apache-2.0
// From the words of a journal's header to the type of its model.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/core/float16.hpp>
#include <pocketllm/io/journal_reader.hpp>
#include <pocketllm/models/bert.hpp>
#include <pocketllm/models/opt.hpp>
#include <pocketllm/models/roberta.hpp>
#include <pocketllm/text/quote.hpp>

#include <string>
#include <type_traits>

namespace examples {

/// Calls f(std::type_identity<Model>()) with the model of config.json's model_type `type`, its weights of
/// type T. Throws Error for a type that is not known. New models are added here.
template <class T, class F>
void with_model_type(std::string const& type, std::string const& place, F&& f) {
  if (type == "roberta") {
    return f(std::type_identity<pocketllm::models::Roberta<T>>());
  }
  if (type == "bert") {
    return f(std::type_identity<pocketllm::models::Bert<T>>());
  }
  if (type == "opt") {
    return f(std::type_identity<pocketllm::models::Opt<T>>());
  }
  pocketllm::fail(place, ": a model of type ", pocketllm::text::quote(type),
                  " is not known here; known are: roberta, bert, opt");
}

/// The same with the type and the storage that a journal's header has under "model", as finetune_classifier
/// writes it.
template <class F>
void with_model_of(pocketllm::io::Journal const& journal, F&& f) {
  std::string const place = journal.name() + ": header: model";
  pocketllm::io::Json const* const model = pocketllm::text::find_member(journal.header().json(), "model");
  pocketllm::require(model != nullptr, place,
                     ": is not there; only the program that wrote the journal can "
                     "load its model");
  for (char const* const adapter : {"lora", "prefix"}) {
    pocketllm::require(!model->contains(adapter), place, ": the run trained a ", adapter,
                       " beside the model, which only finetune_causal --resume rebuilds");
  }
  std::string const type = pocketllm::text::string_member(*model, "type", place);
  std::string const storage = pocketllm::text::string_member(*model, "storage", place);
  if (storage == "f32") {
    return with_model_type<float>(type, place, f);
  }
  if (storage == "f16") {
    return with_model_type<pocketllm::f16>(type, place, f);
  }
  pocketllm::require(storage == "bf16", place, ": storage ", pocketllm::text::quote(storage),
                     " is not known here; known are: f32, f16, bf16");
  with_model_type<pocketllm::bf16>(type, place, f);
}

} // namespace examples
