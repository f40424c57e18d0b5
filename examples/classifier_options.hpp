// SPDX-License-Identifier: Apache-2.0
// The command line of finetune_classifier.
#pragma once

#include "activations.hpp"
#include "command_line.hpp"
#include "help_text.hpp"
#include "lora_options.hpp"
#include "method_options.hpp"
#include "phone_options.hpp"
#include "run_journal.hpp"

#include <CLI/CLI.hpp>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

namespace examples {

struct ClassifierOptions {
  std::filesystem::path model, data, test_data;
  std::vector<std::string> text_columns{"text"};
  std::string label_column = "label";
  std::string prompt = "{text} It was {mask}.";
  std::vector<std::string> label_words;
  std::string pooling = "mean", head_start = "means";
  std::int64_t head_steps = 3000;
  double head_rate = 1e-3, head_decay = 0.2;
  std::int64_t k_shot = 0; ///< 0: all
  std::int64_t test_size = 600;
  std::int64_t steps = 1000;
  std::int64_t batch = 16;
  std::int64_t micro_batches = 1;
  std::int64_t eval_every = 0; ///< 0: before and after
  std::int64_t warm_up = 0;
  std::int64_t threads = 0;
  std::int64_t max_tokens = 128;
  std::string schedule = "constant";
  std::string loss = "cross-entropy";
  std::uint64_t seed = 0;
  std::string train = "*";
  std::string storage = "f32", activations = "f32";
  std::int64_t cache = 256; ///< MB
  std::string adapter = "none";
  std::int64_t prefix_tokens = 5;    ///< as in MeZO
  std::filesystem::path prefix_from; ///< empty: real tokens
  LoraChoice lora;
  bool steps_given = false, head_steps_given = false, storage_given = false;
  bool group_by_length = false;
  std::filesystem::path cache_dir, out, metrics, plot, predictions;
  MethodOptions method;
  JournalOptions journal;
  PhoneOptions phone;
  // not of the command line, but of what a --memory-budget allows
  std::size_t evaluation_batch = 32; ///< texts at once; more only costs memory
  std::size_t activation_bytes = 0;  ///< 0: not known
  std::string memory_note;           ///< what was chosen, as a line of output; empty: nothing
};

namespace detail {

// Above any use, so that a slip of the keyboard is noticed.
inline constexpr std::int64_t most_steps = 1'000'000'000'000;
inline constexpr std::int64_t most_examples = 1'000'000'000;

inline void add_data(CLI::App& app, ClassifierOptions& o) {
  app.option_defaults()->group("Model and data");
  app.add_option("--model", o.model,
                 "Directory of a BERT, RoBERTa or OPT: config.json, model.safetensors, tokenizer files")
      ->required()
      ->type_name("DIR");
  app.add_option("--data", o.data, "Labelled texts: .tsv or .csv with a header, or .jsonl")
      ->required()
      ->type_name("FILE");
  app.add_option("--test-data", o.test_data, "Texts to test on; without it some of --data are held out")
      ->type_name("FILE");
  app.add_option("--text-column", o.text_columns,
                 "Column with the text. Several may be given; each is a field of the template by its name, "
                 "a single one is {text} as well (default: text)")
      ->type_name("NAME");
  app.add_option("--label-column", o.label_column, "Column with the label")
      ->capture_default_str()
      ->type_name("NAME");
  app.add_option("--template", o.prompt, "The prompt: {mask} where the label word belongs, columns in braces")
      ->capture_default_str()
      ->type_name("TEXT");
  app.add_option("--label-words", o.label_words,
                 "A word for each label, as in ham=personal,spam=commercial; each must be a single token of "
                 "the model. Without them a classification head is trained, for the labels of the data")
      ->delimiter(',')
      ->type_name("LABEL=WORD,...");
  app.add_option("--k-shot", o.k_shot, "Examples of each class to train on (default: all)")
      ->check(whole_number(1, most_examples))
      ->type_name("N");
  app.add_option("--test-size", o.test_size,
                 "Examples to hold out when there is no --test-data, as many of each class")
      ->check(whole_number(1, most_examples))
      ->capture_default_str()
      ->type_name("N");
  app.add_option("--max-tokens", o.max_tokens, "Texts are cut until the prompt is no longer than this")
      ->check(whole_number(1, 1'000'000))
      ->capture_default_str()
      ->type_name("N");
}

inline void add_head(CLI::App& app, ClassifierOptions& o) {
  app.option_defaults()->group("Classification head, without --label-words");
  app.add_option("--pooling", o.pooling,
                 "What a new head sees: the mean of the tokens, or the first one, \"cls\", through the "
                 "model's pooler")
      ->check(one_of({"mean", "cls"}))
      ->capture_default_str()
      ->type_name("KIND");
  app.add_option("--head-start", o.head_start, "Where a new head starts: at the class means, or at zero")
      ->check(one_of({"means", "zero"}))
      ->capture_default_str()
      ->type_name("WHAT");
  app.add_option("--head-steps", o.head_steps,
                 "Steps of a new head alone, before --steps: the texts are read only once for all of them")
      ->check(whole_number(0, most_steps))
      ->capture_default_str()
      ->type_name("N");
  app.add_option("--head-rate", o.head_rate, "Their learning rate, which falls linearly")
      ->check(number(false))
      ->capture_default_str()
      ->type_name("RATE");
  app.add_option("--head-decay", o.head_decay,
                 "Their weight decay: more for fewer examples, or where the classes are hard to tell apart")
      ->check(number(true))
      ->capture_default_str()
      ->type_name("X");
}

inline void add_training(CLI::App& app, ClassifierOptions& o) {
  app.option_defaults()->group("Training");
  app.add_option("--steps", o.steps,
                 "Steps, each of as many forward passes as it has points; 0 only evaluates")
      ->check(whole_number(0, most_steps))
      ->capture_default_str()
      ->type_name("N");
  app.add_option("--batch", o.batch, "Examples in a batch")
      ->check(whole_number(1, 1'000'000))
      ->capture_default_str()
      ->type_name("N");
  app.add_option("--micro-batches", o.micro_batches, "Batches in a step; its losses are their means")
      ->check(whole_number(1, 1'000'000))
      ->capture_default_str()
      ->type_name("N");
  app.add_option("--schedule", o.schedule,
                 "How the learning rate falls: constant, linear or cosine (default: linear where the rate is "
                 "auto and with --method fzoo, lozo and auto; else constant)")
      ->check(one_of({"constant", "linear", "cosine"}))
      ->type_name("SHAPE");
  app.add_option("--warm-up", o.warm_up, "Steps in which the learning rate rises")
      ->check(whole_number(0, most_steps))
      ->capture_default_str()
      ->type_name("N");
  app.add_option("--train", o.train,
                 "Tensors to train, by name with * and ?, commas between patterns, as in "
                 "\"*.layer.3.*,lm_head.*\"")
      ->capture_default_str()
      ->type_name("GLOB");
  app.add_option("--seed", o.seed,
                 "Of directions, batches and the choice of examples: the same seed, the same run")
      ->check(whole_number(0, std::numeric_limits<std::int64_t>::max()))
      ->capture_default_str()
      ->type_name("N");
  app.add_flag("--group-by-length", o.group_by_length,
               "Batches of texts of similar length: of more even size, but less mixed");
}

inline void add_machine(CLI::App& app, ClassifierOptions& o, bool adapters = false) {
  app.option_defaults()->group("Machine");
  std::vector<std::string> storages{"f32", "f16", "bf16"};
  std::string text = "Weights in memory and in --out: f32, or f16 or bf16 in half the memory";
  if (adapters) {
    storages.insert(storages.end(), {"i8", "i4"});
    text += "; under an --adapter i8 or i4 too, in a quarter and a seventh";
  }
  app.add_option("--storage", o.storage, text)
      ->check(one_of(storages))
      ->capture_default_str()
      ->type_name("TYPE");
  if (adapters) {
    add_activations(app, o.activations);
  }
  app.add_option("--cache", o.cache,
                 "Memory for what layers below the lowest trained one make of each text, in MB")
      ->check(whole_number(0, std::numeric_limits<std::int32_t>::max()))
      ->capture_default_str()
      ->type_name("MB");
  app.add_option("--cache-dir", o.cache_dir,
                 "Keep that in a file in DIR, gone at the end, of which memory holds what it has room for")
      ->type_name("DIR");
  app.add_option("--threads", o.threads, "0 for as many as the machine has")
      ->check(whole_number(0, 1024)) // the limit of ThreadPool
      ->capture_default_str()
      ->type_name("N");
}

inline void add_prefix(CLI::App& app, ClassifierOptions& o) {
  app.add_option("--prefix-tokens", o.prefix_tokens, "Tokens of the prefix")
      ->check(whole_number(1, 10'000))
      ->capture_default_str()
      ->type_name("N");
  app.add_option("--prefix-from", o.prefix_from,
                 "Begin with the prefix in DIR, the --out of such a run (default: with the first tokens of "
                 "the texts)")
      ->type_name("DIR");
}

inline void add_adapter(CLI::App& app, ClassifierOptions& o) {
  app.option_defaults()->group("Training");
  app.add_option("--adapter", o.adapter,
                 "none trains the model's weights, lora terms of low rank beside them (and the head, where "
                 "there is one), which --out has in its weights, prefix, with --label-words, the keys and "
                 "values of some tokens in front, which are all that --out has. Try --epsilon 1e-1 "
                 "for a prefix")
      ->check(one_of({"none", "lora", "prefix"}))
      ->capture_default_str()
      ->type_name("KIND");
  add_lora_terms(app, o.lora);
  add_prefix(app, o);
}

inline void add_results(CLI::App& app, ClassifierOptions& o,
                        std::string const& predictions =
                            "A JSON line per test example: label, predicted label, score of each class") {
  app.option_defaults()->group("Results");
  app.add_option("--out", o.out, "Directory for the fine-tuned model, which `transformers` loads too")
      ->type_name("DIR");
  app.add_option("--metrics", o.metrics, "The figures of each step, .csv or .jsonl")->type_name("FILE");
  app.add_option("--plot", o.plot, "The curves of loss and accuracy, .svg")->type_name("FILE");
  app.add_option("--predictions", o.predictions, predictions)->type_name("FILE");
  app.add_option("--eval-every", o.eval_every,
                 "Also evaluate on the test examples after every N steps (default: before and after)")
      ->check(whole_number(1, most_steps))
      ->type_name("N");
}

} // namespace detail

/// Reads the command line; of an option given twice the last one counts. Returns false with an exit status in
/// `status` when there is nothing to do (--help) or something is wrong, which is then said in one line.
inline bool parse(int argc, char** argv, ClassifierOptions& options, int& status) {
  CLI::App app("Fine-tunes a language model (BERT, RoBERTa) as a text classifier by forward\n"
               "passes alone (MeZO). A class's score is that of its label word in the place of\n"
               "{mask}; without label words, that of a head on the encoder, for models that have\n"
               "no masked-language-model head.\n\n"
               "  finetune_classifier --model roberta-large --data sms.tsv \\\n"
               "    --text-column SMS --label-column Label \\\n"
               "    --template 'This is a {mask} message: {text}' \\\n"
               "    --label-words ham=personal,spam=commercial --out mine\n\n"
               "  finetune_classifier --model all-MiniLM-L6-v2 --data sms.tsv \\\n"
               "    --text-column SMS --label-column Label --steps 0 --out mine\n\n"
               "Ctrl-C ends the training after the step under way, and writes what there is.",
               "finetune_classifier");
  app.formatter_fn(help_text);
  app.set_help_flag();
  app.option_defaults()->take_last();
  detail::add_data(app, options);
  detail::add_head(app, options);
  detail::add_training(app, options);
  app.add_option("--loss", options.loss,
                 "What --steps make small: cross-entropy, or what has no gradient, the errors in accuracy or "
                 "macro-f1 of a batch (with a larger --epsilon and --batch)")
      ->check(one_of({"cross-entropy", "accuracy", "macro-f1"}))
      ->capture_default_str()
      ->type_name("KIND");
  detail::add_adapter(app, options);
  add_method(app, options.method);
  detail::add_machine(app, options);
  add_phone(app, options.phone);
  detail::add_results(app, options);
  add_journal(app, options.journal);
  app.set_help_flag("-h,--help", "Print this and exit"); // here, to be listed at the end
  app.get_option("--text-column")->take_all();
  app.get_option("--label-words")->take_all();
  if (!parse_or_explain(app, argc, argv, status)) {
    return false;
  }
  use_preset(app, options.method, options.schedule);
  options.storage_given = app.count("--storage") != 0;
  options.steps_given = app.count("--steps") != 0;
  options.head_steps_given = app.count("--head-steps") != 0;
  return true;
}

} // namespace examples
