// SPDX-License-Identifier: Apache-2.0
// A directory that is replaced as a whole, or not at all.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/core/file_descriptor.hpp>
#include <pocketllm/io/atomic_file.hpp>
#include <pocketllm/io/model_directory.hpp>
#include <pocketllm/io/output_file.hpp>

#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <string>
#include <system_error>

namespace pocketllm::io {

namespace detail {

/// Where the old directory waits while the new one takes its place, on systems that cannot exchange names.
[[nodiscard]] inline std::filesystem::path retired_beside(std::filesystem::path const& target) {
  return target.parent_path() / concat('.', target.filename().string(), ".old");
}

/// Exchanges the names of two directories in one step. False where the system or the file system cannot.
[[nodiscard]] inline bool exchange_names(std::filesystem::path const& a,
                                         std::filesystem::path const& b) noexcept {
// Android has the call from API level 30 on, and kills programs that try it as a bare system call before.
#if defined(RENAME_EXCHANGE) && !(defined(__ANDROID_API__) && __ANDROID_API__ < 30)
  return ::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE) == 0;
#else
  static_cast<void>(a);
  static_cast<void>(b);
  return false;
#endif
}

/// Puts `fresh` in the place of the directory `target` in two steps: a crash between them leaves both whole,
/// the old one as `.NAME.old`, from where `recover_retired` brings it back.
inline void replace_in_two_steps(std::filesystem::path const& fresh, std::filesystem::path const& target) {
  std::filesystem::path const retired = retired_beside(target);
  std::error_code ignored;
  std::filesystem::remove_all(retired, ignored); // left over by a crash behind the second step
  require_system(::rename(target.c_str(), retired.c_str()) == 0, target, "cannot be replaced");
  if (::rename(fresh.c_str(), target.c_str()) != 0) {
    int const reason = errno;
    static_cast<void>(::rename(retired.c_str(), target.c_str()));
    fail(target.string(), ": cannot be replaced: ", error_text(reason));
  }
}

/// Undoes the first step of `replace_in_two_steps` when the second never came.
inline void recover_retired(std::filesystem::path const& target) {
  std::filesystem::path const retired = retired_beside(target);
  if (!path_exists(target) && directory_exists(retired)) {
    require_system(::rename(retired.c_str(), target.c_str()) == 0, retired, "cannot be renamed");
  }
}

} // namespace detail

/// An empty directory beside `target` to put files into; `commit` puts it in the place of `target`, which may
/// exist. Without a commit the target stays as it was and the temporary directory is removed.
class AtomicDirectory {
public:
  /// Creates the temporary directory, and the parents of `target` where they are missing. Throws Error if
  /// that is not possible, or another program is writing the same target.
  explicit AtomicDirectory(std::filesystem::path const& target)
      : target_(resolve_target(target)), path_(temporary_beside(target_)) {
    std::error_code error;
    std::filesystem::create_directories(target_.parent_path(), error);
    require(!error, target_.parent_path().string(), ": cannot be created: ", error.message());
    detail::recover_retired(target_);
    bool const made = ::mkdir(path_.c_str(), 0777) == 0 || errno == EEXIST; // narrowed by the umask
    require_system(made, target_.parent_path(), "cannot be written to");
    lock_ = open_locked(path_, O_RDONLY | O_DIRECTORY);
    for (auto const& leftover : std::filesystem::directory_iterator(path_, error)) { // of a killed program
      std::filesystem::remove_all(leftover.path(), error);
    }
    require(!error, path_.string(), ": cannot be emptied: ", error.message());
  }
  AtomicDirectory(AtomicDirectory const&) = delete;
  AtomicDirectory& operator=(AtomicDirectory const&) = delete;
  ~AtomicDirectory() {
    if (!committed_) {
      remove_temporary();
    }
  }

  /// Where to put the files. Each has to be on the disk (OutputFile::sync) before `commit`.
  [[nodiscard]] std::filesystem::path const& path() const noexcept { return path_; }
  /// The path whose place the directory takes: absolute, links followed.
  [[nodiscard]] std::filesystem::path const& target() const noexcept { return target_; }

  /// Puts the directory in the place of the target, waits until that is on the disk and removes the old one.
  /// Throws Error, with the target as it was, when the disk or the parent directory refuses.
  void commit() {
    sync_directory(path_);
    bool const replaces = path_exists(target_);
    if (!replaces) {
      require_system(::rename(path_.c_str(), target_.c_str()) == 0, target_, "cannot be created");
    } else if (!detail::exchange_names(path_, target_)) {
      detail::replace_in_two_steps(path_, target_);
    }
    committed_ = true;
    sync_directory(target_.parent_path());
    if (replaces) {
      remove_temporary(); // which is the old directory now, or was renamed to:
      std::error_code ignored;
      std::filesystem::remove_all(detail::retired_beside(target_), ignored);
    }
  }

private:
  void remove_temporary() noexcept {
    std::error_code ignored; // what cannot be removed now is by the next one
    std::filesystem::remove_all(path_, ignored);
  }

  std::filesystem::path target_;
  std::filesystem::path path_;
  FileDescriptor lock_;
  bool committed_ = false;
};

} // namespace pocketllm::io
