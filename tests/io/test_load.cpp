// SPDX-License-Identifier: Apache-2.0
// Models filled from directories, and every way in which a directory does not fit the model.
#include "toy.hpp"
#include <pocketllm/io/load.hpp>

namespace test_load {

namespace io = pocketllm::io;
using pocketllm::bf16;
using pocketllm::f16;

namespace {

template <class T>
toy::Model<T> load(std::string const& name, bool borrow = false) {
  return io::load<toy::Model<T>>(toy::data / name, {.borrow = borrow});
}

template <class A, class B>
void check_same(A const& a, B const& b) {
  CHECK(toy::bits_of(a.weight) == toy::bits_of(b.weight));
  CHECK(toy::bits_of(a.bias) == toy::bits_of(b.bias));
  CHECK(toy::bits_of(a.table) == toy::bits_of(b.table));
}

/// A directory with the config.json of toy-float32 and a weights file of that header.
struct Directory : toy::TemporaryDirectory {
  explicit Directory(std::string const& header, std::size_t data_bytes) {
    toy::fs::copy(toy::data / "toy-float32" / "config.json", path);
    toy::write(weights(), toy::file_of(header, data_bytes));
  }
  [[nodiscard]] toy::fs::path weights() const { return path / "model.safetensors"; }

  template <class Model = toy::Model<float>>
  void check_error(std::initializer_list<std::string> parts) const {
    toy::check_error([&] { static_cast<void>(io::load<Model>(path)); }, parts);
  }
};

constexpr char const* good_header = R"({"layer.weight":{"dtype":"F32","shape":[5,7],"data_offsets":[0,140]},)"
                                    R"("layer.bias":{"dtype":"F32","shape":[5],"data_offsets":[140,160]},)"
                                    R"("table":{"dtype":"F32","shape":[3,7],"data_offsets":[160,244]})";

std::string replaced(std::string text, std::string const& from, std::string const& to) {
  REQUIRE(text.find(from) != std::string::npos);
  return text.replace(text.find(from), from.size(), to);
}

} // namespace

TEST_CASE("f32 from one file and from shards") {
  auto const model = load<float>("toy-float32");
  CHECK(model.weight.row(0)[0] == 1.00048828125F); // as in the script
  CHECK(model.weight.row(0)[3] == 3e-6F);
  CHECK(toy::bits_of(model.weight)[4] == 0x80000000U);
  CHECK(model.bias.values()[4] == 0.5F);
  CHECK(model.table.shape() == std::vector<std::size_t>{3, 7});
  check_same(model, load<float>("toy-shards"));
}

TEST_CASE("conversion gives the bits that PyTorch's does") {
  check_same(load<f16>("toy-float32"), load<f16>("toy-float16"));
  check_same(load<bf16>("toy-float32"), load<bf16>("toy-bfloat16"));
  check_same(load<float>("toy-float16"), load<f16>("toy-float16"));
  check_same(load<float>("toy-bfloat16"), load<bf16>("toy-bfloat16"));
  CHECK(toy::bits_of(load<f16>("toy-float32").weight) != toy::bits_of(load<float>("toy-float32").weight));
}

TEST_CASE("a long tensor is converted block by block") {
  std::size_t const count = (5U << 20) + 3; // more than one block, the last one odd
  Directory const directory("{}", 0);
  toy::write(directory.path / "config.json", pocketllm::concat(R"({"rows":1,"cols":)", count, '}'));
  std::vector<std::uint16_t> halves(4 * count + 2); // f16
  for (std::size_t i = 0; i < halves.size(); ++i) {
    halves[i] = static_cast<std::uint16_t>(i % 0x7c00);
  }
  std::string file = toy::file_of(
      pocketllm::concat(R"({"layer.weight":{"dtype":"F16","shape":[1,)", count, R"(],"data_offsets":[0,)",
                        2 * count, R"(]},"layer.bias":{"dtype":"F32","shape":[1],"data_offsets":[)",
                        2 * count, ',', 2 * count + 4, R"(]},"table":{"dtype":"F16","shape":[3,)", count,
                        R"(],"data_offsets":[)", 2 * count + 4, ',', 8 * count + 4, "]}}"));
  toy::write(directory.weights(),
             file.append(reinterpret_cast<char const*>(halves.data()), halves.size() * sizeof halves[0]));
  auto const model = io::load<toy::Model<float>>(directory.path);
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < count; ++i) {
    wrong += model.weight.values()[i] != pocketllm::to_float(f16{halves[i]}) ? 1U : 0U;
  }
  CHECK(wrong == 0);
}

TEST_CASE("borrowed weights lie in the map, others are copied") {
  auto borrowed = load<f16>("toy-float16", true);
  check_same(borrowed, load<f16>("toy-float16"));
  f16 const* const before = borrowed.weight.data();
  CHECK(borrowed.weight.mutable_data() != before); // read-only data is copied first
  check_same(borrowed, load<f16>("toy-float16"));
  auto converted = load<bf16>("toy-float16", true);
  bf16 const* const owned = converted.weight.data();
  CHECK(converted.weight.mutable_data() == owned);

  // a byte in front shifts everything to odd addresses
  std::string const shifted = R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                              R"("layer.weight":{"dtype":"F32","shape":[5,7],"data_offsets":[1,141]},)"
                              R"("layer.bias":{"dtype":"F32","shape":[5],"data_offsets":[141,161]},)"
                              R"("table":{"dtype":"F32","shape":[3,7],"data_offsets":[161,245]}})";
  Directory const directory(replaced(shifted, "\"a\"", "\"pooler.a\""), 245);
  auto odd = io::load<toy::Tolerant>(directory.path, {.borrow = true});
  float const* const aligned = odd.weight.data();
  CHECK(odd.weight.mutable_data() == aligned);
}

