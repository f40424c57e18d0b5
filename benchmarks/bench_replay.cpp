// SPDX-License-Identifier: Apache-2.0
// How many steps a second a journal replays, beside the steps of the training that wrote it, and what writing
// it costs: bench_replay --help
#include "command_line.hpp"
#include "help_text.hpp"
#include "step_model.hpp"
#include "step_report.hpp"
#include "step_task.hpp"
#include <pocketllm/pocketllm.hpp>

#include <unistd.h>

#include <concepts>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <iostream>
#include <new>
#include <string>
#include <vector>

namespace {

namespace pl = pocketllm;

struct Options {
  std::string model = "roberta-large", storage = "f32", perturbation = "rademacher";
  std::int64_t batch = 8, tokens = 64, threads = 0, steps = 3, replayed = 100, written = 20'000, shared = 50;
};

bool parse(int argc, char** argv, Options& o, int& status) {
  using examples::one_of, examples::whole_number;
  CLI::App app("Measures training steps on random tokens, the replay of as many as are asked for,\n"
               "and the size of a journal and the seconds that its records take.\n\n"
               "  bench_replay --model roberta-large --perturbation rademacher",
               "bench_replay");
  app.formatter_fn(examples::help_text);
  app.set_help_flag();
  app.option_defaults()->take_last()->always_capture_default()->group("Options");
  app.add_option("--model", o.model, "roberta-large, roberta-base or tiny, on random weights; or a directory")
      ->type_name("NAME|DIR");
  app.add_option("--storage", o.storage, "Weights in memory: f32, f16 or bf16")
      ->check(one_of({"f32", "f16", "bf16"}))
      ->type_name("TYPE");
  app.add_option("--perturbation", o.perturbation, "Random directions: gaussian, rademacher or low-rank")
      ->check(one_of({"gaussian", "rademacher", "low-rank"}))
      ->type_name("KIND");
  app.add_option("--batch", o.batch, "Sequences")->check(whole_number(1, 1'000'000))->type_name("B");
  app.add_option("--tokens", o.tokens, "Tokens of each")->check(whole_number(1, 1'000'000))->type_name("T");
  app.add_option("--steps", o.steps, "Training steps, behind one that warms up")
      ->check(whole_number(1, 1'000'000))
      ->type_name("N");
  app.add_option("--replayed", o.replayed, "Steps to replay")
      ->check(whole_number(1, 1'000'000))
      ->type_name("N");
  app.add_option("--shared", o.shared, "Steps that share a factor of low-rank directions (LOZO's nu)")
      ->check(whole_number(1, 1'000'000))
      ->type_name("N");
  app.add_option("--written", o.written, "Steps of the journal that is measured")
      ->check(whole_number(1, 10'000'000))
      ->type_name("N");
  app.add_option("--threads", o.threads, "0 for as many as the machine has")
      ->check(whole_number(0, 1024)) // the limit of ThreadPool
      ->type_name("N");
  app.set_help_flag("-h,--help", "Print this and exit");
  return examples::parse_or_explain(app, argc, argv, status);
}

/// A journal that goes with its object.
struct TemporaryJournal {
  std::filesystem::path path =
      std::filesystem::temp_directory_path() / pl::concat("bench_replay_", ::getpid(), ".journal");
  TemporaryJournal() = default;
  TemporaryJournal(TemporaryJournal const&) = delete;
  TemporaryJournal& operator=(TemporaryJournal const&) = delete;
  ~TemporaryJournal() {
    std::error_code ignored;
    std::filesystem::remove(path, ignored);
  }
};

template <class T, class P>
class Bench {
public:
  explicit Bench(Options const& options)
      : o_(options), runtime_(static_cast<std::size_t>(options.threads)),
        model_(benchmarks::make_model<T>(options.model, runtime_)),
        estimator_{.shared = std::same_as<P, pl::random::LowRank> ? static_cast<std::uint64_t>(options.shared)
                                                                  : std::uint64_t{1}},
        header_(pl::train::run_header(model_, P{}, estimator_, update_, {},
                                      {{{"type", "roberta"}, {"storage", options.storage}},
                                       {{"name", "random tokens"}},
                                       {{"digest", "none"}}},
                                      runtime_)) {}

