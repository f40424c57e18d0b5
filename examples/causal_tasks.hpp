// SPDX-License-Identifier: Apache-2.0
// What finetune_causal can train on: texts and answers, of which tokens are predicted, and choices. Each has
// examples, an objective, an evaluation, and a file of predictions.
#pragma once

#include "causal_data.hpp"
#include "result_files.hpp"
#include "text_objective.hpp"
#include "training_run.hpp"
#include <pocketllm/pocketllm.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace examples {

/// Every token of texts, or of answers to questions.
class TextTask {
public:
  using Objective = TextObjective;

  TextTask(CausalOptions const& o, Tokenizer const& tokenizer, std::size_t max_tokens)
      : o_(o), tokenizer_(tokenizer), max_tokens_(max_tokens), template_(unescape(o.prompt)),
        form_(tokenizer) {
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
      }
    } else {
      test_ = read(o.test_data);
    }
    if (answers_) {
      form_.add(train);
      form_.add(test_.examples);
    }
    if (o.loss != "cross-entropy") {
      objective = Objective({form_, pl::train::answer_score(o.loss)});
    }
  }

  Objective objective;
  std::vector<Objective::Example> train;

  [[nodiscard]] std::vector<Objective::Example> const& test() const noexcept { return test_.examples; }
  [[nodiscard]] std::string describe() const {
    if (!answers_) {
      return "";
    }
    std::size_t const written = to_answer().size(), all = test_.examples.size();
    return pl::concat("prompt   ", o_.prompt, " + ", o_.answer, "  (the answer is predicted)\n",
                      written == 0 ? ""
                                   : pl::concat("answers  ", written < all ? "the first " : "all ", written,
                                                " questions of the test are answered, in at most ",
                                                form_.max_tokens(), " tokens each\n"));
  }
  [[nodiscard]] pl::train::MetricsLog::Of figures() const {
    using Of = pl::train::MetricsLog::Of;
    return to_answer().empty() ? Of::predictions : Of::answers;
  }

  /// What a sample continues: --prompt, or the first question of the test.
  [[nodiscard]] std::vector<std::int32_t> sample_prompt() const {
    if (answers_ && o_.prompt_for_sample.empty()) {
      auto const question = form_.question(test_.examples.front());
      return {question.begin(), question.end()};
    }
    return tokenizer_.encode_framed(unescape(o_.prompt_for_sample));
  }

  template <class Model, class P>
  Score evaluate(Model const& model, pl::Runtime& runtime, P const& perturbation) {
    last_ = pl::train::evaluate_tokens(model, std::span<pl::train::NextTokenExample const>(test_.examples),
                                       o_.evaluation_batch, runtime, perturbation);
    Score score{.loss = last_.loss,
                .words = pl::concat("perplexity ", pl::train::fixed(last_.perplexity(), 1), "  loss ",
                                    pl::train::fixed(last_.loss, 3))};
    if (auto const questions = to_answer(); !questions.empty()) {
      written_ = pl::train::evaluate_answers(model, form_, questions, runtime);
      score.exact_match = written_.mean.exact;
      score.answer_f1 = written_.mean.f1;
      score.words = pl::concat("exact match ", percent(written_.mean.exact), "  F1 ",
                               percent(written_.mean.f1), "  ", score.words);
    }
    return score;
  }

  /// A line of JSON for each text: ln of its probability, how many tokens that is of, and the text; of a
  /// question that was answered the expected answer, the generated one, and how they match.
  void write_predictions(std::filesystem::path const& path) const {
    std::vector<nlohmann::ordered_json> lines;
    for (std::size_t i = 0; i < test_.examples.size(); ++i) {
      auto& line = lines.emplace_back();
      line["log_probability"] = last_.log_probabilities[i];
      line["tokens"] = last_.tokens[i];
      if (i < written_.written.size()) {
        line["expected"] = written_.expected[i];
        line["generated"] = written_.written[i];
        line["exact_match"] = written_.matches[i].exact;
        line["f1"] = written_.matches[i].f1;
      }
      line["fields"] = test_.shown[i];
    }
    write_json_lines(path, lines);
  }
  [[nodiscard]] std::string table() const { return {}; }

  /// For the header of a journal.
  [[nodiscard]] pl::io::Json describe_objective() const {
    pl::io::Json json{{"name", answers_ ? "answer" : "text"},
                      {"template", o_.prompt},
                      {"answer", o_.answer},
                      {"max_tokens", max_tokens_},
                      {"overlap", o_.overlap}};
    if (objective.writes()) {
      json["loss"] = o_.loss;
      json["answer_tokens"] = form_.max_tokens();
    }
    return json;
  }
  void add_examples(pl::train::ExamplesDigest& digest) const {
    for (Objective::Example const& example : train) {
      digest.add(example.ids);
      digest.add(example.first);
    }
  }

