// SPDX-License-Identifier: Apache-2.0
// A whole training step of a model, beside a bare forward pass of it: bench_step --help
#include "step_model.hpp"
#include "step_options.hpp"
#include "step_report.hpp"
#include "step_task.hpp"
#include <pocketllm/pocketllm.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <iostream>
#include <new>
#include <optional>
#include <utility>
#include <vector>

namespace {

namespace pl = pocketllm;
using benchmarks::StepFigures, benchmarks::StepOptions;

using Directions = pl::random::AnyPerturbation;

/// Model, data and clock.
template <class Model, class Task>
class Run {
public:
  Run(StepOptions const& options, Model& model, std::size_t trained, pl::Runtime& runtime)
      : o_(options), runtime_(runtime), model_(model), trained_(trained),
        task_(model_.config(), static_cast<std::size_t>(options.batch),
              static_cast<std::size_t>(options.tokens)) {}

  /// A forward pass and a step by turns; the first of each warms up and does not count.
  template <pl::optimize::Estimator Estimator>
  [[nodiscard]] StepFigures measure(Estimator const& estimator) {
    std::vector<double> forwards, steps, updates;
    StepFigures figures;
    for (std::uint64_t step = 0; step <= static_cast<std::uint64_t>(o_.steps); ++step) {
      double const begin = pl::train::steady_seconds();
      static_cast<void>(task_(model_, pl::random::unperturbed<Directions>(), runtime_));
      double const middle = pl::train::steady_seconds();
      double const update = one_step(estimator, step, figures);
      double const end = pl::train::steady_seconds();
      if (step != 0) {
        forwards.push_back(middle - begin);
        steps.push_back(end - middle);
        updates.push_back(update);
      }
    }
    figures.forward_seconds = benchmarks::median(forwards);
    figures.step_seconds = benchmarks::median(steps);
    figures.update_seconds = benchmarks::median(updates);
    describe(figures);
    return figures;
  }

private:
  /// The losses at the estimator's points, then the update. Returns the seconds of the update.
  template <class Estimator>
  double one_step(Estimator const& estimator, std::uint64_t step, StepFigures& figures) {
    std::vector<pl::random::Point> const points = estimator.points(step);
    std::vector<float> const losses =
        task_(model_, pl::random::perturb(perturbation_, std::span(points)), runtime_);
    double const evaluated = pl::train::steady_seconds();
    update_(model_, perturbation_, estimator.gradient(points, losses), runtime_);
    figures.loss = static_cast<double>(losses.front());
    pl::require(std::isfinite(figures.loss), "step ", step, ": the loss is not a finite number");
    return pl::train::steady_seconds() - evaluated;
  }

  void describe(StepFigures& figures) {
    figures.threads = runtime_.pool().size();
    figures.operations = task_.operations(model_.config());
    figures.trained = trained_;
    figures.parameters = pl::tensor::parameter_count(model_);
    figures.weights_bytes = pl::tensor::weight_bytes(model_);
    figures.peak_rss_bytes = pl::train::peak_resident_memory();
    figures.private_dirty_bytes = pl::train::private_dirty_memory();
  }

  StepOptions const& o_;
  pl::Runtime& runtime_;
  Model& model_;
  std::size_t trained_;
  Task task_;
  Directions perturbation_{o_.perturbation == "none" ? pl::random::Gaussian::name : o_.perturbation};
  pl::optimize::Sgd update_{.learning_rate = 1e-6F}; // MeZO's for a large model
};

/// Whoever reads the figures finds them in one place: the JSON file, or stdout.
class Output {
public:
  explicit Output(StepOptions const& options) : o_(options) {
    if (!o_.json.empty() && o_.json != "-") {
      file_.emplace(o_.json);
    }
  }

