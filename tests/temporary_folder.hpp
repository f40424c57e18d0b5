// SPDX-License-Identifier: Apache-2.0
// A folder for the files of one test, and the message of an error.
#pragma once

#include <pocketllm/core/error.hpp>

#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

namespace pocketllm::test {

/// An empty folder that is removed at the end.
class TemporaryFolder {
public:
  TemporaryFolder() {
    static std::atomic<int> count{0};
    path_ = std::filesystem::temp_directory_path() /
            concat("pocketllm_test_", ::getpid(), "_", count.fetch_add(1));
    std::filesystem::create_directories(path_);
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(TemporaryFolder const&) = delete;
  TemporaryFolder& operator=(TemporaryFolder const&) = delete;

  [[nodiscard]] std::filesystem::path const& path() const { return path_; }

  std::filesystem::path write(std::string_view name, std::string_view bytes) const {
    std::ofstream(path_ / name, std::ios::binary) << bytes;
    return path_ / name;
  }

  [[nodiscard]] std::string read(std::string_view name) const {
    std::ifstream file(path_ / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  /// The message of the Error that `f` throws, without this folder's path; "no error" when it throws none.
  template <class F>
  [[nodiscard]] std::string error(F&& f) const {
    try {
      f();
    } catch (Error const& error) {
      std::string message = error.what();
      std::string const prefix = path_.string() + "/";
      for (auto at = message.find(prefix); at != std::string::npos; at = message.find(prefix)) {
        message.erase(at, prefix.size());
      }
      return message;
    }
    return "no error";
  }

private:
  std::filesystem::path path_;
};

/// The message of the Error that `f` throws; "no error" when it throws none.
template <class F>
[[nodiscard]] std::string error_of(F&& f) {
  try {
    f();
  } catch (Error const& error) {
    return error.what();
  }
  return "no error";
}

} // namespace pocketllm::test