private:
  struct Texts {
    std::vector<pl::train::NextTokenExample> examples;
    std::vector<nlohmann::ordered_json> shown;
  };

  /// The questions of the test that an evaluation answers.
  [[nodiscard]] std::span<pl::train::NextTokenExample const> to_answer() const {
    std::size_t const most = answers_ ? static_cast<std::size_t>(o_.write_answers) : 0;
    return std::span(test_.examples).first(std::min(most, test_.examples.size()));
  }

  [[nodiscard]] Texts read(std::filesystem::path const& file) const {
    Texts texts;
    auto const add = [&](pl::train::NextTokenExample example, nlohmann::ordered_json shown) {
      if (example.ids.size() >= static_cast<std::size_t>(o_.min_tokens)) {
        texts.examples.push_back(std::move(example));
        texts.shown.push_back(std::move(shown));
      }
    };
    if (is_plain_text(file)) {
      pl::require(!answers_ && o_.where.empty(), file.string(),
                  ": is one text; --answer and --where need a table, .tsv, .csv or .jsonl");
      pl::train::CausalText const windows(tokenizer_, max_tokens_, static_cast<std::size_t>(o_.overlap));
      for (auto& window : windows.windows(pl::text::read_whole_file(file))) {
        std::string text = tokenizer_.decode(window.ids, true);
        add(std::move(window), {{"text", std::move(text)}});
      }
    } else {
      pl::train::CausalText const whole(tokenizer_, max_tokens_);
      pl::text::PromptTemplate const form(template_, pl::text::MaskSlot::optional);
      pl::text::require_no_mask(form, template_);
      pl::text::Dataset const data = read_rows(o_, file);
      for (pl::text::Example const& row : data.examples) {
        auto const fields = fields_of(data, row);
        nlohmann::ordered_json shown;
        for (std::size_t f = 0; f < row.fields.size(); ++f) {
          shown[data.field_names[f]] = row.fields[f];
        }
        add(answers_ ? answers_->encode(fields) : whole.encode(form.fill(fields)), std::move(shown));
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
  pl::train::AnswerForm<Tokenizer> form_;
  Texts test_;
  pl::train::TokenEvaluation last_;
  pl::train::AnswerEvaluation written_;
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
    pl::require(o.where.empty(), "--where is for texts and answers; with --label-words the labels choose");
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

  [[nodiscard]] std::vector<Objective::Example> const& test() const noexcept { return test_; }
  [[nodiscard]] std::string describe() const {
    std::string text = "prompt   " + o_.prompt + "  (";
    for (std::size_t i = 0; i < labels_.names.size(); ++i) {
      text += pl::concat(i == 0 ? "" : ", ", labels_.names[i], " = ", labels_.words[i]);
    }
    return text + ")\n";
  }
  [[nodiscard]] pl::train::MetricsLog::Of figures() const { return pl::train::MetricsLog::Of::predictions; }
  [[nodiscard]] std::vector<std::int32_t> sample_prompt() const {
    return o_.prompt_for_sample.empty() ? test_.front().ids
                                        : tokenizer_.encode_framed(unescape(o_.prompt_for_sample));
  }

  template <class Model, class P>
  Score evaluate(Model const& model, pl::Runtime& runtime, P const& perturbation) {
    last_ = pl::train::evaluate(objective, model, std::span<Objective::Example const>(test_),
                                o_.evaluation_batch, runtime, perturbation);
    return score_of(last_, objective.classes());
  }

  /// As finetune_classifier's; a score is the mean of ln p over the candidate's tokens.
  void write_predictions(std::filesystem::path const& path) const {
    examples::write_predictions(path, test_data_, last_);
  }
  [[nodiscard]] std::string table() const {
    auto const metrics = pl::train::compute_metrics(last_.labels, last_.predictions, objective.classes());
    return "\n" + pl::train::confusion_table(metrics, labels_.names) + "\n";
  }

  /// For the header of a journal.
  [[nodiscard]] pl::io::Json describe_objective() const {
    return {{"name", "candidates"}, {"template", o_.prompt}, {"candidates", o_.label_words}};
  }
  void add_examples(pl::train::ExamplesDigest& digest) const {
    for (Objective::Example const& example : train) {
      digest.add(example.ids);
      digest.add(example.label);
    }
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