  void write(StepFigures const& figures) {
    if (o_.json == "-") {
      std::cout << benchmarks::to_json(o_, figures);
      return;
    }
    benchmarks::print(std::cout, o_, figures);
    if (file_) {
      file_->write(benchmarks::to_json(o_, figures));
    }
  }

private:
  StepOptions const& o_;
  std::optional<pl::io::OutputFile> file_;
};

template <class Task, class Model>
void run_model(StepOptions const& options, Model& model, std::size_t trained, pl::Runtime& runtime) {
  auto const points = static_cast<std::size_t>(options.points);
  Run<Model, Task> run(options, model, trained, runtime);
  Output output(options); // here, to find out before the measurement that it cannot be written
  pl::optimize::MultiPoint const pairs{.seed = 1,
                                       .shared = options.perturbation == pl::random::LowRank::name ? 50U : 1U,
                                       .directions = static_cast<std::uint32_t>(points / 2)};
  output.write(options.perturbation == "none" ? run.measure(benchmarks::WithoutNoise{points})
                                              : run.measure(pairs));
}

template <class T>
void run_roberta(StepOptions const& options, pl::Runtime& runtime) {
  auto model = benchmarks::make_model<T>(options.model, runtime);
  run_model<benchmarks::MaskedTask>(options, model, pl::tensor::parameter_count(model), runtime);
}

template <class T>
void run_opt(StepOptions const& options, pl::Runtime& runtime) {
  bool const frozen = options.adapter != "none";
  auto model = benchmarks::make_opt<pl::layers::Lora<T>>(options.model, frozen, runtime);
  if (!options.write_model.empty()) {
    return benchmarks::write_opt(model, options.write_model);
  }
  if (options.adapter == "prefix") {
    std::vector<std::int32_t> const start{2, 3, 4, 5, 6}; // any tokens
    pl::models::Prefixed prefixed(std::move(model), start, runtime);
    return run_model<benchmarks::CausalTask>(options, prefixed, prefixed.prefix().size(), runtime);
  }
  if (frozen) {
    pl::layers::add_lora(model, {.targets = "*.q_proj,*.v_proj"});
  }
  std::size_t const trained = options.perturbation == "none"
                                  ? pl::tensor::parameter_count(model)
                                  : pl::optimize::select_trained(model, frozen ? "*.lora_?.weight" : "*");
  run_model<benchmarks::CausalTask>(options, model, trained, runtime);
}

template <class T>
void run_as(StepOptions const& options, pl::Runtime& runtime) {
  if (benchmarks::is_opt(options.model)) {
    return run_opt<T>(options, runtime);
  }
  pl::require(options.write_model.empty(), "--write-model is for an OPT here");
  if constexpr (pl::tensor::FloatStorage<T>) {
    pl::require(options.adapter == "none", "--adapter is for an OPT here");
    return run_roberta<T>(options, runtime);
  }
  pl::fail("--storage ", options.storage, " is for an OPT under an adapter here");
}

void run(StepOptions const& options) {
  pl::require(options.perturbation == "none" || options.points % 2 == 0, "--points ", options.points,
              ": points come in pairs; give an even number, or --perturbation none");
  pl::Runtime runtime = examples::make_runtime(options.threads, options.activations, options.storage);
  if (options.storage == "i8" || options.storage == "i4") {
    return options.storage == "i8" ? run_as<pl::i8>(options, runtime) : run_as<pl::i4>(options, runtime);
  }
  if (options.storage == "f16") {
    return run_as<pl::f16>(options, runtime);
  }
  return options.storage == "bf16" ? run_as<pl::bf16>(options, runtime) : run_as<float>(options, runtime);
}

} // namespace

int main(int argc, char** argv) {
  StepOptions options;
  int status = 0;
  if (!benchmarks::parse(argc, argv, options, status)) {
    return status;
  }
  try {
    run(options);
    return 0;
  } catch (std::bad_alloc const&) {
    std::cerr << "bench_step: out of memory; try a smaller --batch or --tokens, or --storage f16\n";
  } catch (std::exception const& error) {
    std::cerr << "bench_step: " << error.what() << '\n';
  }
  return 1;
}
