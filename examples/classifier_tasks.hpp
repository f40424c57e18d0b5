// SPDX-License-Identifier: Apache-2.0
// The two ways in which finetune_classifier classifies: by label words in a prompt, or by a head.
#pragma once

#include "head_start.hpp"
#include "labelled_data.hpp"
#include "load_model.hpp"
#include "prefix_run.hpp"
#include "sentence_encoder.hpp"
#include <pocketllm/pocketllm.hpp>

#include <algorithm>
#include <filesystem>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace examples {

/// Label words in the place of a prompt's mask. What is trained is a `Base`, or a prefix before it.
template <class Base, class ModelType = Base>
class PromptTask {
public:
  using Model = ModelType;
  static constexpr auto names = Base::names;
  static constexpr bool prefixed = !std::is_same_v<Base, Model>;
  using Objective = pocketllm::train::MaskedPrompt<pocketllm::text::AnyTokenizer>;
  using Examples = std::vector<typename Objective::Example>;

  PromptTask(ClassifierOptions const& o, Labels const& labels, Weights weights = Weights::read)
      : model(load(o, weights)), tokenizer_(pocketllm::text::load_tokenizer(o.model)), labels_(labels),
        prompt_(o.prompt),
        objective(tokenizer_, o.prompt, labels.words,
                  std::min(static_cast<std::size_t>(o.max_tokens), model.config().max_tokens())) {}
  PromptTask(PromptTask const&) = delete; // the objective knows where the tokenizer is
  PromptTask& operator=(PromptTask const&) = delete;

  /// The prompts of all examples. A single text column may be called {text} in the template.
  [[nodiscard]] Examples encode(pocketllm::text::Dataset const& data) const {
    check_template(data.field_names);
    Examples examples;
    for (pocketllm::text::Example const& example : data.examples) {
      examples.push_back(objective.encode(fields_of(data, example), example.class_index));
    }
    return examples;
  }

  [[nodiscard]] std::string description() const {
    std::string text = "prompt   " + prompt_ + "  (";
    for (std::size_t i = 0; i < labels_.names.size(); ++i) {
      text += (i == 0 ? "" : ", ") + labels_.names[i] + " = " + labels_.words[i];
    }
    return text + ")\n";
  }

  /// For the header of a journal.
  [[nodiscard]] pocketllm::io::Json describe_objective(ClassifierOptions const& o) const {
    pocketllm::io::Json labels = pocketllm::io::Json::array();
    for (std::size_t i = 0; i < labels_.names.size(); ++i) {
      labels.push_back(
          {{"label", labels_.names[i]}, {"word", labels_.words[i]}, {"id", objective.words()[i]}});
    }
    return {{"name", "masked-prompt"},
            {"template", prompt_},
            {"labels", labels},
            {"max_tokens", std::min(static_cast<std::size_t>(o.max_tokens), model.config().max_tokens())}};
  }
  static void add_examples(Examples const& examples, pocketllm::train::ExamplesDigest& digest) {
    for (auto const& example : examples) {
      digest.add(example.ids);
      digest.add(example.mask);
      digest.add(example.label);
    }
  }

  /// Names of a head that is trained with the terms of an adapter.
  [[nodiscard]] static std::string head_names() { return ""; }

  template <class P>
  void start(Examples const& examples, ClassifierOptions const& o, P const&,
             pocketllm::train::StopCondition const&, pocketllm::Runtime& runtime) {
    if constexpr (prefixed) {
      begin_prefix(o, model, examples, tokenizer_.framing().before.size(), runtime);
    }
  }
  void keep_start(std::filesystem::path const&) {}

  void save(std::filesystem::path const& directory, std::filesystem::path const& source) const {
    if constexpr (prefixed) {
      save_prefix(model, directory, source);
    } else {
      pocketllm::io::save(model, directory, {source, {}});
    }
  }

private:
  static Model load(ClassifierOptions const& o, Weights weights) {
    // weights that stay as they are need no memory of their own where the file has their type
    Base base = load_model<Base>(o.model, weights, {.borrow = prefixed});
    pocketllm::require(base.config().classes == 0 && !base.config().headless, o.model.string(), ": this ",
                       names.title, " has no masked-language-model head; ",
                       prefixed ? "--adapter prefix needs one"
                                : "leave --label-words out to train a classification head");
    if constexpr (prefixed) {
      static_cast<void>(most_tokens(o, base.config())); // that there is room
      Model model(std::move(base), static_cast<std::size_t>(o.prefix_tokens));
      if (weights == Weights::zero) {
        pocketllm::tensor::borrow_zeros(model);
      }
      return model;
    } else {
      return base;
    }
  }

  /// Throws Error unless the template has text of the data in it, and nothing else.
  void check_template(std::vector<std::string> const& columns) const {
    std::vector<std::string> known = columns;
    if (columns.size() == 1 && columns.front() != "text") {
      known.emplace_back("text");
    }
    auto const& names = objective.prompt().field_names();
    for (std::string const& name : names) {
      pocketllm::require(std::find(known.begin(), known.end(), name) != known.end(), "--template: {", name,
                         "} is no text column; the columns are: ", pocketllm::text::name_list(known));
    }
    pocketllm::require(!names.empty(), "--template: no text column in it; write {", known.back(),
                       "} where the text belongs");
  }

public:
  Model model;

private:
  pocketllm::text::AnyTokenizer tokenizer_;
  Labels labels_;
  std::string prompt_;

public:
  Objective objective;
};

