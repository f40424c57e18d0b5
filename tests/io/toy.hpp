// SPDX-License-Identifier: Apache-2.0
// What the tests of io/ share: a model of three tensors, directories that vanish, files with any header.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/tensor/tensor.hpp>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <iterator>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace toy {

namespace fs = std::filesystem;
using pocketllm::tensor::Tensor;

inline fs::path const data = fs::path(POCKETLLM_TEST_DATA) / "io" / "data";

/// The model of data/toy-*: the matrices are T, the bias is f32.
template <class T>
struct Model {
  struct Config {
    std::size_t rows, cols;
    static Config from_json(nlohmann::json const& json) {
      pocketllm::require(json.contains("rows"), "rows is missing");
      return {json.at("rows").get<std::size_t>(), json.at("cols").get<std::size_t>()};
    }
  };

  explicit Model(Config const& c)
      : weight("layer.weight", {c.rows, c.cols}), bias("layer.bias", {c.rows}), table("table", {3, c.cols}) {}

  template <class F>
  void for_each_tensor(F&& f) {
    f(bias), f(weight), f(table);
  }
  template <class F>
  void for_each_tensor(F&& f) const {
    f(bias), f(weight), f(table);
  }

  Tensor<T> weight;
  Tensor<float> bias;
  Tensor<T> table;
};

/// Has another name for its bias and no use for some tensors of a file.
struct Tolerant : Model<float> {
  using Model<float>::Model;
  [[nodiscard]] std::vector<std::string> aliases(std::string const& name) const {
    return name == "layer.bias" ? std::vector<std::string>{"old.bias", "older.bias"}
                                : std::vector<std::string>{};
  }
  [[nodiscard]] bool ignores(std::string_view name) const { return name.starts_with("pooler."); }
};

/// A directory of its own for a test, removed at the end.
struct TemporaryDirectory {
  fs::path path;
  TemporaryDirectory() {
    std::string name = (fs::temp_directory_path() / "pocketllm-io-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path = name;
  }
  TemporaryDirectory(TemporaryDirectory const&) = delete;
  TemporaryDirectory& operator=(TemporaryDirectory const&) = delete;
  ~TemporaryDirectory() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }

  /// A copy of a directory of data/.
  [[nodiscard]] fs::path copy_of(std::string const& name) const {
    fs::copy(data / name, path / name, fs::copy_options::recursive);
    return path / name;
  }
};

inline std::string read(fs::path const& path) {
  std::ifstream file(path, std::ios::binary);
  REQUIRE_MESSAGE(file.good(), path.string());
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

inline void write(fs::path const& path, std::string_view bytes) {
  std::ofstream file(path, std::ios::binary);
  file << bytes;
  REQUIRE_MESSAGE(file.good(), path.string());
}

/// A safetensors file of that header and `data_bytes` bytes of data.
inline std::string file_of(std::string_view header, std::size_t data_bytes = 0) {
  std::uint64_t const length = header.size();
  std::string file(reinterpret_cast<char const*>(&length), sizeof length);
  file += header;
  return file.append(data_bytes, '\0');
}

inline std::span<std::byte const> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

template <class T>
std::vector<std::uint32_t> bits_of(Tensor<T> const& tensor) {
  std::vector<std::uint32_t> bits;
  for (T const value : tensor.values()) {
    bits.push_back(std::bit_cast<std::uint32_t>(pocketllm::to_float(value)));
  }
  return bits;
}

/// The names in a directory, sorted.
inline std::vector<std::string> names_in(fs::path const& path) {
  std::vector<std::string> names;
  for (auto const& entry : fs::directory_iterator(path)) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

/// The one-line message of the Error that f() throws; "" if it throws none.
template <class F>
std::string error_of(F&& f) {
  try {
    f();
  } catch (pocketllm::Error const& error) {
    std::string message = error.what();
    CHECK_MESSAGE(message.find('\n') == std::string::npos, message);
    return message;
  }
  return "";
}

/// f() must throw an Error whose message has all of the parts.
template <class F>
void check_error(F&& f, std::initializer_list<std::string> parts) {
  std::string const message = error_of(f);
  CAPTURE(message);
  CHECK_FALSE(message.empty());
  for (std::string const& part : parts) {
    CAPTURE(part);
    CHECK(message.find(part) != std::string::npos);
  }
}

/// Runs f in a child process, which must end by itself or by SIGKILL; its exit status, -1 when killed.
template <class F>
int in_child(F&& f, unsigned kill_after_us = 0) {
  ::pid_t const child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::_exit(f());
  }
  if (kill_after_us != 0) {
    ::usleep(kill_after_us);
    ::kill(child, SIGKILL);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

} // namespace toy
