// SPDX-License-Identifier: Apache-2.0
// Personalises a sentence encoder by pairs of texts: finetune_similarity --help
#include "command_line.hpp"
#include "help_text.hpp"
#include "memory_plan.hpp"
#include "phone_options.hpp"
#include "sentence_encoder.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <limits>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace pl = pocketllm;

namespace {

struct Options {
  std::filesystem::path model, data, test_data, out;
  std::vector<std::string> columns{"a", "b"};
  std::string score_column = "score", train = "*";
  double best_score = 1.0, learning_rate = 1e-5, epsilon = 1e-3;
  std::string storage = "f32";
  bool storage_given = false;
  std::int64_t steps = 1000, batch = 16, max_tokens = 128, threads = 0, memory_budget = 0;
  std::uint64_t seed = 0;
};

void add_options(CLI::App& app, Options& o) {
  using examples::number;
  using examples::whole_number;
  app.option_defaults()->take_last()->group("Options");
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
  app.add_option("--steps", o.steps, "Steps, each of two forward passes; 0 only evaluates")
      ->check(whole_number(0, 1'000'000'000))
      ->capture_default_str()
      ->type_name("N");
  app.add_option("--batch", o.batch, "Pairs in a step")
      ->check(whole_number(1, 1'000'000))
      ->capture_default_str()
      ->type_name("N");
  app.add_option("--learning-rate", o.learning_rate, "It falls linearly")
      ->check(number(false))
      ->capture_default_str()
      ->type_name("RATE");
  app.add_option("--epsilon", o.epsilon, "How far from the weights the loss is evaluated")
      ->check(number(false))
      ->capture_default_str()
      ->type_name("E");
  app.add_option("--train", o.train, "Tensors to train, by name with * and ?")
      ->capture_default_str()
      ->type_name("GLOB");
  app.add_option("--max-tokens", o.max_tokens, "Texts are cut to so many tokens")
      ->check(whole_number(3, 1'000'000))
      ->capture_default_str()
      ->type_name("N");
  app.add_option("--seed", o.seed, "Of directions and batches")
      ->check(whole_number(0, std::numeric_limits<std::int64_t>::max()))
      ->capture_default_str()
      ->type_name("N");
  app.add_option("--storage", o.storage,
                 "Weights in memory and in --out: f32, or f16 or bf16 in half the memory")
      ->check(examples::one_of({"f32", "f16", "bf16"}))
      ->capture_default_str()
      ->type_name("TYPE");
  examples::add_memory_budget(app, o.memory_budget);
  app.add_option("--threads", o.threads, "0 for as many as the machine has")
      ->check(whole_number(0, 1024))
      ->capture_default_str()
      ->type_name("N");
  app.add_option("--out", o.out, "Directory for the encoder, which `transformers` loads too")
      ->type_name("DIR");
}

bool parse(int argc, char** argv, Options& o, int& status) {
  CLI::App app(
      "Personalises a sentence encoder by forward passes alone: the cosine of two texts'\n"
      "embeddings is to be the score that a pair has. Prints Spearman's rank\n"
      "correlation with the scores, and the accuracy of \"the same or not\" (scores of\n"
      "at least half the best) by a threshold that is chosen on the training pairs.\n\n"
      "  finetune_similarity --model all-MiniLM-L6-v2 --data mine.tsv --test-data other.tsv --out mine",
      "finetune_similarity");
  app.formatter_fn(examples::help_text);
  app.set_help_flag();
  add_options(app, o);
  app.get_option("--columns")->take_all();
  app.set_help_flag("-h,--help", "Print this and exit");
  if (!examples::parse_or_explain(app, argc, argv, status)) {
    return false;
  }
  o.storage_given = app.count("--storage") != 0;
  return true;
}

using Objective = pl::train::PairSimilarity<pl::text::AnyTokenizer>;
using Pairs = std::vector<Objective::Example>;

Pairs read_pairs(std::filesystem::path const& path, Options const& o, Objective const& objective) {
  std::vector<std::string> columns = o.columns;
  columns.push_back(o.score_column);
  pl::text::Table const table = pl::text::read_table(path, columns, {});
  Pairs pairs;
  for (pl::text::Record const& record : table.records) {
    char* end = nullptr;
    std::string const& text = record.cells[2];
    double const score = std::strtod(text.c_str(), &end) / o.best_score;
    pl::require(!text.empty() && *end == '\0' && score >= 0.0 && score <= 1.0, table.name, ":", record.line,
                ": score ", pl::text::quote(text), " is not a number from 0 to ", o.best_score,
                " (--best-score)");
    pairs.push_back(objective.encode(record.cells[0], record.cells[1], static_cast<float>(score)));
  }
  pl::require(pairs.size() >= 2, table.name, ": fewer than two pairs");
  return pairs;
}

struct Judged {
  std::vector<float> cosines, scores;
};

template <class Model>
Judged judge(Objective const& objective, Model const& model, Pairs const& pairs, pl::Runtime& runtime) {
  Judged judged;
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    auto const batch = objective.batch(pairs, std::vector<std::size_t>{i});
    judged.cosines.push_back(objective.cosines(model, batch, pl::random::unperturbed(), runtime).front());
    judged.scores.push_back(pairs[i].score);
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

/// Model, objective and pairs.
template <class Model>
struct Task {
  Model model;
  pl::text::AnyTokenizer tokenizer;
  Objective objective;
  Pairs train, test;

  Task(Options const& o, examples::Weights weights)
      : model(examples::load_encoder<Model>(o.model, false, weights)),
        tokenizer(pl::text::load_tokenizer(o.model)),
        objective(tokenizer, std::min(static_cast<std::size_t>(o.max_tokens), model.config().max_tokens())),
        train(read_pairs(o.data, o, objective)), test(read_pairs(o.test_data, o, objective)) {
    pl::optimize::select_trained(model, o.train);
  }
  Task(Task const&) = delete; // the objective knows where the tokenizer is
  Task& operator=(Task const&) = delete;
};

/// Calls f(std::type_identity<Model>()) with the model of --model in a storage.
template <class F>
auto with_model(Options const& o, std::string const& storage, F&& f) {
  bool const bert = examples::is_bert(o.model);
  return examples::with_storage(storage, [&]<class T>(std::type_identity<T>) {
    return bert ? f(std::type_identity<pl::models::Bert<T>>())
                : f(std::type_identity<pl::models::Roberta<T>>());
  });
}

/// The options of finetune_classifier that say how much memory is taken, with what --memory-budget chooses.
examples::ClassifierOptions memory_of(Options const& o) {
  examples::ClassifierOptions memory;
  memory.storage = o.storage, memory.storage_given = o.storage_given;
  memory.steps = o.steps, memory.batch = o.batch, memory.threads = o.threads;
  memory.phone.memory_budget = o.memory_budget;
  memory.evaluation_batch = 1;
  examples::choose_memory(
      memory, {"f32", "f16"}, "take a model of fewer weights", [&](std::string const& storage) {
        return with_model(o, storage, [&]<class Model>(std::type_identity<Model>) {
          auto const task = std::make_shared<Task<Model>>(o, examples::Weights::zero);
          static pl::random::Gaussian const gaussian;
          return examples::needs_of_run(memory, task, task->model, task->objective, gaussian, task->train,
                                        {&task->train, &task->test});
        });
      });
  return memory;
}

template <class Model>
int run(Options const& o, examples::ClassifierOptions const& memory) {
  Task<Model> task(o, examples::Weights::read);
  Model& model = task.model;
  Objective const& objective = task.objective;
  Pairs const &train = task.train, &test = task.test;
  pl::Runtime runtime(static_cast<std::size_t>(o.threads));
  examples::reserve_activations(memory.activation_bytes, runtime);
  auto const report = [&](char const* when) {
    Judged const judged = judge(objective, model, test, runtime);
    float const threshold = best_threshold(judge(objective, model, train, runtime));
    std::cout << when << "  accuracy " << pl::train::fixed(100.0 * accuracy(judged, threshold), 1)
              << " %  Spearman's rho "
              << pl::train::fixed(pl::train::spearman(judged.cosines, judged.scores), 3) << std::endl;
  };
  std::cout << memory.memory_note << train.size() << " pairs to train on, " << test.size() << " to test on\n";
  report("before");
  if (o.steps > 0) {
    auto const steps = static_cast<std::uint64_t>(o.steps);
    auto const rate = static_cast<float>(o.learning_rate);
    pl::train::BatchOrder order(std::vector<std::size_t>(train.size(), 1),
                                {.batch_size = static_cast<std::size_t>(o.batch), .seed = o.seed});
    pl::train::Trainer trainer(
        model, objective, std::span<Objective::Example const>(train), pl::random::Gaussian{},
        pl::optimize::TwoPoint{static_cast<float>(o.epsilon), o.seed}, pl::optimize::Sgd{rate},
        pl::optimize::Schedule{pl::optimize::Schedule::Shape::linear, rate, steps, 0}, std::move(order),
        runtime);
    trainer.set_max_lanes(static_cast<std::size_t>(memory.method.max_lanes));
    pl::train::StopFlag stop;
    pl::train::StopSignal const signal(stop);
    auto const outcome = trainer.run(0, stop, {});
    pl::require(outcome.reason != pl::train::Outcome::Reason::diverged, "step ", outcome.next_step + 1,
                ": the loss is not a finite number; try a tenth of --learning-rate");
    report("after ");
  }
  if (!o.out.empty()) {
    pl::io::save(model, o.out, {o.model, {}});
    std::cout << "model in " << o.out.string() << '\n';
  }
  std::cout << "peak memory " << pl::train::format_bytes(pl::train::peak_resident_memory()) << '\n';
  return 0;
}

} // namespace

int main(int argc, char** argv) {
  Options options;
  int status = 0;
  if (!parse(argc, argv, options, status)) {
    return status;
  }
  return examples::run_program(
      "finetune_similarity", "try a smaller --batch or --max-tokens, or --storage f16", [&] {
        auto const memory = memory_of(options);
        return with_model(options, memory.storage, [&]<class Model>(std::type_identity<Model>) {
          return run<Model>(options, memory);
        });
      });
}
