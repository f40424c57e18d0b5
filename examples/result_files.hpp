// SPDX-License-Identifier: Apache-2.0
// The files that finetune_classifier writes: whether they can be written, and the one of predictions.
#pragma once

#include "classifier_options.hpp"
#include <pocketllm/core/error.hpp>
#include <pocketllm/io/atomic_directory.hpp>
#include <pocketllm/io/model_directory.hpp>
#include <pocketllm/text/dataset.hpp>
#include <pocketllm/train/evaluate.hpp>

#include <nlohmann/json.hpp>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace examples {

namespace detail {

/// Throws Error when `file`, given by `option`, can certainly not be written. An empty path is none.
inline void check_file(std::string const& option, std::filesystem::path const& file,
                       std::filesystem::path const& out) {
  namespace fs = std::filesystem;
  if (file.empty()) {
    return;
  }
  std::error_code ignored;
  std::string const name = option + " " + file.string();
  fs::path const folder = file.has_parent_path() ? file.parent_path() : ".";
  pocketllm::require(fs::is_directory(folder, ignored), name, ": there is no directory ", folder.string(),
                     "; create it first");
  pocketllm::require(!fs::is_directory(file, ignored), name, ": is a directory; name a file");
  fs::path const& written = fs::exists(file, ignored) ? file : folder;
  bool const writable = ::access(written.c_str(), W_OK) == 0;
  pocketllm::require(writable, name, ": no permission to write ", written.string(), "; choose another place");
  pocketllm::require(out.empty() || !fs::equivalent(folder, out, ignored), name,
                     ": is in the directory of --out, which is replaced as a whole; choose another place");
}

/// Throws Error when the directory `out` cannot be written, or holds something else than what replaces it,
/// which has a file `marker`. An empty path is none.
inline void check_directory(std::filesystem::path const& out, std::string_view marker) {
  namespace fs = std::filesystem;
  if (out.empty()) {
    return;
  }
  std::error_code error;
  std::string const name = "--out " + out.string();
  pocketllm::io::AtomicDirectory const probe(out); // that there is permission to make one
  if (fs::exists(out, error)) {
    pocketllm::require(fs::is_directory(out, error), name, ": is not a directory; choose another name");
    pocketllm::require(!fs::equivalent(out, fs::current_path(error), error), name,
                       ": is the current directory, which cannot be replaced; choose another");
    bool const model = marker == pocketllm::io::config_file;
    bool const same =
        fs::exists(out / marker, error) && (model || !fs::exists(out / pocketllm::io::config_file, error));
    pocketllm::require(same || fs::is_empty(out, error), name, ": holds something else than ",
                       model ? "a model" : "an adapter", ", which saving would replace; choose another");
    for (auto const& entry : fs::directory_iterator(out, error)) {
      pocketllm::require(!entry.is_directory(error), name, ": has a directory ",
                         entry.path().filename().string(), ", which saving would remove; choose another");
    }
  }
}

} // namespace detail

/// Throws Error when some result could not be written: better before hours of training than after them. In
/// --out will be a model, or else something that has a file `marker`.
inline void check_results(ClassifierOptions const& o, std::string_view marker = pocketllm::io::config_file) {
  detail::check_file("--metrics", o.metrics, o.out);
  detail::check_file("--plot", o.plot, o.out);
  detail::check_file("--predictions", o.predictions, o.out);
  detail::check_file("--journal", o.journal.file, o.out);
  check_journal(o.journal);
  detail::check_directory(o.out, marker);
}

/// Writes a file of a JSON object on each line. Throws Error when that cannot be done.
inline void write_json_lines(std::filesystem::path const& path,
                             std::vector<nlohmann::ordered_json> const& lines) {
  errno = 0;
  std::ofstream file(path, std::ios::binary);
  for (auto const& line : lines) {
    file << line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) << '\n';
  }
  file.flush();
  pocketllm::require(file.good(), path.string(), ": cannot be written",
                     errno != 0 ? pocketllm::concat(" (", std::strerror(errno), ")") : "",
                     "; check the folder and the space on the disk");
}

/// A line of JSON for each test example: label, predicted label, the score of each class, the texts. Throws
/// Error when that cannot be written.
inline void write_predictions(std::filesystem::path const& path, pocketllm::text::Dataset const& data,
                              pocketllm::train::Evaluation const& result) {
  std::vector<nlohmann::ordered_json> lines;
  std::size_t const classes = data.classes.size();
  for (std::size_t i = 0; i < result.labels.size(); ++i) {
    nlohmann::ordered_json line{{"label", data.classes[result.labels[i]]},
                                {"predicted", data.classes[result.predictions[i]]}};
    for (std::size_t c = 0; c < classes; ++c) {
      line["scores"][data.classes[c]] = result.scores[i * classes + c];
    }
    for (std::size_t f = 0; f < data.field_names.size(); ++f) {
      line["fields"][data.field_names[f]] = data.examples[i].fields[f];
    }
    lines.push_back(std::move(line));
  }
  write_json_lines(path, lines);
}

} // namespace examples
