// SPDX-License-Identifier: Apache-2.0
// Personalises a sentence encoder by pairs of texts: finetune_similarity --help
#include "directions.hpp"
#include "encoder_run.hpp"
#include "frozen_layers.hpp"
#include "memory_plan.hpp"
#include "sentence_encoder.hpp"
#include "training_run.hpp"
#include <pocketllm/pocketllm.hpp>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace pl = pocketllm;

namespace {

constexpr char const* program = "finetune_similarity";

struct Options : examples::ClassifierOptions {
  std::vector<std::string> columns{"a", "b"};
  std::string score_column = "score";
  double best_score = 1.0;
};

void add_data(CLI::App& app, Options& o) {
  using examples::number;
  using examples::whole_number;
  app.option_defaults()->group("Model and data");
  app.add_option("--model", o.model, "Directory of a BERT or RoBERTa")->required()->type_name("DIR");
  app.add_option("--data", o.data, "Pairs to train on: .tsv or .csv with a header, or .jsonl")
      ->required()
      ->type_name("FILE");
  app.add_option("--test-data", o.test_data, "Pairs to test on")->required()->type_name("FILE");
  app.add_option("--columns", o.columns, "The columns of the two texts (default: a b)")
      ->expected(2)
      ->type_name("NAME NAME");
  app.add_option("--score-column", o.score_column,
                 "Column with how alike they are: 0, not at all, to --best-score")
      ->capture_default_str()
      ->type_name("NAME");
  app.add_option("--best-score", o.best_score, "The score of texts that mean the same")
      ->check(number(false))
      ->capture_default_str()
      ->type_name("S");
  app.add_option("--max-tokens", o.max_tokens, "Texts are cut to so many tokens")
      ->check(whole_number(3, 1'000'000))
      ->capture_default_str()
      ->type_name("N");
}

bool parse(int argc, char** argv, Options& o, int& status) {
  CLI::App app(
      "Personalises a sentence encoder by forward passes alone: the cosine of two texts'\n"
      "embeddings is to be the score that a pair has. Prints Spearman's rank\n"
      "correlation with the scores, and the accuracy of \"the same or not\" (scores of\n"
      "at least half the best) by a threshold that is chosen on the training pairs.\n\n"
      "  finetune_similarity --model all-MiniLM-L6-v2 --data mine.tsv --test-data other.tsv --out mine\n\n"
      "Ctrl-C ends the training after the step under way, and writes what there is.",
      program);
  app.formatter_fn(examples::help_text);
  app.set_help_flag();
  app.option_defaults()->take_last();
  add_data(app, o);
  examples::detail::add_training(app, o);
  app.add_option(
         "--adapter", o.adapter,
         "none trains the model's weights, lora terms of low rank beside them, which --out has in its "
         "weights")
      ->check(examples::one_of({"none", "lora"}))
      ->capture_default_str()
      ->type_name("KIND");
  examples::add_lora_terms(app, o.lora);
  examples::add_method(app, o.method);
  examples::detail::add_machine(app, o);
  examples::add_phone(app, o.phone);
  examples::detail::add_results(app, o, "A JSON line per test pair: its texts, score and cosine");
  examples::add_journal(app, o.journal);
  app.get_option("--columns")->take_all();
  app.set_help_flag("-h,--help", "Print this and exit"); // here, to be listed at the end
  if (!examples::parse_or_explain(app, argc, argv, status)) {
    return false;
  }
  examples::use_preset(app, o.method, o.schedule);
  o.storage_given = app.count("--storage") != 0;
  return true;
}

using Objective = pl::train::PairSimilarity<pl::text::AnyTokenizer>;

/// Pairs, and their texts.
struct Pairs {
  std::vector<Objective::Example> examples;
  std::vector<std::vector<std::string>> texts;
};

Pairs read_pairs(std::filesystem::path const& path, Options const& o, Objective const& objective) {
  std::vector<std::string> columns = o.columns;
  columns.push_back(o.score_column);
  pl::text::Table table = pl::text::read_table(path, columns, {});
  Pairs pairs;
  for (pl::text::Record& record : table.records) {
    char* end = nullptr;
    std::string const text = record.cells[2];
    double const score = std::strtod(text.c_str(), &end) / o.best_score;
    pl::require(!text.empty() && *end == '\0' && score >= 0.0 && score <= 1.0, table.name, ":", record.line,
                ": score ", pl::text::quote(text), " is not a number from 0 to ", o.best_score,
                " (--best-score)");
    pairs.examples.push_back(objective.encode(record.cells[0], record.cells[1], static_cast<float>(score)));
    pairs.texts.push_back(std::move(record.cells));
  }
  pl::require(pairs.texts.size() >= 2, table.name, ": fewer than two pairs");
  return pairs;
}

/// The scores of pairs, and the cosines that a model gives them.
struct Judged {
  std::vector<float> cosines, scores;
};

template <class Model>
Judged judge(Options const& o, Objective const& objective, Model const& model, Pairs const& pairs,
             pl::Runtime& runtime) {
  Judged judged;
  for (std::size_t first = 0; first < pairs.examples.size(); first += o.evaluation_batch) {
    std::vector<std::size_t> indices(std::min(o.evaluation_batch, pairs.examples.size() - first));
    std::iota(indices.begin(), indices.end(), first);
    auto const batch = objective.batch(pairs.examples, indices);
    for (float const cosine : objective.cosines(model, batch, pl::random::unperturbed(), runtime)) {
      judged.cosines.push_back(cosine);
    }
    judged.scores.insert(judged.scores.end(), batch.scores.begin(), batch.scores.end());
  }
  return judged;
}

double accuracy(Judged const& judged, float threshold) {
  std::size_t right = 0;
  for (std::size_t i = 0; i < judged.scores.size(); ++i) {
    right += (judged.cosines[i] >= threshold) == (judged.scores[i] >= 0.5F) ? 1U : 0U;
  }
  return static_cast<double>(right) / static_cast<double>(judged.scores.size());
}

/// The cosine from which on most training pairs are rightly called the same.
float best_threshold(Judged const& judged) {
  return *std::max_element(judged.cosines.begin(), judged.cosines.end(),
                           [&](float a, float b) { return accuracy(judged, a) < accuracy(judged, b); });
}

double mean_squared_error(Judged const& judged) {
  double sum = 0.0;
  for (std::size_t i = 0; i < judged.scores.size(); ++i) {
    double const difference = static_cast<double>(judged.cosines[i]) - static_cast<double>(judged.scores[i]);
    sum += difference * difference;
  }
  return sum / static_cast<double>(judged.scores.size());
}

examples::Score score_of(Judged const& judged, float threshold) {
  double const right = accuracy(judged, threshold), loss = mean_squared_error(judged);
  double const rho = pl::train::spearman(judged.cosines, judged.scores);
  return {.loss = loss,
          .accuracy = right,
          .words = pl::concat("accuracy ", examples::percent(right), "  Spearman's rho ",
                              pl::train::fixed(rho, 3), "  loss ", pl::train::fixed(loss, 4))};
}

/// Model, objective and pairs.
template <class ModelType>
struct Task {
  using Model = ModelType;
  Model model;
  pl::text::AnyTokenizer tokenizer;
  Objective objective;
  Pairs train, test;
  std::size_t trained;

