// SPDX-License-Identifier: Apache-2.0
// A file that is replaced as a whole: readers, and whoever comes after a crash, see the old one or the new
// one.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/core/file_descriptor.hpp>
#include <pocketllm/io/output_file.hpp>

#include <unistd.h>

#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

namespace pocketllm::io {

/// The path that a replacement of `target` has to take the place of: absolute, links followed, so that a link
/// stays a link and points to the new content. Throws Error when the path names no file.
[[nodiscard]] inline std::filesystem::path resolve_target(std::filesystem::path const& target) {
  require(!target.empty(), "a path to write to is expected, found an empty one");
  std::error_code error;
  std::filesystem::path path = std::filesystem::absolute(target, error).lexically_normal();
  if (!path.has_filename()) { // "out/"
    path = path.parent_path();
  }
  require(!error && path.has_filename(), target.string(), ": is not a path that can be written to");
  if (std::filesystem::is_symlink(path, error)) {
    std::filesystem::path followed = std::filesystem::canonical(path, error);
    require(!error, target.string(), ": is a link that cannot be followed: ", error.message());
    return followed;
  }
  return path;
}

/// A hidden name beside `target`, on the same file system so that it can be renamed. It is always the same:
/// what a killed program left is used again and does not pile up.
[[nodiscard]] inline std::filesystem::path temporary_beside(std::filesystem::path const& target) {
  return target.parent_path() / concat('.', target.filename().string(), ".saving");
}

/// Writes a temporary file beside `target`; `commit` puts it on the disk and in the place of `target`.
/// Without a commit (an error on the way) the target stays as it was and the temporary file is removed.
class AtomicFile {
public:
  /// Throws Error if the directory cannot be written to, or another program is writing the same target.
  explicit AtomicFile(std::filesystem::path const& target)
      : target_(resolve_target(target)), file_(temporary_beside(target_)) {}
  AtomicFile(AtomicFile const&) = delete;
  AtomicFile& operator=(AtomicFile const&) = delete;
  ~AtomicFile() {
    if (!committed_) {
      ::unlink(file_.path().c_str());
    }
  }

  /// The path whose place the file takes: absolute, links followed.
  [[nodiscard]] std::filesystem::path const& target() const noexcept { return target_; }

  /// The temporary file, for functions that write to one.
  [[nodiscard]] OutputFile& file() noexcept { return file_; }
  /// Appends to the temporary file. Throws Error, with the target as it was, when the disk refuses.
  void write(std::span<std::byte const> bytes) { file_.write(bytes); }
  /// The same for text, byte for byte.
  void write(std::string_view text) { file_.write(text); }

  /// Replaces the target. Throws Error, with the target as it was, when the disk or the directory refuses.
  void commit() {
    file_.sync();
    require_system(::rename(file_.path().c_str(), target_.c_str()) == 0, target_, "cannot be replaced");
    committed_ = true;
    sync_directory(target_.parent_path());
  }

private:
  std::filesystem::path target_;
  OutputFile file_;
  bool committed_ = false;
};

} // namespace pocketllm::io
