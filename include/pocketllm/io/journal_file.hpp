// SPDX-License-Identifier: Apache-2.0
// The file of a journal while a run writes it: locked against other writers, written at its end, cut there.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/core/file_descriptor.hpp>
#include <pocketllm/io/atomic_file.hpp>
#include <pocketllm/io/model_directory.hpp>
#include <pocketllm/io/output_file.hpp>

#include <sys/types.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <span>
#include <utility>
#include <vector>

namespace pocketllm::io {

/// An open file that only this process may write. The lock ends with the object, or with the process however
/// that ends; a child of fork() shares it.
class LockedFile {
public:
  /// Creates `path` with `content`, which is on the disk when this returns: the file is there whole or not at
  /// all, whatever happens meanwhile. Throws Error when there is a file of that name, when another program is
  /// creating it, or when it cannot be written.
  [[nodiscard]] static LockedFile create(std::filesystem::path const& path,
                                         std::span<std::byte const> content) {
    std::filesystem::path const target = resolve_target(path);
    std::filesystem::path const temporary = temporary_beside(target);
    LockedFile file(temporary, open_locked(temporary, O_RDWR | O_CREAT));
    try {
      // The lock on the temporary name makes this and the renaming one step among programs that create.
      require(!path_exists(target), path.string(), ": is there already; resume it, or choose another name");
      require_system(file.cut(0), target, "cannot be emptied");
      bool const written = file.write(0, content) == content.size() && file.sync();
      require_system(written, target, "cannot be written", write_advice(errno));
      require_system(::rename(temporary.c_str(), target.c_str()) == 0, target, "cannot be created");
    } catch (...) {
      ::unlink(temporary.c_str());
      throw;
    }
    file.path_ = target; // the lock is on the file, not on its name
    sync_directory(target.parent_path());
    return file;
  }

  /// Opens a file that is there. Throws Error when there is none, when another program writes it, or when it
  /// may not be written.
  [[nodiscard]] static LockedFile open(std::filesystem::path const& path) {
    std::filesystem::path target = resolve_target(path);
    FileDescriptor file = open_locked(target, O_RDWR | O_NONBLOCK); // a named pipe would wait for a reader
    return {std::move(target), std::move(file)};
  }

  /// Absolute, with links followed.
  [[nodiscard]] std::filesystem::path const& path() const noexcept { return path_; }

  /// All bytes of the file. Throws Error when they cannot be read.
  [[nodiscard]] std::vector<std::byte> read_all() const {
    constexpr std::size_t block = 1U << 20; // bytes; a journal of 50,000 steps
    std::vector<std::byte> bytes;
    for (;;) {
      std::size_t const begin = bytes.size();
      bytes.resize(begin + block);
      ::ssize_t const count =
          ::pread(file_.number(), bytes.data() + begin, block, static_cast<::off_t>(begin));
      bool const again = count < 0 && errno == EINTR;
      require_system(count >= 0 || again, path_, "cannot be read");
      bytes.resize(begin + (again ? 0 : static_cast<std::size_t>(count)));
      if (count == 0) {
        return bytes;
      }
    }
  }

  /// Writes `bytes` at `offset` and returns how many were written: all, or fewer and `errno` says why.
  [[nodiscard]] std::size_t write(std::uint64_t offset, std::span<std::byte const> bytes) noexcept {
    std::size_t done = 0;
    while (done < bytes.size()) {
      ::ssize_t const count = ::pwrite(file_.number(), bytes.data() + done, bytes.size() - done,
                                       static_cast<::off_t>(offset + done));
      if (count > 0) {
        done += static_cast<std::size_t>(count);
      } else if (count == 0) { // no reason given; as on a full disk
        errno = ENOSPC;
        break;
      } else if (errno != EINTR) {
        break;
      }
    }
    return done;
  }

  /// Waits until data and size are on the disk; false and `errno` when they are not.
  [[nodiscard]] bool sync() noexcept {
#if defined(__APPLE__)
    return ::fsync(file_.number()) == 0; // fdatasync is not declared there
#else
    return ::fdatasync(file_.number()) == 0;
#endif
  }

  /// Cuts the file to `size` bytes; false and `errno` when that fails.
  [[nodiscard]] bool cut(std::uint64_t size) noexcept {
    return ::ftruncate(file_.number(), static_cast<::off_t>(size)) == 0;
  }

private:
  LockedFile(std::filesystem::path path, FileDescriptor file)
      : path_(std::move(path)), file_(std::move(file)) {}

  std::filesystem::path path_;
  FileDescriptor file_;
};

} // namespace pocketllm::io
