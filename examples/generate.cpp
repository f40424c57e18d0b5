// SPDX-License-Identifier: Apache-2.0
// Continues a prompt, or each line that is typed, with an OPT: generate --help
#include "activations.hpp"
#include "command_line.hpp"
#include "help_text.hpp"
#include "prefix_files.hpp"
#include <pocketllm/pocketllm.hpp>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <iostream>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace pl = pocketllm;

namespace {

struct Options {
  std::filesystem::path model, adapter;
  std::string prompt, storage = "f32", activations = "f32";
  std::int64_t max_tokens = 50, top_k = 0, threads = 0;
  double temperature = 0.8, top_p = 0.95;
  std::uint64_t seed = 0;
  bool has_prompt = false;
};

bool parse(int argc, char** argv, Options& o, int& status) {
  CLI::App app("Continues a text with an OPT. Without --prompt each line of the input is a text.\n\n"
               "  generate --model opt-1.3b --storage f16 --prompt 'The best thing about tea is'",
               "generate");
  app.formatter_fn(examples::help_text);
  app.set_help_flag();
  app.option_defaults()->take_last()->group("Options");
  app.add_option("--model", o.model, "Directory of an OPT: config.json, model.safetensors, tokenizer files")
      ->required()
      ->type_name("DIR");
  app.add_option("--adapter", o.adapter, "Directory that finetune_causal --adapter wrote: LoRA or a prefix")
      ->type_name("DIR");
  auto const* const prompt =
      app.add_option("--prompt", o.prompt, "The text, \\n for a line end")->type_name("TEXT");
  app.add_option("--max-tokens", o.max_tokens, "Tokens to add")
      ->check(examples::whole_number(1, 1'000'000))
      ->capture_default_str()
      ->type_name("N");
  app.add_option("--temperature", o.temperature, "How freely tokens are drawn; 0 for the likeliest ones")
      ->check(examples::number(true))
      ->capture_default_str()
      ->type_name("T");
  app.add_option("--top-k", o.top_k, "Only of the N likeliest tokens; 0 for all")
      ->check(examples::whole_number(0, 1'000'000'000))
      ->capture_default_str()
      ->type_name("N");
  app.add_option("--top-p", o.top_p, "Only of the likeliest tokens that make up this probability")
      ->check(examples::number(false))
      ->check(CLI::Range(0.0, 1.0).description(""))
      ->capture_default_str()
      ->type_name("P");
  app.add_option("--seed", o.seed, "The same seed, the same text")
      ->check(examples::whole_number(0, std::numeric_limits<std::int64_t>::max()))
      ->capture_default_str()
      ->type_name("N");
  app.add_option("--storage", o.storage,
                 "Weights in memory: f32, f16, bf16, i8 or i4. Those of the file's own type stay in the file")
      ->check(examples::one_of({"f32", "f16", "bf16", "i8", "i4"}))
      ->capture_default_str()
      ->type_name("TYPE");
  examples::add_activations(app, o.activations);
  app.add_option("--threads", o.threads, "0 for as many as the machine has")
      ->check(examples::whole_number(0, 1024)) // the limit of ThreadPool
      ->capture_default_str()
      ->type_name("N");
  app.set_help_flag("-h,--help", "Print this and exit");
  bool const parsed = examples::parse_or_explain(app, argc, argv, status);
  o.has_prompt = parsed && prompt->count() != 0;
  return parsed;
}

/// Writes tokens as they come. A token may be part of a character: then it waits for the next one.
class Printer {
public:
  explicit Printer(pl::text::AnyTokenizer const& tokenizer) : tokenizer_(tokenizer) {}

  bool operator()(std::int32_t id) {
    ids_.push_back(id);
    std::string const text = tokenizer_.decode(ids_, true);
    if (!text.ends_with("\xef\xbf\xbd")) { // U+FFFD: what is not a character yet
      std::cout << text.substr(std::min(text.size(), printed_)) << std::flush;
      printed_ = text.size();
    }
    return true;
  }

private:
  pl::text::AnyTokenizer const& tokenizer_;
  std::vector<std::int32_t> ids_;
  std::size_t printed_ = 0;
};

template <class Model>
void answer(Options const& o, Model const& model, pl::text::AnyTokenizer const& tokenizer,
            std::string const& prompt, pl::Runtime& runtime) {
  pl::models::GenerateOptions options{.max_tokens = static_cast<std::size_t>(o.max_tokens)};
  options.sampling = {.temperature = static_cast<float>(o.temperature),
                      .top_k = static_cast<std::size_t>(o.top_k),
                      .top_p = static_cast<float>(o.top_p),
                      .seed = o.seed};
  options.eos = tokenizer.special_tokens().eos;
  options.on_token = Printer(tokenizer);
  std::cout << prompt;
  static_cast<void>(pl::models::generate(model, tokenizer.encode_framed(prompt), options, runtime));
  std::cout << std::endl;
}

template <class Model>
void run_model(Options const& o, Model const& model) {
  auto const tokenizer = pl::text::load_tokenizer(o.model);
  pl::Runtime runtime = examples::make_runtime(o.threads, o.activations, o.storage);
  if (o.has_prompt) {
    answer(o, model, tokenizer, examples::unescape(o.prompt), runtime);
    return;
  }
  for (std::string line; std::getline(std::cin, line);) {
    answer(o, model, tokenizer, line, runtime);
  }
}

template <class T>
void run(Options const& o) {
  auto model = pl::io::load<pl::models::Opt<pl::layers::Lora<T>>>(o.model, {.borrow = true});
  if (o.adapter.empty()) {
    run_model(o, model);
  } else if (pl::io::read_object(o.adapter / pl::train::adapter_config_file).value("peft_type", "") ==
             "LORA") {
    pl::train::load_adapter(model, o.adapter);
    run_model(o, model);
  } else {
    run_model(o, examples::load_prefix(std::move(model), o.adapter));
  }
}

} // namespace

int main(int argc, char** argv) {
  Options options;
  int status = 0;
  if (!parse(argc, argv, options, status)) {
    return status;
  }
  return examples::run_program("generate", "try a --storage of fewer bits", [&] {
    if (options.storage == "i8") {
      run<pl::i8>(options);
    } else if (options.storage == "i4") {
      run<pl::i4>(options);
    } else if (options.storage == "f16") {
      run<pl::f16>(options);
    } else if (options.storage == "bf16") {
      run<pl::bf16>(options);
    } else {
      run<float>(options);
    }
    return 0;
  });
}
