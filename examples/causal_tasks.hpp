// SPDX-License-Identifier: Apache-2.0
// What finetune_causal can train on: texts and answers, of which tokens are predicted, and choices. Each has
// examples, an objective, an evaluation, and a file of predictions.
#pragma once

#include "causal_data.hpp"
#include "result_files.hpp"
#include "training_run.hpp"
#include <pocketllm/pocketllm.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace examples {

using Tokenizer = pl::text::AnyTokenizer;

/// A batch for evaluation; more only costs memory.
inline constexpr std::size_t evaluation_batch = 16;

/// Every token of texts, or of answers to questions.
class TextTask {
public:
  using Objective = pl::train::NextTokenLoss;

  TextTask(CausalOptions const& o, Tokenizer const& tokenizer, std::size_t max_tokens)
      : o_(o), tokenizer_(tokenizer), max_tokens_(max_tokens), template_(unescape(o.prompt)) {
    if (!o.answer.empty()) {
      answers_.emplace(tokenizer, template_, unescape(o.answer), max_tokens);
    }
    Texts all = read(o.data);
    Parts const parts = split(o, all.examples.size(), is_plain_text(o.data) && o.overlap != 0);
    for (std::size_t const i : parts.train) {
      train.push_back(all.examples[i]);
    }
    if (o.test_data.empty()) {
      for (std::size_t const i : parts.test) {
        test_.examples.push_back(all.examples[i]);
        test_.shown.push_back(all.shown[i]);
        test_.questions.push_back(all.questions[i]);
      }
    } else {
      test_ = read(o.test_data);
    }
  }

  Objective objective;
  std::vector<Objective::Example> train;

  [[nodiscard]] std::size_t test_size() const noexcept { return test_.examples.size(); }
  [[nodiscard]] std::string describe() const {
    return answers_ ? pl::concat("prompt   ", o_.prompt, " + ", o_.answer, "  (the answer is predicted)\n")
                    : "";
  }

  /// What a sample continues: --prompt, or the first question of the test.
  [[nodiscard]] std::vector<std::int32_t> sample_prompt() const {
    return answers_ && o_.prompt_for_sample.empty()
               ? test_.questions.front()
               : tokenizer_.encode_framed(unescape(o_.prompt_for_sample));
  }

  template <class Model, class P>
  Score evaluate(Model const& model, pl::Runtime& runtime, P const& perturbation) {
    last_ = pl::train::evaluate_tokens(model, std::span<pl::train::NextTokenExample const>(test_.examples),
                                       evaluation_batch, runtime, perturbation);
    return {.loss = last_.loss,
            .words = pl::concat("perplexity ", pl::train::fixed(last_.perplexity(), 1), "  loss ",
                                pl::train::fixed(last_.loss, 3))};
  }

  /// A line of JSON for each text: ln of its probability, how many tokens that is of, and the text.
  void write_predictions(std::filesystem::path const& path) const {
    std::vector<nlohmann::ordered_json> lines;
    for (std::size_t i = 0; i < test_.examples.size(); ++i) {
      lines.push_back({{"log_probability", last_.log_probabilities[i]},
                       {"tokens", last_.tokens[i]},
                       {"fields", test_.shown[i]}});
    }
    write_json_lines(path, lines);
  }
  [[nodiscard]] std::string table() const { return {}; }

private:
  struct Texts {
    std::vector<pl::train::NextTokenExample> examples;
    std::vector<nlohmann::ordered_json> shown;
    std::vector<std::vector<std::int32_t>> questions; ///< empty ones for texts
  };

