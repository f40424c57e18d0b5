// SPDX-License-Identifier: Apache-2.0
// Makes a fine-tuned model again, from its base and the journal of its training: replay --help
#include "command_line.hpp"
#include "head_start.hpp"
#include "help_text.hpp"
#include "model_types.hpp"
#include <pocketllm/pocketllm.hpp>

#include <cstdint>
#include <filesystem>
#include <iostream>
#include <limits>
#include <string>
#include <vector>

namespace pl = pocketllm;

namespace {

struct Options {
  std::filesystem::path model, out, head;
  std::vector<std::filesystem::path> journals;
  std::int64_t steps = std::numeric_limits<std::int64_t>::max();
  std::int64_t threads = 0;
  bool verify = false, fold = false;
};

bool parse(int argc, char** argv, Options& o, int& status) {
  CLI::App app("Makes a fine-tuned model again, to the last bit, from the model that its training\n"
               "began with and the journal of the training.\n\n"
               "  replay --model roberta-large --journal run.journal --out mine --verify",
               "replay");
  app.formatter_fn(examples::help_text);
  app.set_help_flag();
  app.option_defaults()->take_last()->group("Options");
  app.add_option("--model", o.model, "Directory of the model that the run began with")
      ->required()
      ->type_name("DIR");
  app.add_option(
         "--journal", o.journals,
         "The journal. Several may be given, each of a run that began with what the one before it ended "
         "with")
      ->required()
      ->take_all()
      ->type_name("FILE");
  app.add_option("--out", o.out,
                 "Directory for the fine-tuned model, or for the LoRA terms if those were trained")
      ->type_name("DIR");
  app.add_option("--head", o.head,
                 "The start of a head that the run put on the model (default: FILE.head.safetensors, "
                 "which the run wrote beside the journal)")
      ->type_name("FILE");
  app.add_option("--steps", o.steps, "Only those before step N of the last journal (default: all)")
      ->check(examples::whole_number(0, std::numeric_limits<std::int64_t>::max()))
      ->type_name("N");
  CLI::Option* const verify =
      app.add_flag("--verify", o.verify, "Compare the weights with the digest that the run wrote at its end");
  app.add_flag("--fold", o.fold,
               "Sum steps along low-rank directions that share a factor before they are multiplied: much "
               "faster, and equal to the run's weights but for rounding. Other runs are replayed as without "
               "it")
      ->excludes(verify);
  app.add_option("--threads", o.threads, "0 for as many as the machine has")
      ->check(examples::whole_number(0, 1024)) // the limit of ThreadPool
      ->capture_default_str()
      ->type_name("N");
  app.set_help_flag("-h,--help", "Print this and exit");
  return examples::parse_or_explain(app, argc, argv, status);
}

/// A bar on terminals; nothing in logs.
class ReplayBar {
public:
  explicit ReplayBar(std::size_t steps) : steps_(steps) {}

