// SPDX-License-Identifier: Apache-2.0
// The command line of finetune_classifier.
#pragma once

#include <pocketllm/optimize/schedule.hpp>

#include <CLI/CLI.hpp>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace examples {

struct ClassifierOptions {
  std::filesystem::path model, data, test_data;
  std::vector<std::string> text_columns{"text"};
  std::string label_column = "label";
  std::string prompt = "{text} It was {mask}.";
  std::vector<std::string> label_words;
  std::int64_t k_shot = 0; ///< 0: all
  std::int64_t test_size = 600;
  std::int64_t steps = 1000;
  std::int64_t batch = 16;
  std::int64_t eval_every = 0; ///< 0: before and after
  std::int64_t warm_up = 0;
  std::int64_t threads = 0;
  std::int64_t max_tokens = 128;
  double epsilon = 1e-3;
  double learning_rate = 1e-6;
  double weight_decay = 0.0;
  std::string schedule = "constant";
  std::string perturbation = "gaussian";
  std::uint64_t seed = 0;
  std::string train = "*";
  std::string storage = "f32";
  bool group_by_length = false;
  std::filesystem::path out, metrics, plot, predictions;
};

namespace detail {

inline void add_data(CLI::App& app, ClassifierOptions& o) {
  app.add_option("--model", o.model,
                 "Directory of the model: config.json, model.safetensors, tokenizer files")
      ->required()
      ->group("Model and data");
  app.add_option("--data", o.data, "Labelled texts: .tsv or .csv with a header, or .jsonl")
      ->required()
      ->group("Model and data");
  app.add_option("--test-data", o.test_data, "Texts to test on; without it some of --data are held out")
      ->group("Model and data");
  app.add_option("--text-column", o.text_columns,
                 "Column with the text; several may be given, each by its name a field of "
                 "the template (a single one is {text} as well)")
      ->capture_default_str()
      ->group("Model and data");
  app.add_option("--label-column", o.label_column, "Column with the label")
      ->capture_default_str()
      ->group("Model and data");
  app.add_option("--template", o.prompt,
                 "The prompt: fields in braces, and {mask} where the label word belongs")
      ->capture_default_str()
      ->group("Model and data");
  app.add_option("--label-words", o.label_words,
                 "A word for each label, e.g. spam=commercial,ham=personal; each must be a "
                 "single token of the model")
      ->required()
      ->delimiter(',')
      ->group("Model and data");
  app.add_option("--k-shot", o.k_shot,
                 "Examples of each class to train on, chosen by the seed (default: all)")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 40))
      ->group("Model and data");
  app.add_option("--test-size", o.test_size,
                 "Examples to hold out when there is no --test-data, the same number of each class")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 40))
      ->capture_default_str()
      ->group("Model and data");
  app.add_option("--max-tokens", o.max_tokens, "Longer texts are cut; the prompt never is")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 20))
      ->capture_default_str()
      ->group("Model and data");
}

inline void add_training(CLI::App& app, ClassifierOptions& o) {
  app.add_option("--steps", o.steps, "Steps of two forward passes each; 0 only evaluates")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1} << 40))
      ->capture_default_str()
      ->group("Training");
  app.add_option("--batch", o.batch, "Examples in a step")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 20))
      ->capture_default_str()
      ->group("Training");
  app.add_option("--learning-rate", o.learning_rate,
                 "1e-6 suits a large model, 1e-4 a tiny one; too large and the loss grows")
      ->check(CLI::PositiveNumber)
      ->capture_default_str()
      ->group("Training");
  app.add_option("--epsilon", o.epsilon, "How far from the weights the loss is evaluated")
      ->check(CLI::PositiveNumber)
      ->capture_default_str()
      ->group("Training");
  app.add_option("--schedule", o.schedule, "How the learning rate falls: constant, linear or cosine")
      ->check(CLI::IsMember({"constant", "linear", "cosine"}))
      ->capture_default_str()
      ->group("Training");
  app.add_option("--warm-up", o.warm_up, "Steps in which the learning rate rises")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1} << 40))
      ->capture_default_str()
      ->group("Training");
  app.add_option("--weight-decay", o.weight_decay, "On matrices; none on biases and LayerNorm")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str()
      ->group("Training");
  app.add_option("--perturbation", o.perturbation,
                 "Random directions: gaussian, or rademacher (signs; cheaper)")
      ->check(CLI::IsMember({"gaussian", "rademacher"}))
      ->capture_default_str()
      ->group("Training");
  app.add_option("--train", o.train,
                 "Tensors to train, by name with * and ?, commas between patterns, e.g. "
                 "\"*.layer.3.*,lm_head.*\"")
      ->capture_default_str()
      ->group("Training");
  app.add_option("--seed", o.seed,
                 "Of directions, batches and the choice of examples; the same seed, the same run")
      ->capture_default_str()
      ->group("Training");
  app.add_flag("--group-by-length", o.group_by_length,
               "Batches of texts of similar length: more even steps, less mixed batches")
      ->group("Training");
}

inline void add_machine(CLI::App& app, ClassifierOptions& o) {
  app.add_option("--storage", o.storage, "Weights in memory and in --out: f32, f16 or bf16 (half the memory)")
      ->check(CLI::IsMember({"f32", "f16", "bf16"}))
      ->capture_default_str()
      ->group("Machine");
  app.add_option("--threads", o.threads, "0 for as many as the machine has")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1024}))
      ->capture_default_str()
      ->group("Machine");
}

inline void add_results(CLI::App& app, ClassifierOptions& o) {
  app.add_option("--out", o.out, "Directory for the fine-tuned model, which `transformers` loads too")
      ->group("Results");
  app.add_option("--metrics", o.metrics, "File for the figures of each step, .csv or .jsonl")
      ->group("Results");
  app.add_option("--plot", o.plot, "File for the curves of loss and accuracy, .svg")->group("Results");
  app.add_option("--predictions", o.predictions,
                 "File for a JSON line per test example: label, predicted label, score of each class")
      ->group("Results");
  app.add_option("--eval-every", o.eval_every,
                 "Evaluate on the test examples after so many steps (default: before and after)")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 40))
      ->group("Results");
}

} // namespace detail

/// Reads the command line. Returns no value but an exit status in `status` when there is nothing to do
/// (--help) or something is wrong, which is then said in one line.
inline bool parse(int argc, char** argv, ClassifierOptions& options, int& status) {
  CLI::App app(
      "Fine-tunes a masked language model (RoBERTa) as a text classifier by forward passes alone (MeZO).\n"
      "The label words' scores in the place of {mask} are the scores of the classes.\n\n"
      "  finetune_classifier --model roberta-large --data sms.tsv --text-column SMS --label-column Label \\\n"
      "    --template 'This is a {mask} message: {text}' --label-words ham=personal,spam=commercial --out "
      "mine\n",
      "finetune_classifier");
  detail::add_data(app, options);
  detail::add_training(app, options);
  detail::add_machine(app, options);
  detail::add_results(app, options);
  app.failure_message([](CLI::App const* self, CLI::Error const& error) {
    return self->get_name() + ": " + error.what() + " (--help tells more)\n";
  });
  try {
    app.parse(argc, argv);
  } catch (CLI::ParseError const& error) {
    status = app.exit(error) == 0 ? 0 : 2;
    return false;
  }
  return true;
}

} // namespace examples
