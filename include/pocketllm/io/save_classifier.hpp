// SPDX-License-Identifier: Apache-2.0
// A classifier written with the names of its classes.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/io/atomic_directory.hpp>
#include <pocketllm/io/atomic_file.hpp>
#include <pocketllm/io/save.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pocketllm::io {

/// What config.json says of a classifier's head. `pooling` is empty for the one that transformers has, of
/// `architecture` ...ForSequenceClassification: then transformers loads the directory as a classifier. Else
/// the architecture is the encoder's, which transformers loads without the head, and `pooling` is kept under
/// `pooling_key` for us.
struct ClassifierConfig {
  std::string architecture;             ///< of "architectures", such as BertForSequenceClassification
  std::span<std::string const> classes; ///< names by index for "id2label"; not copied
  std::string pooling_key,              ///< a key of config.json, which is removed where `pooling` is empty
      pooling;                          ///< its value, for models::parse_pooling
};

namespace detail {

[[nodiscard]] inline std::string classifier_config_text(std::filesystem::path const& source,
                                                        ClassifierConfig const& head) {
  auto config = nlohmann::ordered_json::parse(text::read_whole_file(source / config_file));
  nlohmann::ordered_json names = nlohmann::ordered_json::object(), ids = nlohmann::ordered_json::object();
  for (std::size_t i = 0; i < head.classes.size(); ++i) {
    require(!ids.contains(head.classes[i]), "two classes are called ", text::quote(head.classes[i], 200));
    names[std::to_string(i)] = head.classes[i];
    ids[head.classes[i]] = i;
  }
  config["architectures"] = {head.architecture};
  config["id2label"] = names;
  config["label2id"] = ids;
  config["problem_type"] = "single_label_classification";
  config.erase("num_labels");
  config.erase(head.pooling_key);
  if (!head.pooling.empty()) {
    config[head.pooling_key] = head.pooling;
  }
  return config.dump(2) + "\n";
}

} // namespace detail

/// The names of the classes in a config.json's "id2label", by index. Empty where there are none.
[[nodiscard]] inline std::vector<std::string> class_names(Json const& config) {
  std::vector<std::string> names;
  auto const labels = config.find("id2label");
  for (std::size_t i = 0; labels != config.end() && labels->is_object() && i < labels->size(); ++i) {
    auto const name = labels->find(std::to_string(i));
    require(name != labels->end() && name->is_string(), "id2label has no name for class ", i);
    names.push_back(name->get<std::string>());
  }
  return names;
}

/// As `save`, with config.json changed for the head. The changed config is made beside the target first.
/// Throws Error for two classes of one name too.
template <tensor::HasTensors Model>
void save_classifier(Model const& model, std::filesystem::path const& directory, SaveOptions options,
                     ClassifierConfig const& head) {
  require_model_directory(options.source);
  std::filesystem::path const target = resolve_target(directory); // "out/" is "out"
  AtomicDirectory const stage(target.parent_path() / (target.filename().string() + ".config"));
  OutputFile config(stage.path() / config_file);
  config.write(detail::classifier_config_text(options.source, head));
  config.sync();
  for (std::string_view const name : companion_files) {
    if (path_exists(options.source / name)) {
      std::filesystem::copy_file(options.source / name, stage.path() / name);
    }
  }
  options.source = stage.path();
  save(model, target, options);
}

} // namespace pocketllm::io