  void operator()(double share) {
    double const now = pl::train::steady_seconds();
    if (!terminal_ || (now - shown_ < 0.1 && share < 1.0)) { // the eye sees no more than 10 lines a second
      return;
    }
    shown_ = now;
    double const took = now - began_;
    pl::train::ProgressText const text{
        pl::concat(static_cast<std::uint64_t>(share * static_cast<double>(steps_)), "/", steps_, " steps"),
        "", "", share > 0.0 ? pl::train::format_duration(took / share * (1.0 - share)) + " left" : ""};
    std::cout << '\r' << pl::train::progress_line(text, share, pl::train::terminal_width(1) - 1, false)
              << (share < 1.0 ? "  " : "\n") << std::flush;
  }

private:
  std::size_t steps_;
  bool terminal_ = pl::train::is_terminal(1);
  double began_ = pl::train::steady_seconds(), shown_ = 0.0;
};

/// The digest that the run noted where `end` is the next step; empty when it noted none there.
std::string noted_digest(pl::io::Journal const& journal, std::uint64_t end) {
  std::string digest;
  for (pl::io::JournalNote const& note : journal.notes()) {
    if (pl::io::Closing closing; closing.read(note.json, journal.name()) && closing.next_step == end) {
      digest = closing.weights;
    }
  }
  return digest;
}

template <class Model>
void replay_one(Options const& o, Model& model, pl::io::Journal const& journal, std::uint64_t end,
                pl::Runtime& runtime) {
  if (std::string const tail = journal.tail_text(); !tail.empty()) {
    std::cout << "note     " << tail << '\n';
  }
  auto const steps = pl::train::record_of(journal, end);
  double const began = pl::train::steady_seconds();
  pl::train::replay(model, journal, runtime, end, ReplayBar(steps),
                    o.fold ? pl::train::Summation::folded : pl::train::Summation::exact);
  double const took = pl::train::steady_seconds() - began;
  std::cout << journal.name() << ": " << steps << " steps in " << pl::train::format_duration(took) << '\n';
  if (o.verify) {
    std::uint64_t const last = std::min(end, journal.next_step());
    std::string const expected = noted_digest(journal, last);
    pl::require(!expected.empty(), journal.name(), ": has no digest of the weights before step ", last,
                ", since the run did not end there; leave out --verify");
    std::string const found = pl::io::digest_text(pl::io::digest(model, runtime));
    pl::require(found == expected, journal.name(), ": the weights are not those of the run: their digest is ",
                found, ", the journal says ", expected);
    std::cout << "verified " << found << '\n';
  }
}

/// The model that the first run began with.
template <class Model>
Model base_model(Options const& o, pl::io::Journal const& journal, pl::io::LoadOptions const& load = {}) {
  if constexpr (requires(Model model) { model.class_layer(); }) {
    if (examples::began_with_new_head(journal)) {
      return examples::load_with_head<Model>(
          o.model, journal, o.head.empty() ? examples::head_start_file(o.journals.front()) : o.head);
    }
    if (examples::has_objective(journal, examples::pair_objective)) {
      return examples::load_encoder<Model>(o.model);
    }
  }
  return pl::io::load<Model>(o.model, load);
}

/// Writes what was made to --out.
template <class Model>
void save(Options const& o, Model const& model, pl::io::Journal const& journal) {
  if constexpr (requires(Model own) { own.class_layer(); }) {
    if (examples::began_with_new_head(journal)) {
      auto const& names = journal.header().json().at("objective").at("classes");
      return examples::save_with_classes(model, names.get<std::vector<std::string>>(), o.out, o.model);
    }
  }
  pl::io::save(model, o.out, {o.model, {}});
}

template <class Model>
void replay_all(Options const& o, std::vector<pl::io::Journal> const& journals) {
  pl::Runtime runtime(static_cast<std::size_t>(o.threads));
  Model model = base_model<Model>(o, journals.front());
  for (pl::io::Journal const& journal : journals) {
    bool const last = &journal == &journals.back();
    replay_one(o, model, journal, last ? static_cast<std::uint64_t>(o.steps) : pl::train::StepRange{}.end,
               runtime);
  }
  if (!o.out.empty()) {
    save(o, model, journals.front());
    std::cout << "model in " << o.out.string() << '\n';
  }
}

/// Writes what a run with LoRA terms wrote: of an OPT the terms alone, of a classifier the whole.
template <class Model>
void save_adapted(Options const& o, Model& model, pl::io::Journal const& journal, pl::Runtime& runtime) {
  if constexpr (requires { model.class_layer(); }) {
    pl::layers::merge_lora(model, runtime);
    save(o, model, journal);
    std::cout << "model in " << o.out.string() << '\n';
  } else {
    pl::train::save_adapter(model, o.out, {o.model.string()});
    std::cout << "adapter in " << o.out.string() << '\n';
  }
}

/// A run with --adapter lora.
template <class Model>
void replay_lora(Options const& o, pl::io::Journal const& journal, pl::layers::LoraOptions const& terms) {
  pl::Runtime runtime(static_cast<std::size_t>(o.threads));
  Model model = base_model<Model>(o, journal, {.borrow = true});
  pl::layers::add_lora(model, terms);
  replay_one(o, model, journal, static_cast<std::uint64_t>(o.steps), runtime);
  if (!o.out.empty()) {
    save_adapted(o, model, journal, runtime);
  }
}

void run(Options const& o) {
  std::vector<pl::io::Journal> journals;
  for (std::filesystem::path const& path : o.journals) {
    journals.push_back(pl::io::read_journal(path));
  }
  pl::require(journals.size() == 1 || !o.fold,
              "--fold: only one journal can be folded, since the next one begins with the exact weights");
  for (pl::io::Journal const& journal : journals) {
    pl::require(journals.size() == 1 || !pl::train::lora_of(journal), journal.name(),
                ": the run trained LoRA terms of its own; replay it alone");
  }
  if (auto const terms = pl::train::lora_of(journals.front())) {
    examples::with_adapted_model_of(journals.front(), [&]<class Model>(std::type_identity<Model>) {
      replay_lora<Model>(o, journals.front(), *terms);
    });
    return;
  }
  examples::with_model_of(journals.front(),
                          [&]<class Model>(std::type_identity<Model>) { replay_all<Model>(o, journals); });
}

} // namespace

int main(int argc, char** argv) {
  Options options;
  int status = 0;
  if (!parse(argc, argv, options, status)) {
    return status;
  }
  return examples::run_program("replay", "", [&] {
    run(options);
    return 0;
  });
}
