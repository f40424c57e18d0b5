// SPDX-License-Identifier: Apache-2.0
// The weights that a new classification head starts a run with. They come from the data, which a replay does
// not have, so they lie beside the journal: a few kilobytes.
#pragma once

#include "sentence_encoder.hpp"
#include <pocketllm/pocketllm.hpp>

#include <filesystem>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace examples {

/// The name of the objective in a journal's header.
inline constexpr char const* head_objective = "classification-head";

/// Where the head's start of a run with the journal `journal` is.
inline std::filesystem::path head_start_file(std::filesystem::path const& journal) {
  return journal.string() + ".head.safetensors";
}

/// Whether the run had the objective `name`.
inline bool has_objective(pocketllm::io::Journal const& journal, char const* name) {
  pocketllm::io::Json const& header = journal.header().json();
  pocketllm::io::Json const* const objective = pocketllm::text::find_member(header, "objective");
  return objective != nullptr && objective->is_object() &&
         objective->value("name", pocketllm::io::Json()) == name;
}

/// Whether the run put a new head on its model, instead of going on with a saved one.
inline bool began_with_new_head(pocketllm::io::Journal const& journal) {
  return has_objective(journal, head_objective) &&
         journal.header().json().at("objective").value("start", pocketllm::io::Json()) != "saved";
}

/// The class layer alone, as a model to write.
template <class Layer>
struct HeadTensors {
  Layer& layer;
  template <class F>
  void for_each_tensor(F&& f) const {
    f(layer.weight), f(layer.bias);
  }
};

/// Writes the head of `model` beside a journal that is about to begin. One that is there already belongs to
/// the journal that is there, and stays. Throws Error when it cannot be written.
template <class Model>
void keep_head_start(std::filesystem::path const& journal, Model& model) {
  namespace io = pocketllm::io;
  std::filesystem::path const path = head_start_file(journal);
  if (io::path_exists(journal) && io::path_exists(path)) {
    return;
  }
  HeadTensors<std::remove_reference_t<decltype(model.class_layer())>> const head{model.class_layer()};
  io::AtomicFile file(path);
  io::write_safetensors(file.file(), io::list_tensors(head), {{"format", "pt"}});
  file.commit();
}

/// The model that a run with a new head began with: the encoder of `base` and the head of `file`. Throws
/// Error when they do not fit, or when there is no such file.
template <class Model>
[[nodiscard]] Model load_with_head(std::filesystem::path const& base, pocketllm::io::Journal const& journal,
                                   std::filesystem::path const& file) {
  namespace io = pocketllm::io;
  pocketllm::require(io::path_exists(file), journal.name(),
                     ": the run put a new head on the model, whose start is in ", file.string(),
                     ", which is not there; copy it from beside the journal, or name it by --head");
  io::Json const& objective = journal.header().json().at("objective");
  std::string const place = journal.name() + ": header: objective";
  auto const pooling =
      pocketllm::models::parse_pooling(pocketllm::text::string_member(objective, "pooling", place));
  io::Json const* const classes = pocketllm::text::find_member(objective, "classes");
  pocketllm::require(classes != nullptr && classes->is_array(), place, ": \"classes\" is no list");
  Model model = pocketllm::models::with_class_head(
      load_encoder<Model>(base, pooling == pocketllm::models::Pooling::first_token), classes->size(),
      pooling);
  io::SafetensorsFile const start(file);
  auto const read = [&](auto& tensor) {
    io::TensorEntry const* const entry = start.content.find(tensor.name());
    pocketllm::require(entry != nullptr && entry->shape == tensor.shape(), file.string(), ": has no ",
                       tensor.name(), " of this model's shape; name the file that the run wrote by --head");
    io::copy_weights(*entry, start.content.file(), tensor.mutable_data(), [](auto const&) {});
  };
  read(model.class_layer().weight), read(model.class_layer().bias);
  return model;
}

/// Writes a classifier whose classes have these names.
template <class Model>
void save_with_classes(Model const& model, std::vector<std::string> const& names,
                       std::filesystem::path const& directory, std::filesystem::path const& source) {
  bool const mean = model.config().pooling == pocketllm::models::Pooling::mean;
  std::string const family(Model::names.class_name);
  pocketllm::io::save_classifier(model, directory, {source, {}},
                                 {family + (mean ? "Model" : "ForSequenceClassification"), names,
                                  pocketllm::models::pooling_key, mean ? "mean" : ""});
}

} // namespace examples
