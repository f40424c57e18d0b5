// SPDX-License-Identifier: Apache-2.0
// Makes one journal of those of several devices: merge --help
#include "command_line.hpp"
#include "help_text.hpp"
#include <pocketllm/pocketllm.hpp>

#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

namespace pl = pocketllm;

namespace {

struct Options {
  std::vector<std::filesystem::path> journals;
  std::vector<double> weights;
  std::filesystem::path out;
};

bool parse(int argc, char** argv, Options& o, int& status) {
  CLI::App app("Merges journals of devices that began with the same model, each on data of its own.\n"
               "The merged journal replays to the mean of their models (federated averaging). The\n"
               "next round begins with that model; its journals are merged as well, and replay\n"
               "takes the merged journals of all rounds.\n\n"
               "  merge --out round-1.journal anna.journal ben.journal\n"
               "  replay --model roberta-large --journal round-1.journal --out round-1",
               "merge");
  app.formatter_fn(examples::help_text);
  app.set_help_flag();
  app.option_defaults()->take_last()->group("Options");
  app.add_option("journals", o.journals, "The journals of the devices")
      ->required()
      ->take_all()
      ->type_name("FILE...");
  app.add_option("--out", o.out, "The merged journal, a new file")->required()->type_name("FILE");
  app.add_option("--weights", o.weights,
                 "How much each device counts (default: its number of examples, where all journals tell it)")
      ->take_all()
      ->delimiter(',')
      ->check(examples::number(false))
      ->type_name("W,...");
  app.set_help_flag("-h,--help", "Print this and exit");
  return examples::parse_or_explain(app, argc, argv, status);
}

/// The numbers of examples that the headers tell; ones when a header does not tell it.
std::vector<double> examples_of(std::vector<pl::io::Journal> const& journals) {
  std::vector<double> counts;
  for (pl::io::Journal const& journal : journals) {
    pl::io::Json const* const count = pl::text::find_member(journal.header().json().at("data"), "examples");
    if (count == nullptr || !count->is_number_unsigned()) {
      return std::vector<double>(journals.size(), 1.0);
    }
    counts.push_back(count->get<double>());
  }
  return counts;
}

void run(Options const& o) {
  std::vector<pl::io::Journal> journals;
  for (std::filesystem::path const& path : o.journals) {
    journals.push_back(pl::io::read_journal(path));
  }
  std::vector<double> const weights = o.weights.empty() ? examples_of(journals) : o.weights;
  pl::train::merge_journals(o.out, journals, weights);
  for (std::size_t i = 0; i < journals.size(); ++i) {
    std::cout << journals[i].name() << ": " << journals[i].size() << " steps, weight " << weights[i] << '\n';
    if (std::string const tail = journals[i].tail_text(); !tail.empty()) {
      std::cout << tail << '\n';
    }
  }
  std::cout << "merged in " << o.out.string() << '\n';
}

} // namespace

int main(int argc, char** argv) {
  Options options;
  int status = 0;
  if (!parse(argc, argv, options, status)) {
    return status;
  }
  return examples::run_program("merge", "", [&] {
    run(options);
    return 0;
  });
}
