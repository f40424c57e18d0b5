// SPDX-License-Identifier: Apache-2.0
// What the tokenizer tests share: the small tokenizer in data/ and throw-away directories.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/text/json_file.hpp>
#include <pocketllm/text/load_tokenizer.hpp>

#include <doctest/doctest.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace tokenizer_test {

inline std::filesystem::path data_path() {
  return std::filesystem::path(POCKETLLM_TEST_DATA) / "text" / "data";
}

inline std::string data_file(char const* name) {
  return pocketllm::text::read_whole_file(data_path() / name);
}

inline pocketllm::text::Json data_json(char const* name) {
  return pocketllm::text::Json::parse(data_file(name));
}

inline std::string from_hex(std::string const& hex) {
  std::string bytes;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    bytes.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

/// A directory of its own that is removed at the end.
class Directory {
public:
  Directory() {
    static std::atomic<int> count{0};
    path_ = std::filesystem::temp_directory_path() /
            ("pocketllm_tokenizer_" + std::to_string(::getpid()) + "_" + std::to_string(count++));
    std::filesystem::create_directories(path_);
  }
  Directory(Directory const&) = delete;
  Directory& operator=(Directory const&) = delete;
  ~Directory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  Directory& write(char const* name, std::string_view bytes) {
    std::ofstream(path_ / name, std::ios::binary) << bytes;
    return *this;
  }
  Directory& copy(char const* name) { return write(name, data_file(name)); }

  [[nodiscard]] std::filesystem::path const& path() const { return path_; }
  [[nodiscard]] pocketllm::text::AnyTokenizer load() const { return pocketllm::text::load_tokenizer(path_); }

  /// The message of the error of loading, with the path of the directory left out; empty if there is none.
  [[nodiscard]] std::string error() const {
    try {
      (void)load();
    } catch (pocketllm::Error const& error) {
      std::string message = error.what();
      CHECK(message.find('\n') == std::string::npos);
      CHECK(message.starts_with(path_.string()));
      return message.substr(path_.string().size());
    }
    return "";
  }

private:
  std::filesystem::path path_;
};

} // namespace tokenizer_test
