// SPDX-License-Identifier: Apache-2.0
// An open file of POSIX that closes itself, and errors with the system's reason.
#pragma once

#include <pocketllm/core/error.hpp>

#include <fcntl.h>
#include <sys/types.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

namespace pocketllm {

/// The system's words for an error number, `errno` unless another is given.
[[nodiscard]] inline std::string error_text(int number = errno) {
  return std::generic_category().message(number);
}

/// Throws Error `path: what: the system's reason` and then `advice` unless `done`. Call it right behind the
/// system call, before anything else sets `errno`.
inline void require_system(bool done, std::filesystem::path const& path, char const* what,
                           char const* advice = "") {
  if (!done) [[unlikely]] {
    int const reason = errno;
    fail(path.string(), ": ", what, ": ", error_text(reason), advice);
  }
}

/// Owns an open file; -1 stands for none.
class FileDescriptor {
public:
  FileDescriptor() = default;
  /// Takes over `number`, an open file of the caller's; below 0 for none.
  explicit FileDescriptor(int number) noexcept : number_(number) {}
  FileDescriptor(FileDescriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  ~FileDescriptor() { close(); }

  /// Opens `path`; check `valid()`, and `errno` for the reason. Programs that are started later do not
  /// inherit it.
  [[nodiscard]] static FileDescriptor open(std::filesystem::path const& path, int flags,
                                           ::mode_t mode = 0) noexcept {
    int number = -1;
    do {
      number = ::open(path.c_str(), flags | O_CLOEXEC, mode);
    } while (number < 0 && errno == EINTR);
    return FileDescriptor(number);
  }

  /// Whether there is an open file.
  [[nodiscard]] bool valid() const noexcept { return number_ >= 0; }
  /// What system calls take; below 0 for none. Still owned by this object.
  [[nodiscard]] int number() const noexcept { return number_; }

  /// True when there was nothing to close or closing reported no late error of writing (`errno` else).
  bool close() noexcept {
    int const number = std::exchange(number_, -1);
    return number < 0 || ::close(number) == 0 || errno == EINTR; // EINTR: closed all the same on Linux
  }

private:
  int number_ = -1;
};

} // namespace pocketllm
