// SPDX-License-Identifier: Apache-2.0
// The command line of finetune_causal: that of finetune_classifier where both do the same.
#pragma once

#include "classifier_options.hpp"

#include <CLI/CLI.hpp>

#include <cstdint>
#include <string>

namespace examples {

struct CausalOptions : ClassifierOptions {
  std::string answer;               ///< template; with it, only answers are predicted
  std::int64_t write_answers = 100; ///< to so many of the test's questions
  std::string where;                ///< COLUMN=VALUE of the rows to use
  std::int64_t train_size = 0;      ///< 0: all that is left
  std::int64_t min_tokens = 2;      ///< shorter texts are left out
  std::int64_t overlap = 0;         ///< of the windows over a text file
  std::int64_t norm_steps = 0;
  double norm_rate = 0.0; ///< 0: by the model's width
  bool norm_steps_given = false;
  bool merge = false;              ///< write the whole model, the adapter in its weights
  std::string prompt_for_sample;   ///< empty: the tokenizer's beginning of a text
  std::int64_t sample_tokens = 30; ///< 0: no sample
  double temperature = 0.8;

  CausalOptions() {
    prompt = "{text}";
    test_size = 400;
  }
};

namespace detail {

inline void add_causal_data(CLI::App& app, CausalOptions& o) {
  app.option_defaults()->group("Model and data");
  app.add_option("--model", o.model, "Directory of an OPT: config.json, model.safetensors, tokenizer files")
      ->required()
      ->type_name("DIR");
  app.add_option("--data", o.data,
                 "A text (.txt or .md), cut into windows; or a table, .tsv or .csv with a header or .jsonl, "
                 "of a text in each row")
      ->required()
      ->type_name("FILE");
  app.add_option("--test-data", o.test_data, "Texts to test on; without it some of --data are held out")
      ->type_name("FILE");
  app.add_option("--where", o.where, "Use only rows with this value, as in Label=ham")
      ->type_name("COLUMN=VALUE");
  app.add_option("--text-column", o.text_columns,
                 "Column with the text. Several may be given; each is a field of the templates by its name, "
                 "a single one is {text} as well (default: text)")
      ->type_name("NAME");
  app.add_option("--template", o.prompt, "What the model reads: columns in braces, \\n for a line end")
      ->capture_default_str()
      ->type_name("TEXT");
  app.add_option("--answer", o.answer,
                 "Train on answers to questions: this, a template too, follows --template, and only its "
                 "tokens are predicted")
      ->type_name("TEXT");
  app.add_option("--label-column", o.label_column, "Column with the label, for --label-words")
      ->capture_default_str()
      ->type_name("NAME");
  app.add_option("--label-words", o.label_words,
                 "Train a classifier: what follows --template for each label, as in "
                 "ham=personal,spam=commercial; words or texts of several tokens")
      ->delimiter(',')
      ->type_name("LABEL=TEXT,...");
  app.add_option("--k-shot", o.k_shot,
                 "With --label-words: examples of each class to train on (default: all)")
      ->check(whole_number(1, most_examples))
      ->type_name("N");
  app.add_option("--test-size", o.test_size,
                 "Texts to hold out when there is no --test-data; with --label-words as many of each class")
      ->check(whole_number(1, most_examples))
      ->capture_default_str()
      ->type_name("N");
  app.add_option("--train-size", o.train_size,
                 "Without --label-words: texts to train on (default: all others)")
      ->check(whole_number(1, most_examples))
      ->type_name("N");
  app.add_option("--max-tokens", o.max_tokens, "Texts are cut to this, or windows have so many tokens")
      ->check(whole_number(2, 1'000'000))
      ->capture_default_str()
      ->type_name("N");
  app.add_option("--min-tokens", o.min_tokens, "Shorter texts are left out")
      ->check(whole_number(2, 1'000'000))
      ->capture_default_str()
      ->type_name("N");
  app.add_option("--overlap", o.overlap, "Tokens that a window reads again of the one before")
      ->check(whole_number(0, 1'000'000))
      ->capture_default_str()
      ->type_name("N");
}

inline void add_loss(CLI::App& app, CausalOptions& o) {
  app.option_defaults()->group("Training");
  app.add_option("--loss", o.loss,
                 "What --steps make small: cross-entropy of the tokens, or with --answer what has no "
                 "gradient, the misses in exact-match or answer-f1 of the answers that the model writes to "
                 "the questions of a batch (with a larger --epsilon and --batch). Writing costs up to a "
                 "forward pass for each token of the longest answer")
      ->check(one_of({"cross-entropy", "exact-match", "answer-f1"}))
      ->capture_default_str()
      ->type_name("KIND");
}

inline void add_norm(CLI::App& app, CausalOptions& o) {
  app.option_defaults()->group("Training");
  app.add_option(
         "--norm-steps", o.norm_steps,
         "Before --steps (which may be 0), train the last LayerNorm alone by so many steps of Adam: its "
         "slope follows exactly from what a forward pass has, and what is below is computed once for "
         "each text. 300 are enough for short texts of one kind. Not in a journal")
      ->check(whole_number(0, 1'000'000))
      ->capture_default_str()
      ->type_name("N");
  app.add_option("--norm-rate", o.norm_rate,
                 "Learning rate of the first of them, from which it falls to zero (default: 8 / the model's "
                 "width)")
      ->check(number(false))
      ->type_name("RATE");
}

inline void add_adapter(CLI::App& app, CausalOptions& o) {
  app.option_defaults()->group("Training");
  app.add_option("--adapter", o.adapter,
                 "none trains the model's weights, lora terms of low rank beside them, prefix the keys and "
                 "values of some tokens in front. Try --learning-rate 1e-3 for lora, --epsilon 1e-1 "
                 "--learning-rate 1e-2 for a prefix")
      ->check(one_of({"none", "lora", "prefix"}))
      ->capture_default_str()
      ->type_name("KIND");
  add_lora_terms(app, o.lora);
  app.add_flag("--merge", o.merge,
               "With --adapter lora: --out gets the whole model, the terms in its weights");
  add_prefix(app, o);
}

inline void add_sample(CLI::App& app, CausalOptions& o) {
  app.option_defaults()->group("Results");
  app.add_option("--write-answers", o.write_answers,
                 "With --answer: an evaluation also lets the model write answers, to the first N questions "
                 "of the test, and compares them by exact match and F1 over words, as SQuAD does. They come "
                 "token by token, so take fewer for a large model with --eval-every; 0 for none")
      ->check(whole_number(0, most_examples))
      ->capture_default_str()
      ->type_name("N");
  app.add_option("--prompt", o.prompt_for_sample, "What the sample before and after the training continues")
      ->type_name("TEXT");
  app.add_option("--sample-tokens", o.sample_tokens, "Tokens of the sample; 0 for none")
      ->check(whole_number(0, 100'000))
      ->capture_default_str()
      ->type_name("N");
  app.add_option("--temperature", o.temperature, "How freely the sample is drawn; 0 for the likeliest tokens")
      ->check(number(true))
      ->capture_default_str()
      ->type_name("T");
}

} // namespace detail

/// Reads the command line, as parse() for ClassifierOptions does.
inline bool parse(int argc, char** argv, CausalOptions& options, int& status) {
  CLI::App app("Fine-tunes a causal language model (OPT) on texts of one's own by forward passes\n"
               "alone (MeZO): on plain text, on answers to questions (--answer), or to choose\n"
               "among candidates (--label-words).\n\n"
               "  finetune_causal --model opt-1.3b --storage f16 --data notes.txt --out mine\n"
               "  finetune_causal --model opt-1.3b --storage f16 --data pairs.jsonl \\\n"
               "    --text-column question --text-column answer \\\n"
               "    --template 'Question: {question}\\nAnswer:' --answer ' {answer}'\n\n"
               "Ctrl-C ends the training after the step under way, and writes what there is.",
               "finetune_causal");
  app.formatter_fn(help_text);
  app.set_help_flag();
  app.option_defaults()->take_last();
  detail::add_causal_data(app, options);
  detail::add_training(app, options);
  detail::add_loss(app, options);
  detail::add_norm(app, options);
  add_method(app, options.method);
  detail::add_adapter(app, options);
  detail::add_machine(app, options, true);
  detail::add_results(app, options);
  detail::add_sample(app, options);
  add_phone(app, options.phone);
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
  options.norm_steps_given = app.count("--norm-steps") != 0;
  return true;
}

} // namespace examples
