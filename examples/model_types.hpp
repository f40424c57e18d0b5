// SPDX-License-Identifier: Apache-2.0
// From the words of a journal's header to the type of its model.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/core/float16.hpp>
#include <pocketllm/io/journal_reader.hpp>
#include <pocketllm/layers/lora.hpp>
#include <pocketllm/models/bert.hpp>
#include <pocketllm/models/opt.hpp>
#include <pocketllm/models/roberta.hpp>
#include <pocketllm/text/quote.hpp>

#include <string>
#include <type_traits>

namespace examples {

/// Calls f(std::type_identity<Model>()) with the model of config.json's model_type `type`, its weights of
/// type T and with room for LoRA terms beside them. Throws Error for a type that is not known. New models are
/// added here.
template <class T, class F>
void with_model_type(std::string const& type, std::string const& place, F&& f) {
  if (type == "roberta") {
    return f(std::type_identity<pocketllm::models::Roberta<pocketllm::layers::Lora<T>>>());
  }
  if (type == "bert") {
    return f(std::type_identity<pocketllm::models::Bert<pocketllm::layers::Lora<T>>>());
  }
  if (type == "opt") {
    return f(std::type_identity<pocketllm::models::Opt<pocketllm::layers::Lora<T>>>());
  }
  pocketllm::fail(place, ": a model of type ", pocketllm::text::quote(type),
                  " is not known here; known are: roberta, bert, opt");
}

/// The words "type" and "storage" that a journal's header has under "model", as our programs write them.
struct ModelWords {
  std::string place, type, storage;
};

/// Throws Error when they are not there, or the run trained a prefix.
inline ModelWords model_words(pocketllm::io::Journal const& journal) {
  ModelWords words{journal.name() + ": header: model", {}, {}};
  pocketllm::io::Json const* const model = pocketllm::text::find_member(journal.header().json(), "model");
  pocketllm::require(model != nullptr, words.place,
                     ": is not there; only the program that wrote the journal can "
                     "load its model");
  pocketllm::require(!model->contains("prefix"), words.place,
                     ": the run trained a prefix beside the model, which only the program that wrote the "
                     "journal rebuilds, by --resume");
  words.type = pocketllm::text::string_member(*model, "type", words.place);
  words.storage = pocketllm::text::string_member(*model, "storage", words.place);
  return words;
}

/// The same with the type and the storage of a journal's model, all of whose weights may have been trained.
template <class F>
void with_model_of(pocketllm::io::Journal const& journal, F&& f) {
  auto const [place, type, storage] = model_words(journal);
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

/// The same for a run that trained LoRA terms, beside which the weights of an OPT may be in 8 or 4 bits.
template <class F>
void with_adapted_model_of(pocketllm::io::Journal const& journal, F&& f) {
  auto const [place, type, storage] = model_words(journal);
  if (storage != "i8" && storage != "i4") {
    return with_model_of(journal, f);
  }
  pocketllm::require(type == "opt", place, ": a model of type ", pocketllm::text::quote(type), " in storage ",
                     storage, " is not known here; known are those of opt");
  using namespace pocketllm;
  storage == "i8" ? f(std::type_identity<models::Opt<layers::Lora<i8>>>())
                  : f(std::type_identity<models::Opt<layers::Lora<i4>>>());
}

} // namespace examples
