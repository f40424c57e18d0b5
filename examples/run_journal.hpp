// SPDX-License-Identifier: Apache-2.0
// The journal of a program that trains: its options, how it is begun or gone on with, and how it ends.
#pragma once

#include "command_line.hpp"
#include <pocketllm/core/error.hpp>
#include <pocketllm/io/digest.hpp>
#include <pocketllm/io/journal.hpp>
#include <pocketllm/io/model_directory.hpp>
#include <pocketllm/train/snapshots.hpp>
#include <pocketllm/train/trainer.hpp>

#include <CLI/CLI.hpp>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <ostream>
#include <string>
#include <utility>

namespace examples {

struct JournalOptions {
  std::filesystem::path file; ///< empty: none
  bool resume = false, accept_damage = false;
  std::int64_t snapshot_every = 0; ///< 0: no snapshots
  std::filesystem::path snapshots;
};

inline void add_journal(CLI::App& app, JournalOptions& o) {
  app.option_defaults()->group("Journal");
  CLI::Option* const file =
      app.add_option(
             "--journal", o.file,
             "Write the run down, some 18 bytes a step: enough to go on after a crash, and to make the "
             "model again from the base one (replay)")
          ->type_name("FILE");
  app.add_flag("--resume", o.resume, "Go on with --journal where it ends; begin it if there is none")
      ->needs(file);
  app.add_flag("--accept-damage", o.accept_damage,
               "With --resume: of a journal that is damaged in its middle, repeat the steps from there on")
      ->needs(file);
  CLI::Option* const every =
      app.add_option(
             "--snapshot-every", o.snapshot_every,
             "Also keep the weights, after every N steps, so that --resume is quicker (default: never)")
          ->needs(file)
          ->check(whole_number(1, 1'000'000'000'000))
          ->type_name("N");
  app.add_option("--snapshots", o.snapshots, "Directory for them (default: that of the journal)")
      ->needs(every)
      ->type_name("DIR");
}

/// Throws Error when the journal can certainly not be begun.
inline void check_journal(JournalOptions const& o) {
  bool const there = !o.file.empty() && pocketllm::io::path_exists(o.file);
  pocketllm::require(!there || o.resume, "--journal ", o.file.string(),
                     ": is there already; go on with it by --resume, or choose another name");
}

/// The journal of one run, open for writing (by the first member of a team; the others read it).
template <class Model, class Trainer, pocketllm::train::Team Team>
class RunJournal {
public:
  /// Begins the journal, or brings the model to where it ends; `out` is told of that. The trainer then writes
  /// to it. Model, trainer and runtime must outlive this.
  RunJournal(JournalOptions const& options, Model& model, Trainer& trainer,
             pocketllm::train::RunDescription description, pocketllm::Runtime& runtime, Team team,
             std::ostream& out)
      : model_(model), runtime_(runtime), snapshots_(options.file, snapshot_options(options)) {
    pocketllm::io::JournalHeader const header = trainer.header(std::move(description));
    bool const there = team.any(pocketllm::io::path_exists(options.file));
    if (team.rank() == 0) {
      if (there) {
        auto [writer, journal] = pocketllm::io::JournalWriter::resume(
            options.file, header, {.policy = {}, .accept_damage = options.accept_damage});
        writer_.emplace(std::move(writer));
        past_.emplace(std::move(journal));
      } else {
        writer_.emplace(pocketllm::io::JournalWriter::create(options.file, header));
      }
      trainer.record(&*writer_, &snapshots_);
    }
    static_cast<void>(team.any(false)); // the others wait until what was torn is cut
    if (there && team.rank() != 0) {
      past_.emplace(pocketllm::io::read_journal(options.file));
      pocketllm::io::require_same(past_->header(), header, options.file.string());
    }
    if (past_) {
      replay(trainer, out);
    }
  }

  /// The step to go on with.
  [[nodiscard]] std::uint64_t first() const { return past_ ? past_->next_step() : 0; }
  /// What was in the journal; null when it is a new one.
  [[nodiscard]] pocketllm::io::Journal const* past() const { return past_ ? &*past_ : nullptr; }

  /// Notes how the run ended. Returns the digest of the weights.
  std::string finish(pocketllm::train::Outcome const& outcome) {
    using Reason = pocketllm::train::Outcome::Reason;
    std::string const weights = pocketllm::io::digest_text(pocketllm::io::digest(model_, runtime_));
    pocketllm::io::Closing const closing{outcome.next_step,
                                         outcome.reason == Reason::finished  ? "finished"
                                         : outcome.reason == Reason::stopped ? "stopped"
                                                                             : "diverged",
                                         weights};
    if (writer_ && !(past_ && past_->closing() == closing)) {
      writer_->finish(closing);
    }
    return weights;
  }

private:
  [[nodiscard]] static pocketllm::train::SnapshotOptions snapshot_options(JournalOptions const& o) {
    return {.every = static_cast<std::uint64_t>(o.snapshot_every), .directory = o.snapshots};
  }

  void replay(Trainer& trainer, std::ostream& out) {
    if (std::string const tail = past_->tail_text(); !tail.empty()) {
      out << "note     " << tail << std::endl;
    }
    auto const restored = snapshots_.restore(model_, *past_, runtime_);
    if (!restored.problem.empty()) {
      out << "note     " << restored.problem << std::endl;
    }
    trainer.resume(*past_, restored.next_step);
    out << "resumed  at step " << past_->next_step() << " of the journal";
    if (restored.next_step != 0) {
      out << ", from the snapshot of step " << restored.next_step;
    }
    out << std::endl;
  }

  Model& model_;
  pocketllm::Runtime& runtime_;
  pocketllm::train::Snapshots snapshots_;
  std::optional<pocketllm::io::JournalWriter> writer_;
  std::optional<pocketllm::io::Journal> past_;
};

} // namespace examples
