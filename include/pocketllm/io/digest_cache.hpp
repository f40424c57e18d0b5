// SPDX-License-Identifier: Apache-2.0
// The digest of a model's directory, kept in a small file so that gigabytes are hashed once and not at every
// start.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/core/runtime.hpp>
#include <pocketllm/io/atomic_file.hpp>
#include <pocketllm/io/checkpoint.hpp>
#include <pocketllm/io/digest.hpp>
#include <pocketllm/io/model_directory.hpp>
#include <pocketllm/io/strict_json.hpp>

#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <ctime>
#include <exception>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pocketllm::io {

/// The cache beside the model, unless another is asked for.
inline constexpr std::string_view digest_cache_file = ".pocketllm-digest.json";

/// How a digest is found.
struct DigestOptions {
  /// Where the digest is kept; empty for `digest_cache_file` in the model's directory, and nowhere when that
  /// cannot be written. One file serves one directory.
  std::filesystem::path cache = {};
};

namespace detail {

/// What changes when a file is written to: its size in bytes, and the nanoseconds of its last writing and of
/// the last change of its entry (which no program can set back).
[[nodiscard]] inline Json file_stamp(std::filesystem::path const& path) {
  struct ::stat status = {};
  require_system(::stat(path.c_str(), &status) == 0, path, "cannot be examined");
#if defined(__APPLE__)
  ::timespec const written = status.st_mtimespec, changed = status.st_ctimespec;
#else
  ::timespec const written = status.st_mtim, changed = status.st_ctim;
#endif
  auto const nanoseconds = [](::timespec const& time) {
    return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + static_cast<std::int64_t>(time.tv_nsec);
  };
  return {{"name", path.filename().string()},
          {"size", static_cast<std::int64_t>(status.st_size)},
          {"written", nanoseconds(written)},
          {"changed", nanoseconds(changed)}};
}

/// The stamps of the files that hold the weights.
[[nodiscard]] inline Json weight_stamps(Checkpoint const& checkpoint) {
  Json stamps = Json::array();
  for (SafetensorsFile const& file : checkpoint.files()) {
    stamps.push_back(file_stamp(file.content.file()));
  }
  return stamps;
}

/// Whether a file may yet be written to within the same tick of the file system's clock, which its stamp
/// would not tell. Two seconds is the tick of FAT, the coarsest there is.
[[nodiscard]] inline bool is_young(Json const& stamps) {
  using std::chrono::nanoseconds;
  auto const now =
      std::chrono::duration_cast<nanoseconds>(std::chrono::system_clock::now().time_since_epoch());
  return std::any_of(stamps.begin(), stamps.end(), [&](Json const& stamp) {
    return stamp.at("changed").get<std::int64_t>() > (now - std::chrono::seconds(2)).count();
  });
}

/// The digest in a cache whose stamps are these; empty when there is none, whatever the reason.
[[nodiscard]] inline std::string cached_digest(std::filesystem::path const& cache, Json const& stamps) {
  try {
    Json const json = read_object(cache);
    bool const fits = json.at("files") == stamps;
    std::string digest = json.at("digest").get<std::string>();
    bool const whole = digest.size() == 71 && digest.starts_with("blake3:"); // of a text of digest_text
    return fits && whole ? digest : "";
  } catch (std::exception const&) { // no cache, or a damaged one, which is as good as none
    return "";
  }
}

[[nodiscard]] inline std::string hash_checkpoint(Checkpoint const& checkpoint, ThreadPool& pool) {
  std::vector<TensorEntry> tensors;
  std::vector<Blake3Digest> elements;
  for (SafetensorsFile const& file : checkpoint.files()) {
    std::vector<TensorEntry> const& own = file.content.tensors();
    std::vector<Blake3Digest> const hashed =
        hash_tensors(std::span(own), pool, [&](std::span<std::byte const> done) { file.map->drop(done); });
    tensors.insert(tensors.end(), own.begin(), own.end());
    elements.insert(elements.end(), hashed.begin(), hashed.end());
  }
  return digest_text(join_digests(tensors, elements));
}

} // namespace detail

/// The digest, as text, of all tensors in the weights files of a Hugging Face directory. It is that of a
/// model saved there; a model loaded from there has it too if it takes all tensors in the types of the file.
/// Memory stays within some megabytes. The result is kept in the cache and taken from there as long as names,
/// sizes and times of the files are the same. Throws Error when the weights cannot be read, or a cache that
/// the caller chose cannot be written.
[[nodiscard]] inline std::string directory_digest(std::filesystem::path const& directory, Runtime& runtime,
                                                  DigestOptions const& options = {}) {
  Checkpoint const checkpoint = Checkpoint::open(directory);
  Json const stamps = detail::weight_stamps(checkpoint);
  std::filesystem::path const cache = options.cache.empty() ? directory / digest_cache_file : options.cache;
  if (std::string found = detail::cached_digest(cache, stamps); !found.empty()) {
    return found;
  }
  std::string digest = detail::hash_checkpoint(checkpoint, runtime.pool());
  if (detail::is_young(stamps) || detail::weight_stamps(checkpoint) != stamps) {
    return digest; // written to only now: its stamps would not tell from what comes next
  }
  try {
    AtomicFile file(cache);
    file.write(Json{{"digest", digest}, {"files", stamps}}.dump(2) + "\n");
    file.commit();
  } catch (Error const&) {
    if (!options.cache.empty()) {
      throw;
    }
  }
  return digest;
}

} // namespace pocketllm::io
