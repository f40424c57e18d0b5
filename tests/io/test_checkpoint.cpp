// SPDX-License-Identifier: Apache-2.0
// Directories with one weights file, with shards, or with something wrong.
#include "toy.hpp"
#include <pocketllm/io/checkpoint.hpp>

namespace test_checkpoint {

namespace io = pocketllm::io;

namespace {
constexpr char const* index_name = "model.safetensors.index.json";
constexpr char const* first_shard = "model-00001-of-00002.safetensors";
constexpr char const* second_shard = "model-00002-of-00002.safetensors";

/// Puts `to` in the place of `from` in the index of a copy of toy-shards; opening it must fail.
void check_index(std::string const& from, std::string const& to, std::initializer_list<std::string> parts) {
  toy::TemporaryDirectory const directory;
  toy::fs::path const path = directory.copy_of("toy-shards");
  std::string index = toy::read(path / index_name);
  std::size_t const at = index.find(from);
  REQUIRE(at != std::string::npos);
  toy::write(path / index_name, index.replace(at, from.size(), to));
  toy::check_error([&] { static_cast<void>(io::Checkpoint::open(path)); }, {(path / index_name).string()});
  toy::check_error([&] { static_cast<void>(io::Checkpoint::open(path)); }, parts);
}
} // namespace

TEST_CASE("one file") {
  io::Checkpoint const checkpoint = io::Checkpoint::open(toy::data / "toy-float32");
  CHECK(checkpoint.size() == 3);
  CHECK(checkpoint.name() == (toy::data / "toy-float32" / "model.safetensors").string());
  CHECK(checkpoint.find("table"));
  CHECK_FALSE(checkpoint.find("chair"));
}

TEST_CASE("shards") {
  io::Checkpoint const checkpoint = io::Checkpoint::open(toy::data / "toy-shards");
  CHECK(checkpoint.files().size() == 2);
  CHECK(checkpoint.size() == 3);
  CHECK(checkpoint.name().ends_with(index_name));
  CHECK(checkpoint.find("layer.weight").file->map->path().filename() == first_shard);
  CHECK(checkpoint.find("table").file->map->path().filename() == second_shard);
  CHECK(checkpoint.find("table").entry->bytes.size() == 4 * 3 * 7);
}

TEST_CASE("one file is preferred to shards, as transformers does") {
  toy::TemporaryDirectory const directory;
  toy::fs::path const path = directory.copy_of("toy-shards");
  toy::fs::copy(toy::data / "toy-float16" / "model.safetensors", path);
  CHECK(io::Checkpoint::open(path).files().size() == 1);
}

TEST_CASE("an index that does not agree with the shards") {
  std::string const table = "\"table\": \"model-00002-of-00002.safetensors\"";
  check_index(table, "\"table\": \"model-00001-of-00002.safetensors\"",
              {second_shard, "tensor \"table\"", "expected in model-00001-of-00002.safetensors"});
  check_index(table, "\"table\": \"model-00003-of-00002.safetensors\"",
              {"tensor \"table\"", "expected in", "model-00003-of-00002.safetensors, which is missing"});
  check_index(table, table + ", \"chair\": \"model-00002-of-00002.safetensors\"",
              {"tensor \"chair\"", "expected in model-00002-of-00002.safetensors", "found in none"});
  check_index(table, "\"chair\": \"model-00002-of-00002.safetensors\"",
              {"tensor \"table\" is not in the weight_map"});
}

TEST_CASE("an index that is wrong in itself") {
  std::string const table = "\"table\": \"model-00002-of-00002.safetensors\"";
  check_index(table, "\"table\": 2", {"tensor \"table\"", "has number", "expected the name of a file"});
  check_index(table, "\"table\": \"../model-00002-of-00002.safetensors\"",
              {"tensor \"table\"", "same directory"});
  check_index(table, "\"table\": \"a\\u0000b\"", {"tensor \"table\"", "same directory"});
  check_index(table, "\"table\": \"\"", {"tensor \"table\"", "expected the name of a file"});
  check_index(table, table + ", " + table, {"\"table\" is there twice"});
  check_index("weight_map", "weight_mop", {"expected \"weight_map\"", "found none"});
  check_index("\"weight_map\": {", "\"weight_map\": {}, \"more\": {", {"found an empty one"});
  check_index("\"weight_map\": {", "\"weight_map\": [], \"more\": {", {"found array"});
  check_index("{", "[", {"invalid JSON"});
}

TEST_CASE("a damaged shard is named") {
  toy::TemporaryDirectory const directory;
  toy::fs::path const path = directory.copy_of("toy-shards");
  toy::fs::resize_file(path / second_shard, 200);
  toy::check_error([&] { static_cast<void>(io::Checkpoint::open(path)); }, {(path / second_shard).string()});
}

TEST_CASE("a directory without weights, or with PyTorch's only") {
  toy::TemporaryDirectory const directory;
  auto const open = [&] { static_cast<void>(io::Checkpoint::open(directory.path)); };
  toy::check_error(open, {directory.path.string(), "has no weights", "expected model.safetensors"});
  toy::write(directory.path / "pytorch_model.bin", "x");
  toy::check_error(
      open, {directory.path.string(), "found pytorch_model.bin", "expected model.safetensors", "python3 -c"});
}

} // namespace test_checkpoint