/// A linear layer on the text's vector. A directory that holds a classifier of the same classes is gone on
/// with; of another one the encoder is taken, and the head starts from class means.
template <class ModelType>
class HeadTask {
public:
  using Model = ModelType;
  static constexpr auto names = Model::names;
  static constexpr bool prefixed = false;
  using Objective = pocketllm::train::ClassificationHead<pocketllm::text::AnyTokenizer>;
  using Examples = std::vector<typename Objective::Example>;

  HeadTask(ClassifierOptions const& o, Labels const& labels, Weights weights = Weights::read)
      : new_head_(!holds_classifier(o.model, labels.names)), model(load(o, labels.names.size(), weights)),
        names_(labels.names), tokenizer_(pocketllm::text::load_tokenizer(o.model)),
        objective(tokenizer_, labels.names.size(),
                  std::min(static_cast<std::size_t>(o.max_tokens), model.config().max_tokens())) {}
  HeadTask(HeadTask const&) = delete; // the objective knows where the tokenizer is
  HeadTask& operator=(HeadTask const&) = delete;

  [[nodiscard]] Examples encode(pocketllm::text::Dataset const& data) const {
    Examples examples;
    for (pocketllm::text::Example const& example : data.examples) {
      examples.push_back(objective.encode(example.fields, example.class_index));
    }
    return examples;
  }

  [[nodiscard]] std::string description() const {
    return pocketllm::concat(
        "head     ", names_.size(), " classes on ",
        model.config().pooling == pocketllm::models::Pooling::mean ? "the mean of the tokens"
                                                                   : "the first token",
        new_head_ ? ", new" : ", as it was saved", "  (", pocketllm::text::name_list(names_), ")\n");
  }

  /// For the header of a journal.
  [[nodiscard]] pocketllm::io::Json describe_objective(ClassifierOptions const& o) const {
    return {{"name", head_objective},
            {"classes", names_},
            {"start", new_head_ ? o.head_start : "saved"},
            {"pooling", model.config().pooling == pocketllm::models::Pooling::mean ? "mean" : "cls"},
            {"head_steps", o.head_steps},
            {"head_decay", o.head_decay},
            {"max_tokens", std::min(static_cast<std::size_t>(o.max_tokens), model.config().max_tokens())}};
  }
  static void add_examples(Examples const& examples, pocketllm::train::ExamplesDigest& digest) {
    for (auto const& example : examples) {
      digest.add(example.ids);
      digest.add(example.types);
      digest.add(example.label);
    }
  }

  /// Names of a head that is trained with the terms of an adapter.
  [[nodiscard]] std::string head_names() {
    return model.class_layer().weight.name() + "," + model.class_layer().bias.name();
  }

  /// A new head starts from the class means of the features, or from zero, and makes the steps that train it
  /// alone.
  template <class P>
  void start(Examples const& examples, ClassifierOptions const& o, P const& perturbation,
             pocketllm::train::StopCondition const& stop, pocketllm::Runtime& runtime) {
    namespace train = pocketllm::train;
    if (!new_head_) {
      return;
    }
    std::size_t const batch = std::min<std::size_t>(16, o.evaluation_batch); // more only costs memory
    train::Features const features =
        train::make_features(objective, model, model.config().pooling, std::span(examples), batch, runtime);
    train::LinearClassifier head = o.head_start == "means"
                                       ? train::class_mean_head(features, names_.size())
                                       : train::LinearClassifier(names_.size(), features.width);
    train::train_head(head, features,
                      {.steps = static_cast<std::uint64_t>(o.head_steps),
                       .learning_rate = static_cast<float>(o.head_rate),
                       .weight_decay = static_cast<float>(o.head_decay),
                       .seed = o.seed},
                      perturbation, stop, runtime);
    head.copy_to(model.class_layer());
  }

  /// What a replay of the journal needs beside the model of --model.
  void keep_start(std::filesystem::path const& journal) {
    if (new_head_) {
      keep_head_start(journal, model);
    }
  }

  void save(std::filesystem::path const& directory, std::filesystem::path const& source) const {
    save_with_classes(model, names_, directory, source);
  }

private:
  /// Whether the directory holds a classifier of just these classes.
  static bool holds_classifier(std::filesystem::path const& directory,
                               std::vector<std::string> const& names) {
    pocketllm::io::require_model_directory(directory);
    pocketllm::io::Json const json = pocketllm::io::read_object(directory / pocketllm::io::config_file);
    return Model::Config::from_json(json).classes != 0 && pocketllm::io::class_names(json) == names;
  }

  [[nodiscard]] Model load(ClassifierOptions const& o, std::size_t classes, Weights weights) const {
    namespace io = pocketllm::io;
    if (!new_head_) {
      return load_model<Model>(o.model, weights);
    }
    auto const pooling = pocketllm::models::parse_pooling(o.pooling);
    Model base = load_encoder<Model>(o.model, pooling == pocketllm::models::Pooling::first_token, weights);
    return pocketllm::models::with_class_head(std::move(base), classes, pooling);
  }

  bool new_head_;

public:
  Model model;

private:
  std::vector<std::string> names_;
  pocketllm::text::AnyTokenizer tokenizer_;

public:
  Objective objective;
};

} // namespace examples
