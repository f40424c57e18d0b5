// SPDX-License-Identifier: Apache-2.0
// A file mapped into memory for reading: its pages are read when they are touched and cost no memory of ours.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/core/file_descriptor.hpp>

#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <span>
#include <utility>

namespace pocketllm {

/// A whole file, mapped read only. The map stays valid when the file is renamed, replaced by rename or
/// deleted; a program that shortens the file in place takes the pages away and reading them raises SIGBUS,
/// as for every memory map.
class MappedFile {
public:
  /// Maps `path`. Throws Error that names the path and the reason if there is no such file, if it is not a
  /// regular file, or if it is empty.
  explicit MappedFile(std::filesystem::path path) : path_(std::move(path)) {
    // O_NONBLOCK: opening a named pipe would wait for a writer; it is refused below. Files do not mind.
    FileDescriptor const file = FileDescriptor::open(path_, O_RDONLY | O_NONBLOCK);
    require_system(file.valid(), path_, "cannot be opened");
    struct ::stat status = {};
    require_system(::fstat(file.number(), &status) == 0, path_, "cannot be examined");
    require(!S_ISDIR(status.st_mode), path_.string(), ": is a directory, expected a file");
    require(S_ISREG(status.st_mode), path_.string(), ": is not a regular file");
    require(status.st_size > 0, path_.string(), ": the file is empty");
    auto const size = static_cast<std::uint64_t>(status.st_size);
    require(size <= std::numeric_limits<std::size_t>::max(), path_.string(), ": ", size,
            " bytes are more than this machine can address");
    size_ = static_cast<std::size_t>(size);
    void* const address = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.number(), 0);
    require_system(address != MAP_FAILED, path_, "cannot be mapped into memory");
    data_ = static_cast<std::byte const*>(address);
  }

  MappedFile(MappedFile&& other) noexcept
      : path_(std::move(other.path_)), data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)) {}
  MappedFile& operator=(MappedFile&& other) noexcept {
    std::swap(path_, other.path_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~MappedFile() {
    if (data_ != nullptr) {
      ::munmap(const_cast<std::byte*>(data_), size_);
    }
  }

  /// As it was given to the constructor; errors name it.
  [[nodiscard]] std::filesystem::path const& path() const noexcept { return path_; }
  /// Bytes of the file when it was mapped.
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  /// The content, valid as long as this object; empty when it was moved from.
  [[nodiscard]] std::span<std::byte const> bytes() const noexcept { return {data_, size_}; }

  /// Tells the kernel that the file will be read from front to back, so that it reads ahead.
  void advise_sequential() const noexcept {
    if (data_ != nullptr) {
      ::madvise(const_cast<std::byte*>(data_), size_, MADV_SEQUENTIAL);
    }
  }

  /// Gives back the memory of the pages that `range` (a part of `bytes()`) touches. Reading them again is
  /// allowed and fetches them again, so the neighbours that share the first and last page lose nothing.
  void drop(std::span<std::byte const> range) const noexcept {
    if (data_ == nullptr || range.empty()) {
      return;
    }
    auto const page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    std::size_t const begin =
        static_cast<std::size_t>(range.data() - data_) / page * page; // the map begins a page
    std::size_t const end = std::min(static_cast<std::size_t>(range.data() - data_) + range.size(), size_);
    ::madvise(const_cast<std::byte*>(data_) + begin, end - begin, MADV_DONTNEED);
  }

private:
  std::filesystem::path path_;
  std::byte const* data_ = nullptr;
  std::size_t size_ = 0;
};

} // namespace pocketllm