  Task(Options const& o, examples::Weights weights)
      : model(examples::load_encoder<Model>(o.model, false, weights)),
        tokenizer(pl::text::load_tokenizer(o.model)),
        objective(tokenizer, std::min(static_cast<std::size_t>(o.max_tokens), model.config().max_tokens())),
        train(read_pairs(o.data, o, objective)), test(read_pairs(o.test_data, o, objective)),
        trained(examples::choose_trained(o, model)) {}
  Task(Task const&) = delete; // the objective knows where the tokenizer is
  Task& operator=(Task const&) = delete;

  /// What a journal's header says of model, objective and data.
  [[nodiscard]] pl::train::RunDescription describe(Options const& o) const {
    pl::train::ExamplesDigest digest;
    for (auto const& example : train.examples) {
      digest.add(example.ids);
      digest.add(example.second);
      digest.add(std::bit_cast<std::uint32_t>(example.score));
    }
    return {examples::describe_encoder(o, Model::names.model_type),
            {{"name", examples::pair_objective},
             {"max_tokens", std::min(static_cast<std::size_t>(o.max_tokens), model.config().max_tokens())}},
            {{"digest", digest.text()}, {"examples", train.examples.size()}},
            {{"program", program}, {"model", o.model.string()}, {"data", o.data.string()}}};
  }
};

/// Calls f(std::type_identity<Model>()) with the model of --model in a storage.
template <class F>
auto with_model(Options const& o, std::string const& storage, F&& f) {
  bool const bert = examples::is_bert(o.model);
  return examples::with_storage(storage, [&]<class T>(std::type_identity<T>) {
    using Weights = pl::layers::Lora<T>; // of which all terms are optional
    return bert ? f(std::type_identity<pl::models::Bert<Weights>>())
                : f(std::type_identity<pl::models::Roberta<Weights>>());
  });
}

pl::train::MemoryNeeds needs_in(Options const& o, std::string const& storage) {
  return with_model(o, storage, [&]<class Model>(std::type_identity<Model>) {
    struct Run {
      Task<Model> task;
      examples::Directions directions;
      explicit Run(Options const& options)
          : task(options, examples::Weights::zero), directions(options.method) {}
    };
    auto const run = std::make_shared<Run>(o);
    Task<Model> const& task = run->task;
    return examples::needs_of_run(o, run, task.model, task.objective, run->directions.perturbation(),
                                  task.train.examples, {&task.train.examples, &task.test.examples});
  });
}

void write_predictions(Options const& o, Pairs const& pairs, Judged const& judged) {
  std::vector<nlohmann::ordered_json> lines;
  for (std::size_t i = 0; i < pairs.texts.size(); ++i) {
    lines.push_back({{o.columns[0], pairs.texts[i][0]},
                     {o.columns[1], pairs.texts[i][1]},
                     {"score", o.best_score * static_cast<double>(judged.scores[i])},
                     {"cosine", judged.cosines[i]}});
  }
  examples::write_json_lines(o.predictions, lines);
}

template <class Model>
int run(Options const& o) {
  Task<Model> task(o, examples::Weights::read);
  pl::Runtime runtime(static_cast<std::size_t>(o.threads));
  examples::Directions directions(o.method);
  if (o.steps > 0) { // else nothing is trained
    directions.begin(task.model);
  }
  examples::check_results(o);
  examples::reserve_activations(o.activation_bytes, runtime);
  examples::FrozenLayers frozen(o, task.model, task.objective, task.train.examples, {});
  pl::train::OnFrozenBottom const objective(task.objective, frozen.train());
  Judged last;
  auto const evaluate = [&] {
    float const threshold = best_threshold(judge(o, task.objective, task.model, task.train, runtime));
    last = judge(o, task.objective, task.model, task.test, runtime);
    return score_of(last, threshold);
  };
  examples::TrainingRun training(
      o, program, task.model, objective, directions.perturbation(), task.train.examples, runtime,
      [&] { return task.describe(o); }, evaluate);
  examples::print_model(o, Model::names.title, task.model, task.trained);
  frozen.print(std::cout);
  std::cout << "data     " << task.train.texts.size() << " pairs to train on, " << task.test.texts.size()
            << " to test on" << std::endl;
  training.before();
  training.train([&] {
    pl::layers::merge_lora(task.model, runtime);
    frozen.forget(); // what is trained of the merged model is no matter any more
    pl::io::save(task.model, o.out, {o.model, {}});
  });
  training.after();
  if (!o.predictions.empty()) {
    write_predictions(o, task.test, last);
  }
  training.print_results();
  return training.status();
}

} // namespace

int main(int argc, char** argv) {
  Options options;
  int status = 0;
  if (!parse(argc, argv, options, status)) {
    return status;
  }
  return examples::run_program(program, "try a smaller --batch or --max-tokens, or --storage f16", [&] {
    examples::settle(options.phone, options.threads);
    examples::choose_memory(options, {"f32", "f16"}, "take a model of fewer weights",
                            [&](std::string const& storage) { return needs_in(options, storage); });
    return with_model(options, options.storage,
                      [&]<class Model>(std::type_identity<Model>) { return run<Model>(options); });
  });
}
