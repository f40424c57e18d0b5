// SPDX-License-Identifier: Apache-2.0
// Turns texts into embeddings, or compares two: embed --help
#include "command_line.hpp"
#include "help_text.hpp"
#include "sentence_encoder.hpp"

#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

namespace pl = pocketllm;

namespace {

struct Options {
  std::filesystem::path model;
  std::vector<std::string> texts;
  std::int64_t max_tokens = 256, threads = 0;
  bool similarity = false;
};

bool parse(int argc, char** argv, Options& o, int& status) {
  CLI::App app("Prints the embedding of each text: the mean of the tokens of a BERT or RoBERTa, of\n"
               "length 1. Without texts, those of the lines of the standard input.\n\n"
               "  embed --model all-MiniLM-L6-v2 --similarity 'a red apple' 'some fruit'",
               "embed");
  app.formatter_fn(examples::help_text);
  app.set_help_flag();
  app.option_defaults()->group("Options");
  app.add_option("--model", o.model, "Directory of the model")->required()->type_name("DIR");
  app.add_flag("--similarity", o.similarity,
               "Print the cosine of the first text with each of the others instead");
  app.add_option("--max-tokens", o.max_tokens, "Texts are cut to so many tokens")
      ->check(examples::whole_number(3, 1'000'000))
      ->capture_default_str()
      ->type_name("N");
  app.add_option("--threads", o.threads, "0 for as many as the machine has")
      ->check(examples::whole_number(0, 1024)) // the limit of ThreadPool
      ->capture_default_str()
      ->type_name("N");
  app.add_option("texts", o.texts, "The texts")->type_name("TEXT...");
  app.set_help_flag("-h,--help", "Print this and exit");
  return examples::parse_or_explain(app, argc, argv, status);
}

template <class Model>
int run(Options const& o) {
  examples::SentenceEncoder<Model> const encoder(o.model, static_cast<std::size_t>(o.max_tokens));
  pl::Runtime runtime(static_cast<std::size_t>(o.threads));
  std::vector<std::string> texts = o.texts;
  if (texts.empty()) {
    for (std::string line; std::getline(std::cin, line);) {
      texts.push_back(line);
    }
  }
  pl::require(!o.similarity || texts.size() >= 2, "--similarity compares two texts or more");
  std::vector<float> const first = texts.empty() ? std::vector<float>() : encoder(texts.front(), runtime);
  for (std::size_t i = o.similarity ? 1 : 0; i < texts.size(); ++i) {
    std::vector<float> const embedding = encoder(texts[i], runtime);
    if (o.similarity) {
      std::cout << pl::train::fixed(examples::cosine(first, embedding), 4) << '\n';
      continue;
    }
    for (std::size_t k = 0; k < embedding.size(); ++k) {
      std::cout << (k == 0 ? "" : " ") << embedding[k];
    }
    std::cout << '\n';
  }
  return 0;
}

} // namespace

int main(int argc, char** argv) {
  Options options;
  int status = 0;
  if (!parse(argc, argv, options, status)) {
    return status;
  }
  return examples::run_program("embed", "", [&] {
    return examples::is_bert(options.model) ? run<pl::models::Bert<float>>(options)
                                            : run<pl::models::Roberta<float>>(options);
  });
}
