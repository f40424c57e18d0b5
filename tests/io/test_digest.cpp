// SPDX-License-Identifier: Apache-2.0
// Digests of weights against digest_of.py, and the cache of a directory's digest.
#include "toy.hpp"
#include <pocketllm/io/digest.hpp>
#include <pocketllm/io/digest_cache.hpp>
#include <pocketllm/io/load.hpp>
#include <pocketllm/io/save.hpp>

#include <chrono>
#include <thread>

namespace test_digest {

namespace io = pocketllm::io;
using pocketllm::bf16;
using pocketllm::f16;
using pocketllm::Runtime;

namespace {

// python3 digest_of.py data/toy-float32/model.safetensors, and so on
constexpr char const* float32_digest =
    "blake3:2353e0142d58695d421216f1d642bda9a28e629654a319fb3822cb385b365f7b";
constexpr char const* float16_digest =
    "blake3:db8f45c73a803b1435256928b9e6b4b3afc9e9109c35293bc0454dd290bc83ad";
constexpr char const* bfloat16_digest =
    "blake3:f4231a6339581c1820b54df8c2db5ca7b91a08bba7e7736d5c405d49e6fae8e3";

template <class Model>
std::string digest_of(Model const& model, std::size_t threads = 1) {
  Runtime runtime(threads);
  return io::digest_text(io::digest(model, runtime));
}

/// A model of several pieces and of tensors smaller than one.
toy::Model<float> large() {
  toy::Model<float> model({1000, 700});
  float value = 0.0F;
  model.for_each_tensor([&](auto& tensor) {
    tensor.allocate();
    for (std::size_t i = 0; i < tensor.size(); ++i) {
      tensor.mutable_data()[i] = value += 0.25F;
    }
  });
  return model;
}

} // namespace

TEST_CASE("the digest of directories and of models loaded from them") {
  Runtime runtime(2);
  toy::TemporaryDirectory const directory;
  auto const digest = [&](std::string const& name) {
    return io::directory_digest(directory.copy_of(name), runtime);
  };
  CHECK(digest("toy-float32") == float32_digest);
  CHECK(digest("toy-float16") == float16_digest);
  CHECK(digest("toy-bfloat16") == bfloat16_digest);
  CHECK(digest("toy-shards") == float32_digest); // the same tensors in two files
  CHECK(digest_of(io::load<toy::Model<float>>(toy::data / "toy-float32")) == float32_digest);
  // a bias in f32 where the file has f16
  CHECK(digest_of(io::load<toy::Model<f16>>(toy::data / "toy-float16")) != float16_digest);
}

TEST_CASE("the digest of a model is that of the directory that it is saved to, for any number of threads") {
  toy::TemporaryDirectory const directory;
  toy::write(directory.path / "config.json", R"({"rows":1000,"cols":700})");
  toy::Model<float> model = large();
  io::save(model, directory.path / "out", {.source = directory.path});
  Runtime runtime;
  std::string const expected = io::directory_digest(directory.path / "out", runtime);
  for (std::size_t const threads : {1U, 2U, 3U, 8U}) {
    CHECK(digest_of(model, threads) == expected);
  }
  toy::Model<float> const before = model;
  model.weight.mutable_data()[model.weight.size() - 1] += 1.0F;
  CHECK(digest_of(model) != expected);
  CHECK(digest_of(before) == expected);
}

TEST_CASE("names, shapes and types count") {
  auto const tensors = [](char const* name, std::vector<std::size_t> shape, char const* type) {
    static std::array<float, 6> const values{1, 2, 3, 4, 5, 6};
    std::vector<io::TensorEntry> entries{
        {name, *io::find_dtype(type), std::move(shape), std::as_bytes(std::span(values))}};
    pocketllm::ThreadPool pool(1);
    return io::digest_text(io::join_digests(entries, io::hash_tensors(entries, pool, [](auto) {})));
  };
  std::string const digest = tensors("a", {2, 3}, "F32");
  CHECK(tensors("a", {2, 3}, "F32") == digest);
  CHECK(tensors("b", {2, 3}, "F32") != digest);
  CHECK(tensors("a", {3, 2}, "F32") != digest);
  CHECK(tensors("a", {6}, "F32") != digest);
  CHECK(tensors("a", {2, 3}, "I32") != digest);
}

TEST_CASE("a model without data has no digest") {
  toy::check_error([] { digest_of(toy::Model<float>({5, 7})); }, {"layer.bias", "has no data"});
}

TEST_CASE("a directory's digest is kept until its weights change") {
  Runtime runtime(1);
  toy::TemporaryDirectory const directory;
  toy::fs::path const model = directory.copy_of("toy-float32"), cache = model / io::digest_cache_file;
  CHECK(io::directory_digest(model, runtime) == float32_digest);
  CHECK_FALSE(toy::fs::exists(cache)); // written to a moment ago, so it might be again

  std::this_thread::sleep_for(std::chrono::milliseconds(2100));
  CHECK(io::directory_digest(model, runtime) == float32_digest);
  REQUIRE(toy::fs::exists(cache));
  std::string text = toy::read(cache);
  text.replace(text.find(float32_digest) + 7, 4, "beef"); // to see where the digest comes from
  toy::write(cache, text);
  CHECK(io::directory_digest(model, runtime).starts_with("blake3:beef"));

  for (std::string const damaged : {"", "{", R"({"digest":7,"files":[]})", R"({"digest":"blake3:"})"}) {
    toy::write(cache, damaged);
    CHECK(io::directory_digest(model, runtime) == float32_digest);
    CHECK(toy::read(cache).find(float32_digest) != std::string::npos);
  }

  toy::write(cache, text);
  toy::fs::last_write_time(model / "model.safetensors",
                           toy::fs::last_write_time(model / "model.safetensors") - std::chrono::hours(1));
  CHECK(io::directory_digest(model, runtime) == float32_digest);
  toy::write(cache, text);
  toy::fs::copy(toy::data / "toy-bfloat16" / "model.safetensors", model / "model.safetensors",
                toy::fs::copy_options::overwrite_existing);
  CHECK(io::directory_digest(model, runtime) == bfloat16_digest);
}

TEST_CASE("a cache elsewhere, and directories that cannot be written to") {
  Runtime runtime(1);
  toy::TemporaryDirectory const directory;
  toy::fs::path const cache = directory.path / "digest.json";
  CHECK(io::directory_digest(toy::data / "toy-shards", runtime, {.cache = cache}) == float32_digest);
  CHECK(toy::read(cache).find("model-00002-of-00002.safetensors") != std::string::npos);
  CHECK_FALSE(toy::fs::exists(toy::data / "toy-shards" / io::digest_cache_file));
  CHECK(io::directory_digest(toy::data / "toy-shards", runtime, {.cache = cache}) == float32_digest);
  toy::check_error(
      [&] {
        static_cast<void>(io::directory_digest(toy::data / "toy-shards", runtime,
                                               {.cache = directory.path / "none" / "x"}));
      },
      {"none", "No such file"});

  toy::fs::path const model = directory.copy_of("toy-float16");
  toy::fs::create_directory(model / io::digest_cache_file); // stands for one that cannot be written; root may
  CHECK(io::directory_digest(model, runtime) == float16_digest);
}

} // namespace test_digest