  void run() {
    double const step = training_step();
    TemporaryJournal const file;
    double const record = write(file.path, static_cast<std::uint64_t>(o_.written));
    std::cout << "training  " << pl::train::fixed(step, 3) << " s a step\n"
              << "journal   " << std::filesystem::file_size(file.path) << " bytes for " << o_.written
              << " steps; " << pl::train::fixed(1e6 * record, 2) << " us a record, "
              << pl::train::fixed(100.0 * record / step, 5) << " % of a step\n";
    std::filesystem::remove(file.path);
    write(file.path, static_cast<std::uint64_t>(o_.replayed));
    pl::io::Journal const journal = pl::io::read_journal(file.path);
    replay("replay    ", journal, step, pl::train::Summation::exact);
    if (std::same_as<P, pl::random::LowRank>) {
      replay("folded    ", journal, step, pl::train::Summation::folded);
    }
  }

private:
  void replay(char const* what, pl::io::Journal const& journal, double step, pl::train::Summation summation) {
    double const began = pl::train::steady_seconds();
    pl::train::replay(model_, P{}, update_, journal, {}, runtime_, {}, summation);
    double const replayed = (pl::train::steady_seconds() - began) / static_cast<double>(journal.size());
    std::cout << what << pl::train::fixed(1.0 / replayed, 1) << " steps a second, "
              << pl::train::fixed(step / replayed, 1) << " times training's\n";
  }

  [[nodiscard]] double training_step() {
    benchmarks::MaskedTask const task(model_.config(), static_cast<std::size_t>(o_.batch),
                                      static_cast<std::size_t>(o_.tokens));
    std::vector<double> seconds;
    for (std::uint64_t step = 0; step <= static_cast<std::uint64_t>(o_.steps); ++step) {
      double const began = pl::train::steady_seconds();
      auto const points = estimator_.points(step);
      auto const losses = task(model_, pl::random::perturb(P{}, points), runtime_);
      update_(model_, P{}, estimator_.gradient(points, losses), runtime_);
      seconds.push_back(pl::train::steady_seconds() - began);
    }
    seconds.erase(seconds.begin());
    return benchmarks::median(seconds);
  }

  /// Seconds a record, with the default policy and the final wait for the disk.
  double write(std::filesystem::path const& path, std::uint64_t steps) {
    auto writer = pl::io::JournalWriter::create(path, header_);
    double const began = pl::train::steady_seconds();
    for (std::uint64_t step = 0; step < steps; ++step) {
      writer.append(step, 1e-6F, 0.5F, pl::optimize::Gradient{{header_.seed(step, 0), 0.25F}});
    }
    writer.flush();
    return (pl::train::steady_seconds() - began) / static_cast<double>(steps);
  }

  Options const& o_;
  pl::Runtime runtime_;
  pl::models::Roberta<T> model_;
  pl::optimize::TwoPoint estimator_;
  pl::optimize::Sgd update_{.learning_rate = 1e-6F}; // MeZO's for a large model
  pl::io::JournalHeader header_;
};

template <class T>
void run_as(Options const& o) {
  o.perturbation == "rademacher" ? Bench<T, pl::random::Rademacher>(o).run()
  : o.perturbation == "low-rank" ? Bench<T, pl::random::LowRank>(o).run()
                                 : Bench<T, pl::random::Gaussian>(o).run();
}

} // namespace

int main(int argc, char** argv) {
  Options options;
  int status = 0;
  if (!parse(argc, argv, options, status)) {
    return status;
  }
  try {
    options.storage == "f16"    ? run_as<pl::f16>(options)
    : options.storage == "bf16" ? run_as<pl::bf16>(options)
                                : run_as<float>(options);
    return 0;
  } catch (std::bad_alloc const&) {
    std::cerr << "bench_replay: out of memory; try --storage f16\n";
  } catch (std::exception const& error) {
    std::cerr << "bench_replay: " << error.what() << '\n';
  }
  return 1;
}
