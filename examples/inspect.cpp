// SPDX-License-Identifier: Apache-2.0
// Shows what a journal says of its run: inspect --help
#include "command_line.hpp"
#include "help_text.hpp"
#include <pocketllm/pocketllm.hpp>

#include <cmath>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

namespace pl = pocketllm;

namespace {

struct Options {
  std::filesystem::path journal, csv, svg;
};

bool parse(int argc, char** argv, Options& o, int& status) {
  CLI::App app("Shows what a journal says of its run: how it was made, how far it got, how it\n"
               "ended; and its curve as figures and as a picture. A journal may be looked at\n"
               "while its run goes on.\n\n"
               "  inspect run.journal --svg curve.svg",
               "inspect");
  app.formatter_fn(examples::help_text);
  app.set_help_flag();
  app.option_defaults()->take_last()->group("Options");
  app.add_option("journal", o.journal, "The journal")->required()->type_name("FILE");
  app.add_option("--csv", o.csv, "Write a line for each step: loss, rate, seeds and slopes")
      ->type_name("FILE");
  app.add_option("--svg", o.svg, "Draw the curve of the loss")->type_name("FILE");
  app.set_help_flag("-h,--help", "Print this and exit");
  return examples::parse_or_explain(app, argc, argv, status);
}

/// A line for each value of the header, under its path.
void print_header(pl::io::Json const& json, std::string const& path) {
  if (json.is_object() && !json.empty()) {
    for (auto const& [key, value] : json.items()) {
      print_header(value, path.empty() ? key : path + "." + key);
    }
    return;
  }
  constexpr std::size_t column = 32, most = 120; // of the longest name; of a list of tensors what fits a line
  std::string text = json.is_string() ? json.get<std::string>()
                                      : json.dump(-1, ' ', false, pl::io::Json::error_handler_t::replace);
  if (text.size() > most && json.is_array()) {
    text = pl::concat(json.size(), " entries, the first ", json.front().dump());
  }
  std::cout << path << std::string(column - std::min(column - 1, path.size()), ' ') << text << '\n';
}

/// The mean loss of steps first to end - 1.
double mean_loss(pl::io::Journal const& journal, std::size_t first, std::size_t end) {
  double sum = 0.0;
  std::size_t count = 0;
  for (std::size_t i = first; i < end; ++i) {
    double const loss = static_cast<double>(journal.steps()[i].loss);
    if (std::isfinite(loss)) { // some journals have none
      sum += loss;
      ++count;
    }
  }
  return sum / static_cast<double>(std::max<std::size_t>(1, count));
}

void print_steps(pl::io::Journal const& journal) {
  std::size_t const steps = journal.size();
  std::cout << "\nsteps     " << steps;
  if (steps != 0) {
    std::size_t const tenth = std::max<std::size_t>(1, steps / 10);
    std::cout << ", the last one " << journal.steps().back().step << "\nloss      "
              << pl::train::fixed(mean_loss(journal, 0, tenth), 4) << " over the first tenth, "
              << pl::train::fixed(mean_loss(journal, steps - tenth, steps), 4) << " over the last";
  }
  std::cout << '\n';
  for (pl::io::JournalNote const& note : journal.notes()) {
    std::cout << "note      behind " << note.steps
              << " steps: " << note.json.dump(-1, ' ', false, pl::io::Json::error_handler_t::replace) << '\n';
  }
  std::cout << "end       "
            << (journal.closing() ? journal.closing()->outcome : "the run is under way, or was interrupted")
            << '\n';
  if (std::string const tail = journal.tail_text(); !tail.empty()) {
    std::cout << "tail      " << tail << '\n';
  }
}

void write_csv(std::filesystem::path const& path, pl::io::Journal const& journal) {
  pl::io::OutputFile file(path);
  std::size_t const slopes = journal.header().layout().slopes;
  std::string text = "step,learning_rate,loss";
  for (std::size_t k = 0; k < slopes; ++k) {
    text += pl::concat(",seed_", k, ",slope_", k);
  }
  text += '\n';
  auto const number = [](float value) {
    return std::isfinite(value) ? pl::io::readable(value).dump() : std::string("nan");
  };
  for (std::size_t i = 0; i < journal.size(); ++i) {
    pl::io::JournalStep const& step = journal.steps()[i];
    text += pl::concat(step.step, ',', number(step.learning_rate), ',', number(step.loss));
    for (std::size_t k = 0; k < slopes; ++k) {
      text += pl::concat(',', journal.seed(i, k), ',', number(journal.slopes(i)[k]));
    }
    text += '\n';
  }
  file.write(text);
  std::cout << "figures in " << path.string() << '\n';
}

void draw(std::filesystem::path const& path, pl::io::Journal const& journal) {
  pl::train::TrainingPlot plot{.title = journal.name()};
  for (pl::io::JournalStep const& step : journal.steps()) {
    plot.losses.push_back({static_cast<double>(step.step + 1), static_cast<double>(step.loss)});
  }
  pl::train::write_svg(path, plot);
  std::cout << "curve in " << path.string() << '\n';
}

void run(Options const& o) {
  pl::io::Journal const journal = pl::io::read_journal(o.journal);
  print_header(journal.header().json(), "");
  print_steps(journal);
  if (!o.csv.empty()) {
    write_csv(o.csv, journal);
  }
  if (!o.svg.empty()) {
    draw(o.svg, journal);
  }
}

} // namespace

int main(int argc, char** argv) {
  Options options;
  int status = 0;
  if (!parse(argc, argv, options, status)) {
    return status;
  }
  return examples::run_program("inspect", "", [&] {
    run(options);
    return 0;
  });
}
