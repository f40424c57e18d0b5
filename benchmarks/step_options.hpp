// SPDX-License-Identifier: Apache-2.0
// The command line of bench_step.
#pragma once

#include "activations.hpp"
#include "command_line.hpp"
#include "help_text.hpp"

#include <CLI/CLI.hpp>

#include <cstdint>
#include <string>

namespace benchmarks {

struct StepOptions {
  std::string model = "roberta-large";
  std::string storage = "f32", activations = "f32";
  std::string adapter = "none";
  std::string perturbation = "gaussian";
  std::int64_t points = 2;
  std::int64_t batch = 8;
  std::int64_t tokens = 64;
  std::int64_t threads = 0;
  std::int64_t steps = 5;
  std::string json;        ///< empty: no JSON
  std::string write_model; ///< empty: measure
};

namespace detail {

using examples::one_of, examples::whole_number;

inline void add_step(CLI::App& app, StepOptions& o) {
  app.option_defaults()->group("What a step is");
  app.add_option("--model", o.model,
                 "roberta-large, roberta-base, tiny, opt-1.3b or opt-125m, on random weights; or a directory "
                 "with config.json and "
                 "model.safetensors")
      ->capture_default_str()
      ->type_name("NAME|DIR");
  app.add_option("--storage", o.storage,
                 "Weights in memory: f32, f16 or bf16; of an OPT under an adapter i8 or i4 too")
      ->check(one_of({"f32", "f16", "bf16", "i8", "i4"}))
      ->capture_default_str()
      ->type_name("TYPE");
  examples::add_activations(app, o.activations);
  app.add_option(
         "--adapter", o.adapter,
         "What is trained of an OPT: none for all weights, lora for terms of rank 8 at query and value, "
         "prefix for 5 tokens in front")
      ->check(one_of({"none", "lora", "prefix"}))
      ->capture_default_str()
      ->type_name("KIND");
  app.add_option("--perturbation", o.perturbation,
                 "Random directions: gaussian, rademacher or low-rank (rank 2, 50 steps with one factor in "
                 "common); with none all points are the weights themselves, and there is no update")
      ->check(one_of({"none", "gaussian", "rademacher", "low-rank"}))
      ->capture_default_str()
      ->type_name("KIND");
  app.add_option("--points", o.points,
                 "Where the loss is evaluated: pairs at both sides of the weights, each along a direction of "
                 "its own")
      ->check(whole_number(1, 1024)) // some hundred times what estimators use
      ->capture_default_str()
      ->type_name("N");
  app.add_option("--batch", o.batch, "Sequences")
      ->check(whole_number(1, 1'000'000))
      ->capture_default_str()
      ->type_name("B");
  app.add_option("--tokens", o.tokens, "Tokens of each sequence")
      ->check(whole_number(1, 1'000'000))
      ->capture_default_str()
      ->type_name("T");
}

inline void add_measurement(CLI::App& app, StepOptions& o) {
  app.option_defaults()->group("Measurement");
  app.add_option("--threads", o.threads, "0 for as many as the machine has")
      ->check(whole_number(0, 1024)) // the limit of ThreadPool
      ->capture_default_str()
      ->type_name("N");
  app.add_option("--steps", o.steps, "Steps that count, behind one that warms up")
      ->check(whole_number(1, 1'000'000))
      ->capture_default_str()
      ->type_name("S");
  app.add_option("--write-model", o.write_model,
                 "Write the random weights of an OPT to this directory instead of measuring, to be measured "
                 "from there by --model DIR")
      ->type_name("DIR");
  app.add_option("--json", o.json, "Also write all figures and settings; - writes them to stdout instead")
      ->type_name("FILE");
}

} // namespace detail

/// Reads the command line; of an option given twice the last one counts. Returns false with an exit status in
/// `status` when there is nothing to do (--help) or something is wrong, which is then said in one line.
inline bool parse(int argc, char** argv, StepOptions& options, int& status) {
  CLI::App app("Measures a whole training step in memory: the losses at all points and the\n"
               "update of all weights, beside a forward pass at one point without noise. Both\n"
               "are taken by turns, so that a machine that slows down slows both.\n\n"
               "  bench_step --model roberta-large --storage f16 --json step.json",
               "bench_step");
  app.formatter_fn(examples::help_text);
  app.set_help_flag();
  app.option_defaults()->take_last();
  detail::add_step(app, options);
  detail::add_measurement(app, options);
  app.set_help_flag("-h,--help", "Print this and exit"); // here, to be listed at the end
  return examples::parse_or_explain(app, argc, argv, status);
}

} // namespace benchmarks
