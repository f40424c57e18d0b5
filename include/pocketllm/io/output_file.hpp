// SPDX-License-Identifier: Apache-2.0
// Writing files so that they are on the disk and whole when the program says so.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/core/file_descriptor.hpp>

#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace pocketllm::io {

/// Puts the names in a directory on the disk: files created in it, renamed or deleted.
inline void sync_directory(std::filesystem::path const& directory) {
  FileDescriptor const opened = FileDescriptor::open(directory, O_RDONLY | O_DIRECTORY);
  require_system(opened.valid(), directory, "cannot be opened");
  // Some file systems (FUSE, network) refuse to sync directories; there is no more to be had there.
  bool const done = ::fsync(opened.number()) == 0 || errno == EINVAL || errno == ENOTSUP || errno == ENOSYS;
  require_system(done, directory, "cannot be written to the disk");
}

/// Opens `path`, creating a file if `flags` have O_CREAT, and locks it: two programs that write to the same
/// temporary name would mix their data. Throws Error if another one holds it. The lock ends with the
/// descriptor.
[[nodiscard]] inline FileDescriptor open_locked(std::filesystem::path const& path, int flags) {
  constexpr int attempts = 100; // each is lost only to another writer that finished at that very moment
  for (int attempt = 0; attempt < attempts; ++attempt) {
    FileDescriptor file = FileDescriptor::open(path, flags | O_NOFOLLOW, 0666); // narrowed by the umask
    require_system(file.valid(), path, "cannot be opened for writing");
    bool const locked = ::flock(file.number(), LOCK_EX | LOCK_NB) == 0;
    require(
        locked || errno != EWOULDBLOCK, path.string(),
        ": another program is writing this; wait until it is done"); // other errors: locks are not supported
    struct ::stat opened = {}, named = {};
    bool const known = ::fstat(file.number(), &opened) == 0 && ::lstat(path.c_str(), &named) == 0;
    if (known && opened.st_dev == named.st_dev && opened.st_ino == named.st_ino) {
      return file; // otherwise the writer that held the lock has renamed it since we opened it
    }
  }
  fail(path.string(), ": other programs keep replacing this while it is opened for writing");
}

/// What to do when writing fails with the error number `reason`, as the end of a message.
[[nodiscard]] inline char const* write_advice(int reason) noexcept {
  switch (reason) {
  case ENOSPC:
  case EDQUOT:
    return "; free some space and try again";
  case EFBIG:
    return "; raise the limit on the size of files (ulimit -f), or choose another file system";
  default:
    return "";
  }
}

/// A file being written from its beginning. An error names the file and the reason.
class OutputFile {
public:
  /// Creates `path`, or empties the file of that name. Throws Error if it cannot be written, or is written by
  /// another OutputFile.
  explicit OutputFile(std::filesystem::path path)
      : path_(std::move(path)), file_(open_locked(path_, O_WRONLY | O_CREAT)) {
    require_system(::ftruncate(file_.number(), 0) == 0, path_, "cannot be emptied");
  }

  /// As given to the constructor.
  [[nodiscard]] std::filesystem::path const& path() const noexcept { return path_; }

  /// Appends all bytes. Throws Error when the system refuses (a full disk), with what to do about it.
  void write(std::span<std::byte const> bytes) {
    constexpr std::size_t most = 64U << 20; // systems take at most 2 GiB at once
    while (!bytes.empty()) {
      ::ssize_t const written = ::write(file_.number(), bytes.data(), std::min(bytes.size(), most));
      if (written < 0 && errno == EINTR) {
        continue;
      }
      require_system(written >= 0, path_, "cannot be written", write_advice(errno));
      bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
  }

  /// The same for text, byte for byte.
  void write(std::string_view text) { write(std::as_bytes(std::span(text.data(), text.size()))); }

  /// Waits until all that was written is on the disk.
  void sync() {
    require_system(::fsync(file_.number()) == 0, path_, "cannot be written to the disk", write_advice(errno));
  }

private:
  std::filesystem::path path_;
  FileDescriptor file_;
};

/// Copies a file's bytes and waits until they are on the disk.
inline void copy_synced(std::filesystem::path const& from, std::filesystem::path const& to) {
  FileDescriptor const source = FileDescriptor::open(from, O_RDONLY);
  require_system(source.valid(), from, "cannot be opened");
  OutputFile copy(to);
  std::vector<std::byte> buffer(1U << 16); // bytes; larger ones copy no faster
  for (;;) {
    ::ssize_t const count = ::read(source.number(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) {
      continue;
    }
    require_system(count >= 0, from, "cannot be read");
    if (count == 0) {
      break;
    }
    copy.write(std::span(buffer).first(static_cast<std::size_t>(count)));
  }
  copy.sync();
}

} // namespace pocketllm::io