  [[nodiscard]] Texts read(std::filesystem::path const& file) const {
    Texts texts;
    auto const add = [&](pl::train::NextTokenExample example, nlohmann::ordered_json shown,
                         std::vector<std::int32_t> question) {
      if (example.ids.size() >= static_cast<std::size_t>(o_.min_tokens)) {
        texts.examples.push_back(std::move(example));
        texts.shown.push_back(std::move(shown));
        texts.questions.push_back(std::move(question));
      }
    };
    if (is_plain_text(file)) {
      pl::require(!answers_ && o_.where.empty(), file.string(),
                  ": is one text; --answer and --where need a table, .tsv, .csv or .jsonl");
      pl::train::CausalText const windows(tokenizer_, max_tokens_, static_cast<std::size_t>(o_.overlap));
      for (auto& window : windows.windows(pl::text::read_whole_file(file))) {
        std::string text = tokenizer_.decode(window.ids, true);
        add(std::move(window), {{"text", std::move(text)}}, {});
      }
    } else {
      pl::train::CausalText const whole(tokenizer_, max_tokens_);
      pl::text::PromptTemplate const form(template_, pl::text::MaskSlot::optional);
      pl::text::require_no_mask(form, template_);
      pl::text::Dataset const data = read_rows(o_, file, {});
      for (pl::text::Example const& row : data.examples) {
        auto const fields = fields_of(data, row);
        nlohmann::ordered_json shown;
        for (std::size_t f = 0; f < row.fields.size(); ++f) {
          shown[data.field_names[f]] = row.fields[f];
        }
        auto question =
            answers_ ? answers_->encode_question(fields, max_tokens_ / 4) : std::vector<std::int32_t>{};
        add(answers_ ? answers_->encode(fields) : whole.encode(form.fill(fields)), std::move(shown),
            std::move(question));
      }
    }
    pl::require(!texts.examples.empty(), file.string(), ": no text of ", o_.min_tokens, " tokens or more");
    return texts;
  }

  CausalOptions const& o_;
  Tokenizer const& tokenizer_;
  std::size_t max_tokens_;
  std::string template_;
  std::optional<pl::train::AnswerLoss<Tokenizer>> answers_;
  Texts test_;
  pl::train::TokenEvaluation last_;
};

/// Classes that stand behind the prompt as texts.
class ChoiceTask {
public:
  using Objective = pl::train::CandidateChoice<Tokenizer>;

  ChoiceTask(CausalOptions const& o, Tokenizer const& tokenizer, std::size_t max_tokens)
      : o_(o), tokenizer_(tokenizer), labels_(parse_labels(o.label_words)),
        objective(tokenizer, unescape(o.prompt), labels_.words, max_tokens) {
    pl::require(o.answer.empty(), "--answer and --label-words are two different tasks; give one of them");
    pl::require(o.train_size == 0, "--train-size is for texts and answers; with --label-words use --k-shot");
    LabelledData data = read_labelled(o, labels_);
    train = encode(data.train);
    test_ = encode(data.test);
    test_data_ = std::move(data.test);
  }

private:
  CausalOptions const& o_;
  Tokenizer const& tokenizer_;
  Labels labels_;

public:
  Objective objective;
  std::vector<Objective::Example> train;

  [[nodiscard]] std::size_t test_size() const noexcept { return test_.size(); }
  [[nodiscard]] std::string describe() const {
    std::string text = "prompt   " + o_.prompt + "  (";
    for (std::size_t i = 0; i < labels_.names.size(); ++i) {
      text += pl::concat(i == 0 ? "" : ", ", labels_.names[i], " = ", labels_.words[i]);
    }
    return text + ")\n";
  }
  [[nodiscard]] std::vector<std::int32_t> sample_prompt() const {
    return o_.prompt_for_sample.empty() ? test_.front().ids
                                        : tokenizer_.encode_framed(unescape(o_.prompt_for_sample));
  }

  template <class Model, class P>
  Score evaluate(Model const& model, pl::Runtime& runtime, P const& perturbation) {
    last_ = pl::train::evaluate(objective, model, std::span<Objective::Example const>(test_),
                                evaluation_batch, runtime, perturbation);
    auto const metrics = pl::train::compute_metrics(last_.labels, last_.predictions, objective.classes());
    return {.loss = last_.loss,
            .accuracy = metrics.accuracy,
            .macro_f1 = metrics.macro_f1,
            .words = pl::concat("accuracy ", percent(metrics.accuracy), "  macro-F1 ",
                                percent(metrics.macro_f1), "  loss ", pl::train::fixed(last_.loss, 3))};
  }

  /// As finetune_classifier's; a score is the mean of ln p over the candidate's tokens.
  void write_predictions(std::filesystem::path const& path) const {
    examples::write_predictions(path, test_data_, last_);
  }
  [[nodiscard]] std::string table() const {
    auto const metrics = pl::train::compute_metrics(last_.labels, last_.predictions, objective.classes());
    return "\n" + pl::train::confusion_table(metrics, labels_.names) + "\n";
  }

private:
  [[nodiscard]] std::vector<Objective::Example> encode(pl::text::Dataset const& data) const {
    std::vector<Objective::Example> examples;
    for (pl::text::Example const& row : data.examples) {
      examples.push_back(objective.encode(fields_of(data, row), row.class_index));
    }
    return examples;
  }

  std::vector<Objective::Example> test_;
  pl::text::Dataset test_data_;
  pl::train::Evaluation last_;
};

} // namespace examples
