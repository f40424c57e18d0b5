// SPDX-License-Identifier: Apache-2.0
// Snapshots: the trained weights beside a journal every so many steps, so that a run that goes on after a
// crash replays the last steps only. The journal stays enough without them.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/core/runtime.hpp>
#include <pocketllm/io/atomic_file.hpp>
#include <pocketllm/io/digest.hpp>
#include <pocketllm/io/journal.hpp>
#include <pocketllm/io/model_directory.hpp>
#include <pocketllm/io/safetensors.hpp>
#include <pocketllm/io/safetensors_writer.hpp>
#include <pocketllm/io/strict_json.hpp>
#include <pocketllm/tensor/visit.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace pocketllm::train {

/// How often weights are kept, and where.
struct SnapshotOptions {
  std::uint64_t every = 0;              ///< steps; 0 for no snapshots
  std::filesystem::path directory = {}; ///< empty: beside the journal
};

/// The snapshots of one journal, files NAME.STEP.safetensors. Each is written under another name, synced and
/// renamed, then noted in the journal with its digest:
///   {"snapshot": {"next_step": N, "weights": "blake3:..."}}
/// and only then the one before it is removed. So at every instant the newest one that the journal notes is
/// whole, unless the disk lost it, and a file that the note's digest does not fit is not used.
class Snapshots {
public:
  /// Those of the journal in the file `journal`.
  Snapshots(std::filesystem::path const& journal, SnapshotOptions const& options)
      : every_(options.every), path_(io::resolve_target(journal)) {
    if (!options.directory.empty()) {
      require(io::directory_exists(options.directory), options.directory.string(),
              ": there is no such directory for snapshots; create it first");
      path_ = options.directory / path_.filename();
    }
  }

  /// Whether one is to be taken when `next_step` steps are done: at multiples of `every`, and behind one that
  /// a crash prevented.
  [[nodiscard]] bool due(std::uint64_t next_step) const noexcept {
    return every_ != 0 && next_step / every_ > last_ / every_;
  }

  /// Writes the trained weights, which are those behind the last step in the journal. Throws Error when the
  /// disk refuses; then the snapshot before it, and the journal, are as they were.
  template <tensor::HasTensors Model>
  void take(Model const& model, io::JournalWriter& journal, Runtime& runtime) {
    journal.flush(); // a snapshot must never be ahead of its journal
    std::vector<io::TensorEntry> const tensors = trained_entries(model);
    std::filesystem::path const path = file_of(journal.next_step());
    io::AtomicFile file(path);
    io::write_safetensors(file.file(), tensors, {});
    file.commit();
    journal.note(
        {{"snapshot",
          {{"next_step", journal.next_step()}, {"weights", io::digest_text(digest(tensors, runtime))}}}});
    journal.flush();
    last_ = journal.next_step();
    remove_others(path);
  }

  /// What `restore` found.
  struct Restored {
    std::uint64_t next_step = 0; ///< the weights are those before this step; 0: they are as they were
    std::string problem;         ///< what is wrong with newer snapshots; empty when nothing is
  };

  /// Puts the newest snapshot that is whole into the trained tensors of the model.
  template <tensor::HasTensors Model>
  [[nodiscard]] Restored restore(Model& model, io::Journal const& journal, Runtime& runtime) {
    Restored result;
    for (auto note = journal.notes().rbegin(); note != journal.notes().rend(); ++note) {
      io::Json const* const snapshot = text::find_member(note->json, "snapshot");
      if (snapshot == nullptr || !snapshot->is_object() || !snapshot->contains("next_step")) {
        continue;
      }
      auto const next_step = snapshot->at("next_step").template get<std::uint64_t>();
      if (!io::path_exists(file_of(next_step))) {
        continue; // removed when a newer one was there
      }
      try {
        io::SafetensorsFile const file(file_of(next_step));
        fill(model, file, text::string_member(*snapshot, "weights", journal.name()), runtime);
        result.next_step = last_ = next_step;
        return result;
      } catch (Error const& error) {
        result.problem = concat("the snapshot of step ", next_step, " is not used: ", error.what());
      }
    }
    return result;
  }

private:
  [[nodiscard]] std::filesystem::path file_of(std::uint64_t step) const {
    return path_.parent_path() / concat(path_.filename().string(), '.', step, ".safetensors");
  }

  template <tensor::HasTensors Model>
  [[nodiscard]] static std::vector<io::TensorEntry> trained_entries(Model const& model) {
    std::set<std::string> trained;
    tensor::for_each_tensor(model, [&](auto const& tensor) {
      if (tensor.trained()) {
        trained.insert(tensor.name());
      }
    });
    std::vector<io::TensorEntry> entries = io::list_tensors(model);
    std::erase_if(entries, [&](io::TensorEntry const& entry) { return !trained.contains(entry.name); });
    return entries;
  }

  [[nodiscard]] static Blake3Digest digest(std::vector<io::TensorEntry> const& tensors, Runtime& runtime) {
    return io::join_digests(tensors, io::hash_tensors(std::span(tensors), runtime.pool(), [](auto) {}));
  }

  /// The digest is over names, types and shapes, too, but of another run with the same tensors it could not
  /// tell which are trained here; nothing is written before all are found.
  template <tensor::HasTensors Model>
  static void fill(Model& model, io::SafetensorsFile const& file, std::string const& expected,
                   Runtime& runtime) {
    std::string const& name = file.content.file();
    std::string const found = io::digest_text(digest(file.content.tensors(), runtime));
    require(found == expected, name, ": its digest is ", found, ", the journal says ", expected);
    std::vector<io::TensorEntry> const wanted = trained_entries(model);
    bool fits = wanted.size() == file.content.tensors().size();
    for (io::TensorEntry const& entry : wanted) {
      io::TensorEntry const* const other = file.content.find(entry.name);
      fits = fits && other != nullptr && other->bytes.size() == entry.bytes.size();
    }
    require(fits, name, ": holds other tensors than those that are trained");
    tensor::for_each_tensor(model, [&](auto& tensor) {
      if constexpr (requires { tensor.mutable_data(); }) { // others are never trained
        if (tensor.trained()) {
          std::span<std::byte const> const bytes = file.content.find(tensor.name())->bytes;
          std::memcpy(tensor.mutable_data(), bytes.data(), bytes.size());
        }
      }
    });
  }

  /// Removes older snapshots, and those of steps that a damaged journal has lost.
  void remove_others(std::filesystem::path const& keep) const {
    std::string const prefix = path_.filename().string() + ".", suffix = ".safetensors";
    std::error_code ignored; // one that stays costs space and nothing else
    for (auto const& entry : std::filesystem::directory_iterator(path_.parent_path(), ignored)) {
      std::string const name = entry.path().filename().string();
      bool const ours = name.size() > prefix.size() + suffix.size() && name.starts_with(prefix) &&
                        name.ends_with(suffix) &&
                        std::all_of(name.begin() + static_cast<std::ptrdiff_t>(prefix.size()),
                                    name.end() - static_cast<std::ptrdiff_t>(suffix.size()),
                                    [](char c) { return c >= '0' && c <= '9'; });
      if (ours && name != keep.filename().string()) {
        std::filesystem::remove(entry.path(), ignored);
      }
    }
  }

  std::uint64_t every_;
  std::uint64_t last_ = 0;     ///< next step of the newest snapshot that is whole
  std::filesystem::path path_; ///< of the journal, in the directory of the snapshots
};

} // namespace pocketllm::train
