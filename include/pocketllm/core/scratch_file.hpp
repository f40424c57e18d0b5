// SPDX-License-Identifier: Apache-2.0
// Memory in a file without a name: what lies there may leave memory, and comes back when it is read.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/core/file_descriptor.hpp>

#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <span>
#include <string>
#include <utility>

namespace pocketllm {

/// A file of a fixed size that is written once, from its beginning, and read through a memory map. It has no
/// name, so it is gone when this object or the program is, however it ends.
class ScratchFile {
public:
  /// Takes `bytes` of the disk that `directory` is on, all at once: a full disk is noticed here and not in
  /// the middle of a run. Throws Error that names the directory and the reason.
  ScratchFile(std::filesystem::path const& directory, std::size_t bytes) : path_(directory), size_(bytes) {
    require(bytes != 0, path_.string(), ": a scratch file of no bytes");
    std::string name = (directory / "pocketllm-XXXXXX").string();
    file_ = FileDescriptor(::mkostemp(name.data(), O_CLOEXEC));
    require_system(file_.valid(), path_, "no scratch file can be made there");
    ::unlink(name.c_str());
    require_system(allocate(file_, bytes), path_, "there is no room for a scratch file",
                   "; free some space, or ask for a smaller one");
    void* const address = ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED, file_.number(), 0);
    require_system(address != MAP_FAILED, path_, "a scratch file cannot be mapped into memory");
    data_ = static_cast<std::byte const*>(address);
  }

  ScratchFile(ScratchFile&& other) noexcept
      : path_(std::move(other.path_)), file_(std::move(other.file_)),
        data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)),
        used_(std::exchange(other.used_, 0)) {}
  ScratchFile& operator=(ScratchFile&& other) noexcept {
    std::swap(path_, other.path_);
    std::swap(file_, other.file_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(used_, other.used_);
    return *this;
  }
  ~ScratchFile() {
    if (data_ != nullptr) {
      ::munmap(const_cast<std::byte*>(data_), size_);
    }
  }

  /// Bytes that can be written yet.
  [[nodiscard]] std::size_t room() const noexcept { return size_ - used_; }

  /// Writes `bytes` behind those written before, and returns them as they lie in the map, which stay valid as
  /// long as this object. Throws Error if there is no room, or the disk fails.
  std::span<std::byte const> append(std::span<std::byte const> bytes) {
    require(bytes.size() <= room(), path_.string(), ": ", bytes.size(),
            " bytes for a scratch file with room for ", room());
    std::size_t const begin = used_;
    while (!bytes.empty()) {
      ::ssize_t const written =
          ::pwrite(file_.number(), bytes.data(), bytes.size(), static_cast<::off_t>(used_));
      if (written < 0 && errno == EINTR) {
        continue;
      }
      require_system(written > 0, path_, "the scratch file there cannot be written");
      used_ += static_cast<std::size_t>(written);
      bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
    return {data_ + begin, used_ - begin};
  }

private:
  /// Sets `errno` if it fails.
  [[nodiscard]] static bool allocate(FileDescriptor const& file, std::size_t bytes) noexcept {
#if defined(__APPLE__) // has no posix_fallocate; there a full disk is noticed by append()
    return ::ftruncate(file.number(), static_cast<::off_t>(bytes)) == 0;
#else
    errno = ::posix_fallocate(file.number(), 0, static_cast<::off_t>(bytes));
    return errno == 0;
#endif
  }

  std::filesystem::path path_; ///< of the directory
  FileDescriptor file_;
  std::byte const* data_ = nullptr;
  std::size_t size_ = 0, used_ = 0;
};

} // namespace pocketllm
