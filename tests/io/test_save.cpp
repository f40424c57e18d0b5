// SPDX-License-Identifier: Apache-2.0
// Models written and read again; directories replaced as a whole whatever happens meanwhile.
#include "toy.hpp"
#include <pocketllm/io/load.hpp>
#include <pocketllm/io/save.hpp>

#include <sys/resource.h>

#include <csignal>
#include <cstdlib>

namespace test_save {

namespace io = pocketllm::io;
using pocketllm::bf16;
using pocketllm::f16;
using Names = std::vector<std::string>;

namespace {

template <class T>
toy::Model<T> load(toy::fs::path const& path, bool borrow = false) {
  return io::load<toy::Model<T>>(path, {.borrow = borrow});
}

template <class T>
void check_same(toy::Model<T> const& a, toy::Model<T> const& b) {
  CHECK(toy::bits_of(a.weight) == toy::bits_of(b.weight));
  CHECK(toy::bits_of(a.bias) == toy::bits_of(b.bias));
  CHECK(toy::bits_of(a.table) == toy::bits_of(b.table));
}

template <class T>
void check_round_trip(std::string const& name, std::string const& dtype) {
  toy::TemporaryDirectory const directory;
  toy::fs::path const source = toy::data / ("toy-" + name), target = directory.path / "out";
  auto const model = load<T>(source);
  io::save(model, target, {.source = source, .metadata = {{"steps", "50"}, {"format", "np"}}});
  check_same(load<T>(target), model);
  check_same(load<T>(target, true), model);
  CHECK(toy::names_in(target) == Names{"config.json", "model.safetensors"});

  auto const config = nlohmann::json::parse(toy::read(target / "config.json"));
  CHECK(config.at("dtype") == dtype);
  CHECK(config.at("torch_dtype") == dtype);
  CHECK(config.at("rows") == 5);
  io::SafetensorsFile const file(target / "model.safetensors");
  CHECK(file.content.metadata() == std::map<std::string, std::string>{{"format", "pt"}, {"steps", "50"}});
  std::uint64_t header = 0;
  std::memcpy(&header, file.map->bytes().data(), sizeof header);
  CHECK(header % 8 == 0);
  CHECK(file.content.find("layer.bias")->type.name == "F32");
}

/// A model all of whose weights are `value`.
toy::Model<float> constant(std::size_t rows, float value) {
  toy::Model<float> model({rows, 256});
  model.for_each_tensor([&](auto& tensor) {
    tensor.allocate();
    std::fill_n(tensor.mutable_data(), tensor.size(), value);
  });
  return model;
}

/// A directory with a config.json for `constant(rows, ...)`.
void make_source(toy::fs::path const& path, std::size_t rows) {
  toy::fs::create_directories(path);
  toy::write(path / "config.json", pocketllm::concat(R"({"rows":)", rows, R"(,"cols":256})"));
}

} // namespace

TEST_CASE("what is saved is what is loaded") {
  check_round_trip<float>("float32", "float32");
  check_round_trip<f16>("float16", "float16");
  check_round_trip<bf16>("bfloat16", "bfloat16");
  check_round_trip<f16>("shards", "float16");
}

TEST_CASE("config.json keeps its order and gains no torch_dtype; tokenizer files are copied") {
  toy::TemporaryDirectory const directory;
  toy::fs::path const source = directory.copy_of("toy-float16"), target = directory.path / "out";
  toy::write(source / "config.json", R"({"rows":5,"model_type":"toy","cols":7})");
  toy::write(source / "vocab.json", "{}");
  toy::write(source / "merges.txt", "");
  toy::write(source / "generation_config.json", "{}\n");
  toy::write(source / "notes.txt", "not copied");
  io::save(load<f16>(source), target, {.source = source});
  CHECK(toy::read(target / "config.json") ==
        "{\n  \"rows\": 5,\n  \"model_type\": \"toy\",\n  \"cols\": 7,\n  \"dtype\": \"float16\"\n}\n");
  CHECK(toy::names_in(target) ==
        Names{"config.json", "generation_config.json", "merges.txt", "model.safetensors", "vocab.json"});
  CHECK(toy::read(target / "generation_config.json") == "{}\n");
  CHECK(toy::names_in(directory.path) == Names{"out", "toy-float16"});
}

TEST_CASE("saving over the directory that the weights are borrowed from") {
  toy::TemporaryDirectory const directory;
  toy::fs::path const source = directory.copy_of("toy-float16");
  toy::write(source / "README.md", "a card");
  auto model = load<f16>(source, true);
  model.table.mutable_data()[0] = f16{0x3c00};
  io::save(model, source, {.source = source});
  check_same(load<f16>(source), model); // the map still has the old file's bytes
  CHECK(load<f16>(source).table.data()[0] == f16{0x3c00});
  CHECK(toy::names_in(source) == Names{"README.md", "config.json", "model.safetensors"});
  CHECK(toy::names_in(directory.path) == Names{"toy-float16"});
}

TEST_CASE("replacing a model takes away its weights in other files and keeps what is no model's") {
  toy::TemporaryDirectory const directory;
  toy::fs::path const target = directory.copy_of("toy-shards");
  toy::write(target / "pytorch_model.bin", "old weights");
  toy::write(target / "tokenizer.json", "another model's");
  toy::write(target / "run.journal", "kept");
  io::save(load<f16>(toy::data / "toy-float16"), target, {.source = toy::data / "toy-float16"});
  CHECK(toy::names_in(target) == Names{"config.json", "model.safetensors", "run.journal"});
  CHECK(toy::read(target / "run.journal") == "kept");
}

TEST_CASE("only a model's directory is replaced") {
  toy::TemporaryDirectory const directory;
  auto const model = load<f16>(toy::data / "toy-float16");
  auto const save_to = [&](toy::fs::path const& path) {
    return [&model, path] { io::save(model, path, {.source = toy::data / "toy-float16"}); };
  };
  toy::fs::create_directory(directory.path / "empty");
  CHECK(toy::error_of(save_to(directory.path / "empty")) == "");
  CHECK(toy::names_in(directory.path / "empty").size() == 2);

  toy::fs::create_directory(directory.path / "photos");
  toy::write(directory.path / "photos" / "cat.jpg", "meow");
  toy::check_error(save_to(directory.path / "photos"), {"photos: not saved", "no config.json"});
  CHECK(toy::names_in(directory.path / "photos") == Names{"cat.jpg"});

  toy::fs::path const nested = directory.copy_of("toy-float32");
  toy::fs::create_directories(nested / "onnx");
  toy::check_error(save_to(nested), {"toy-float32: not saved", "has a directory onnx"});
  CHECK(toy::fs::exists(nested / "onnx"));

  toy::write(directory.path / "file", "text");
  toy::check_error(save_to(directory.path / "file"), {"file: not saved", "is not a directory"});
  CHECK(toy::read(directory.path / "file") == "text");
  toy::check_error(save_to(directory.path / "file" / "out"), {"out: not saved", "Not a directory"});
  toy::check_error(save_to(toy::fs::current_path()), {"current directory"});
  CHECK(toy::names_in(directory.path) == Names{"empty", "file", "photos", "toy-float32"});
}

TEST_CASE("a model or a source that cannot be saved") {
  toy::TemporaryDirectory const directory;
  toy::fs::path const target = directory.path / "out";
  toy::Model<float> model({5, 7});
  io::SaveOptions const options{.source = toy::data / "toy-float32"};
  toy::check_error([&] { io::save(model, target, options); }, {"tensor \"layer.bias\" has no data"});
  auto const loaded = load<float>(toy::data / "toy-float32");
  toy::check_error([&] { io::save(loaded, target, {.source = "nowhere"}); }, {"nowhere: no such directory"});
  toy::check_error([&] { io::save(loaded, target, {.source = directory.path}); }, {"has no config.json"});
  toy::check_error(
      [&] {
        io::save(loaded, target, {.source = options.source, .metadata = {{"k", "\xff"}}});
      },
      {"not UTF-8"});
  CHECK(toy::names_in(directory.path).empty());
}

TEST_CASE("a full disk leaves the target as it was and no temporary files") {
  toy::TemporaryDirectory const directory;
  constexpr std::size_t rows = 1000; // 1 MB of weights
  make_source(directory.path / "source", rows);
  io::SaveOptions const options{.source = directory.path / "source"};
  toy::fs::path const target = directory.path / "out";
  io::save(constant(rows, 1.0F), target, options);
  int const status = toy::in_child([&] {
    std::signal(SIGXFSZ, SIG_IGN); // then writing beyond the limit fails as it does on a full disk
    ::rlimit const limit{100'000, 100'000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    try {
      io::save(constant(rows, 2.0F), target, options);
    } catch (pocketllm::Error const& error) {
      std::string_view const message = error.what();
      bool const good = message.starts_with(target.string() + ": not saved") &&
                        message.find("model.safetensors: cannot be written: File too large") != message.npos;
      return good ? 0 : 1;
    }
    return 2;
  });
  CHECK(status == 0);
  CHECK(load<float>(target).weight.data()[0] == 1.0F);
  CHECK(toy::names_in(directory.path) == Names{"out", "source"});
}

TEST_CASE("a program killed while it saves leaves the old model or the new one") {
  toy::TemporaryDirectory const directory;
  constexpr std::size_t rows = 500;
  make_source(directory.path / "source", rows);
  io::SaveOptions const options{.source = directory.path / "source"};
  toy::fs::path const target = directory.path / "out";
  io::save(constant(rows, 0.0F), target, options);
  std::vector<toy::Model<float>> models;
  for (int i = 0; i < 8; ++i) {
    models.push_back(constant(rows, static_cast<float>(i)));
  }
  for (unsigned trial = 0; trial < 20; ++trial) {
    static_cast<void>(toy::in_child(
        [&] {
          for (std::size_t i = 0;; ++i) {
            io::save(models[i % models.size()], target, options);
          }
          return 0;
        },
        1'000 + 700 * trial));
    auto const found = load<float>(target);
    float const value = found.bias.values()[0];
    auto const equal = [&](auto const& tensor) {
      return std::all_of(tensor.values().begin(), tensor.values().end(), [&](float x) { return x == value; });
    };
    CHECK((equal(found.bias) && equal(found.weight) && equal(found.table)));
  }
  io::save(models[3], target, options); // and tidies up
  CHECK(load<float>(target).bias.data()[0] == 3.0F);
  CHECK(toy::names_in(directory.path) == Names{"out", "source"});
}

} // namespace test_save