TEST_CASE("the map outlives the checkpoint and the file's name") {
  toy::TemporaryDirectory const directory;
  auto const model = io::load<toy::Model<f16>>(directory.copy_of("toy-float16"), {.borrow = true});
  toy::fs::remove_all(directory.path / "toy-float16");
  check_same(model, load<f16>("toy-float16"));
}

TEST_CASE("tensors that are missing, unexpected or of another shape") {
  std::string const good = std::string(good_header) + '}';
  CHECK(Directory(good, 244).weights().is_absolute());
  CHECK(toy::error_of([&] { static_cast<void>(io::load<toy::Model<float>>(Directory(good, 244).path)); }) ==
        "");

  Directory const missing(replaced(good, "\"table\"", "\"chair\""), 244);
  missing.check_error({missing.weights().string(), "tensor \"table\" is missing",
                       "expected F32, F16 or BF16 of shape", "[3, 7]", "found no such name among 3 tensors"});
  Directory const unexpected(
      pocketllm::concat(good_header, R"(,"chair":{"dtype":"I64","shape":[],"data_offsets":[244,252]}})"),
      252);
  unexpected.check_error(
      {unexpected.weights().string(), "tensor \"chair\"", "found I64 []", "expected no tensor"});
  Directory const transposed(replaced(good, "[3,7]", "[7,3]"), 244);
  transposed.check_error(
      {transposed.weights().string(), "tensor \"table\"", "expected shape [3, 7]", "found [7, 3]"});
  Directory const flat(replaced(good, "[3,7]", "[21]"), 244);
  flat.check_error({"tensor \"table\"", "expected shape [3, 7]", "found [21]"});
  Directory const integers(replaced(good, "\"F32\",\"shape\":[3", "\"I32\",\"shape\":[3"), 244);
  integers.check_error(
      {integers.weights().string(), "tensor \"table\"", "found I32", "expected F32, F16 or BF16"});
}

TEST_CASE("aliases and ignored tensors") {
  std::string const renamed = replaced(good_header, "layer.bias", "older.bias");
  Directory const tolerated(renamed + R"(,"pooler.x":{"dtype":"I64","shape":[],"data_offsets":[244,252]}})",
                            252);
  CHECK(io::load<toy::Tolerant>(tolerated.path).bias.has_data());
  tolerated.check_error({"tensor \"layer.bias\" is missing"}); // by a model without aliases
  Directory const both(
      pocketllm::concat(good_header, R"(,"old.bias":{"dtype":"F32","shape":[5],"data_offsets":[244,264]}})"),
      264);
  CHECK(io::load<toy::Tolerant>(both.path).bias.has_data());
  Directory const neither(replaced(good_header, "layer.bias", "bias") + '}', 244);
  neither.check_error<toy::Tolerant>(
      {"tensor \"layer.bias\" (or \"old.bias\") (or \"older.bias\") is missing"});
}

TEST_CASE("a weight beyond the range of f16 is an error") {
  Directory const directory(std::string(good_header) + '}', 244);
  std::string file = toy::read(directory.weights());
  float const large = 70'000.0F;
  file.replace(file.size() - sizeof large, sizeof large, reinterpret_cast<char const*>(&large), sizeof large);
  toy::write(directory.weights(), file);
  directory.check_error<toy::Model<f16>>(
      {directory.weights().string(), "tensor \"table\"", "element 20 is 70000", "too large for F16", "BF16"});
  CHECK(io::load<toy::Model<bf16>>(directory.path).table.has_data());
}

TEST_CASE("directories that are none, and configurations that are wrong") {
  auto const load_from = [](toy::fs::path const& path) {
    return [path] { static_cast<void>(io::load<toy::Model<float>>(path)); };
  };
  toy::check_error(load_from("nowhere"), {"nowhere: no such directory", "config.json", "model.safetensors"});
  toy::TemporaryDirectory const directory;
  toy::check_error(load_from(directory.path),
                   {directory.path.string(), "has no config.json", "model.safetensors"});
  toy::fs::path const config = directory.path / "config.json";
  toy::write(config, "{");
  toy::check_error(load_from(config), {config.string(), "is not a directory"});
  toy::check_error(load_from(directory.path), {config.string(), "invalid JSON"});
  toy::write(config, "[]");
  toy::check_error(load_from(directory.path), {config.string(), "expected a JSON object, found array"});
  toy::write(config, "{\"rows\":1,\"rows\":2}");
  toy::check_error(load_from(directory.path), {config.string(), "\"rows\" is there twice"});
  toy::write(config, "{}");
  toy::check_error(load_from(directory.path), {config.string() + ": rows is missing"});
  toy::write(config, "{\"rows\":5}");
  toy::check_error(load_from(directory.path), {config.string(), "cols"});
  toy::write(config, "{\"rows\":5,\"cols\":7}");
  toy::check_error(load_from(directory.path), {directory.path.string(), "has no weights"});
}

} // namespace test_load
