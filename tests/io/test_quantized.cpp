// SPDX-License-Identifier: Apache-2.0
// Weights of 8 and 4 bits: quantised while loading, written, and read again as they are.
#include "toy.hpp"
#include <pocketllm/io/digest.hpp>
#include <pocketllm/io/load.hpp>
#include <pocketllm/io/save.hpp>
#include <pocketllm/tensor/part.hpp>

#include <cmath>

namespace test_quantized {

namespace io = pocketllm::io;
using pocketllm::f16;
using pocketllm::i4;
using pocketllm::i8;

using toy::Tensor;

namespace {

template <class T>
float element(Tensor<T> const& w, std::size_t r, std::size_t c) {
  return pocketllm::tensor::load_weights<pocketllm::simd::scalar>(w.row(r), c);
}

template <class T>
void check_near(Tensor<T> const& q, Tensor<float> const& w, float share_of_largest) {
  for (std::size_t r = 0; r < w.rows(); ++r) {
    float largest = 0.0F;
    for (std::size_t c = 0; c < w.cols(); ++c) {
      largest = std::max(largest, std::abs(w.row(r)[c]));
    }
    for (std::size_t c = 0; c < w.cols(); ++c) {
      CHECK(std::abs(element(q, r, c) - w.row(r)[c]) <= share_of_largest * largest);
    }
  }
}

template <class T>
void check_round_trip(float share) {
  auto const floats = io::load<toy::Model<float>>(toy::data / "toy-float32");
  auto const model = io::load<toy::Model<T>>(toy::data / "toy-float32");
  check_near(model.weight, floats.weight, share);
  check_near(model.table, floats.table, share);
  CHECK(toy::bits_of(model.bias) == toy::bits_of(floats.bias));
  // shards, and rows that end within a word of the file's, have the same codes
  auto const shards = io::load<toy::Model<T>>(toy::data / "toy-shards");
  CHECK(
      std::equal(model.weight.values().begin(), model.weight.values().end(), shards.weight.values().begin()));

  toy::TemporaryDirectory directory;
  auto const path = directory.path / "quantised";
  io::save(model, path, {toy::data / "toy-float32", {}});
  for (bool const borrow : {false, true}) {
    auto const again = io::load<toy::Model<T>>(path, {.borrow = borrow});
    pocketllm::Runtime runtime(1);
    CHECK(io::digest(again, runtime) == io::digest(model, runtime));
    CHECK(again.weight.row(4).codes != model.weight.row(4).codes);
  }
  toy::check_error([&] { static_cast<void>(io::load<toy::Model<f16>>(path)); },
                   {"layer.weight", "expected F32, F16 or BF16", "load it as i8 or i4"});
  auto const config = nlohmann::json::parse(toy::read(path / "config.json"));
  CHECK(config.at("quantization_config").at("quant_method") == "pocketllm");
}

} // namespace

TEST_CASE("8 bits: half a step of 127 off at most, and the same codes when read again") {
  check_round_trip<i8>(0.5F / 127.0F + 1e-6F);
}
TEST_CASE("4 bits: a step of 8 off at most, and the same codes when read again") {
  check_round_trip<i4>(1.0F / 8.0F + 1e-3F);
}

TEST_CASE("8 bits from 16-bit files") {
  auto const floats = io::load<toy::Model<float>>(toy::data / "toy-float16");
  check_near(io::load<toy::Model<i8>>(toy::data / "toy-float16").weight, floats.weight, 0.004F);
  auto const brains = io::load<toy::Model<float>>(toy::data / "toy-bfloat16");
  check_near(io::load<toy::Model<i8>>(toy::data / "toy-bfloat16").weight, brains.weight, 0.004F);
}

TEST_CASE("codes without their scales, of another type, and what is no number, are errors that say so") {
  auto const header = [](std::string const& weight, std::size_t bytes) {
    return R"({"layer.weight":{)" + weight + R"(,"data_offsets":[0,)" + std::to_string(bytes) +
           R"(]},"layer.bias":{"dtype":"F32","shape":[5],"data_offsets":[)" + std::to_string(bytes) + ',' +
           std::to_string(bytes + 20) + R"(]},"table":{"dtype":"F32","shape":[3,7],"data_offsets":[)" +
           std::to_string(bytes + 20) + ',' + std::to_string(bytes + 104) + "]}}";
  };
  auto const check = [&](std::string const& text, std::size_t bytes,
                         std::initializer_list<std::string> parts) {
    toy::TemporaryDirectory directory;
    toy::fs::copy(toy::data / "toy-float32" / "config.json", directory.path);
    toy::write(directory.path / "model.safetensors", toy::file_of(text, bytes));
    toy::check_error([&] { static_cast<void>(io::load<toy::Model<i8>>(directory.path)); }, parts);
  };
  check(header(R"("dtype":"I8","shape":[5,7])", 35), 139,
        {"layer.weight_scale", "expected F32 [5]", "no such tensor"});
  check(header(R"("dtype":"I8","shape":[7,5])", 35), 139, {"layer.weight", "expected shape [5, 7]"});
  check(header(R"("dtype":"U8","shape":[5,7])", 35), 139, {"layer.weight", "found U8", "codes of type I8"});

  toy::TemporaryDirectory directory;
  toy::fs::copy(toy::data / "toy-float32" / "config.json", directory.path);
  std::string file = toy::file_of(header(R"("dtype":"F32","shape":[5,7])", 140), 244);
  std::size_t const data = file.size() - 244;
  file.replace(data + 12, 4, std::string("\x00\x00\xc0\x7f", 4)); // a NaN
  toy::write(directory.path / "model.safetensors", file);
  toy::check_error([&] { static_cast<void>(io::load<toy::Model<i8>>(directory.path)); },
                   {"layer.weight", "element 3 is nan", "cannot be quantised"});
}

TEST_CASE("scales without codes belong to no model") {
  toy::TemporaryDirectory directory;
  auto const path = directory.path / "model";
  io::save(io::load<toy::Model<i8>>(toy::data / "toy-float32"), path, {toy::data / "toy-float32", {}});
  // the codes' file with floats under the codes' names
  std::string const text = R"({"layer.weight":{"dtype":"F32","shape":[5,7],"data_offsets":[0,140]},)"
                           R"("layer.bias":{"dtype":"F32","shape":[5],"data_offsets":[140,160]},)"
                           R"("table":{"dtype":"F32","shape":[3,7],"data_offsets":[160,244]},)"
                           R"("table_scale":{"dtype":"F32","shape":[3],"data_offsets":[244,256]}})";
  toy::write(path / "model.safetensors", toy::file_of(text, 256));
  toy::check_error([&] { static_cast<void>(io::load<toy::Model<float>>(path)); },
                   {"table_scale", "expected no tensor of that name"});
}

} // namespace test_quantized
