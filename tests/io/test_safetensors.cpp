// SPDX-License-Identifier: Apache-2.0
// The reader of safetensors files against files of PyPI's safetensors, and against wrong ones.
#include "toy.hpp"
#include <pocketllm/io/convert.hpp>
#include <pocketllm/io/safetensors.hpp>

#include <map>

namespace test_safetensors {

namespace io = pocketllm::io;

namespace {

/// Reads a file of that header and data; messages must name it.
void expect_error(std::string const& file, std::initializer_list<std::string> parts) {
  CAPTURE(file.substr(0, 300));
  toy::check_error([&] { io::Safetensors(toy::bytes_of(file), "some.safetensors"); }, {"some.safetensors: "});
  toy::check_error([&] { io::Safetensors(toy::bytes_of(file), "some.safetensors"); }, parts);
}

std::string tensor(std::string const& name, std::string const& dtype, std::string const& shape,
                   std::string const& offsets) {
  return '"' + name + R"(":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets +
         "}";
}

std::string tensor_map(std::initializer_list<std::string> tensors) {
  std::string header = "{";
  for (std::string const& tensor : tensors) {
    header.append(header.size() > 1 ? "," : "").append(tensor);
  }
  return header + '}';
}

std::string file_with(std::initializer_list<std::string> tensors, std::size_t data_bytes) {
  return toy::file_of(tensor_map(tensors), data_bytes);
}

} // namespace

TEST_CASE("all kinds of tensors of a file by PyPI's safetensors") {
  io::SafetensorsFile const file(toy::data / "mixed.safetensors");
  io::Safetensors const& content = file.content;
  CHECK(content.metadata() ==
        std::map<std::string, std::string>{{"format", "pt"}, {"note", "größe \"x\"\n"}});
  CHECK(content.tensors().size() == 8);
  for (io::TensorEntry const& entry : content.tensors()) {
    CHECK(entry.type.name == entry.name); // the script calls them so
    CHECK(content.find(entry.name) == &entry);
  }
  using Shape = std::vector<std::size_t>;
  CHECK(content.find("I64")->shape == Shape{2, 2});
  CHECK(content.find("I64")->bytes.size() == 32);
  CHECK(content.find("I64")->bytes[16] == std::byte{3});
  CHECK(content.find("BOOL")->bytes.size() == 3);
  CHECK(content.find("F32")->shape == Shape{});
  CHECK(content.find("F32")->bytes.size() == 4);
  CHECK(content.find("F16")->shape == Shape{2, 0, 3});
  CHECK(content.find("F16")->bytes.empty());
  CHECK(content.find("U8")->bytes[4] == std::byte{4});
  CHECK(content.find("nothing") == nullptr);

  float values[2] = {};
  io::copy_weights(*content.find("BF16"), content.file(), values, [](auto) {});
  CHECK(values[0] == 1.0F);
  CHECK(values[1] == -3.0F);
  toy::check_error([&] { io::copy_weights(*content.find("I64"), content.file(), values, [](auto) {}); },
                   {"mixed.safetensors: tensor \"I64\"", "found I64", "expected F32, F16 or BF16"});
}

TEST_CASE("a copy of a bound file keeps its tensors") {
  std::string const file = file_with({tensor("a", "U8", "[2]", "[0,2]")}, 2);
  io::Safetensors const original(toy::bytes_of(file), "x");
  io::Safetensors const copy = original;
  CHECK(copy.find("a") == &copy.tensors()[0]);
}

TEST_CASE("data at odd addresses is read") {
  std::string file = file_with({tensor("a", "U8", "[1]", "[0,1]"), tensor("b", "F32", "[2]", "[1,9]"),
                                tensor("c", "F16", "[1]", "[9,11]")},
                               0);
  file += "\x07";
  float const numbers[2] = {1.5F, -2.25F};
  file.append(reinterpret_cast<char const*>(numbers), sizeof numbers);
  file.append("\x00\x3c", 2); // 1.0
  for (std::size_t shift = 0; shift < 4; ++shift) {
    std::string const shifted = std::string(shift, ' ') + file;
    io::Safetensors const content(toy::bytes_of(shifted).subspan(shift), "odd");
    float read[2] = {};
    io::copy_weights(*content.find("b"), "odd", read, [](auto) {});
    CHECK(read[0] == 1.5F);
    CHECK(read[1] == -2.25F);
    io::copy_weights(*content.find("c"), "odd", read, [](auto) {});
    CHECK(read[0] == 1.0F);
  }
}

TEST_CASE("the smallest file, and padding behind the header") {
  std::string const smallest = toy::file_of("{}");
  CHECK(io::Safetensors(toy::bytes_of(smallest), "x").tensors().empty());
  std::string const padded = toy::file_of(tensor_map({tensor("a", "F4", "[4]", "[0,2]")}) + "      ", 2);
  CHECK(io::Safetensors(toy::bytes_of(padded), "x").find("a")->bytes.size() == 2);
}

TEST_CASE("a file cut short anywhere is an error") {
  std::string const whole = toy::read(toy::data / "mixed.safetensors");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    std::string const cut = whole.substr(0, size);
    CAPTURE(size);
    CHECK(toy::error_of([&] { io::Safetensors(toy::bytes_of(cut), "cut"); }).starts_with("cut: "));
  }
}

TEST_CASE("wrong lengths of the header") {
  expect_error("", {"truncated", "expected a header length of 8 bytes", "0 bytes"});
  expect_error("1234567", {"truncated", "7 bytes"});
  expect_error(std::string("\0\0\0\0\0\0\0\x10", 8) + "{}",
               {"header length is 1152921504606846976", "100000000"});
  expect_error(std::string(8, '\xff') + "{}", {"header length is 18446744073709551615"});
  expect_error(std::string("\x01\xe1\xf5\x05\0\0\0\0", 8) + "{}", {"header length is 100000001"});
  expect_error(std::string("\x03\0\0\0\0\0\0\0", 8) + "{}",
               {"expected a header of 3 bytes", "found 2 bytes"});
  expect_error("version https://git-lfs.github.com/spec/v1\noid sha256:1\n", {"Git LFS", "git lfs pull"});
}

TEST_CASE("headers that are no JSON object, or a doubtful one") {
  expect_error(toy::file_of(""), {"does not begin with {"});
  expect_error(toy::file_of("[]"), {"does not begin with {"});
  expect_error(toy::file_of(" {}"), {"does not begin with {"});
  expect_error(toy::file_of("{\"a\":"), {"invalid JSON"});
  expect_error(toy::file_of("{} {}"), {"invalid JSON"});
  expect_error(toy::file_of("{\"a\":1e999}"), {"invalid JSON"});
  expect_error(toy::file_of("{\"a\xff\":1}"), {"invalid UTF-8 at byte 3"});
  std::string const a = tensor("a", "U8", "[1]", "[0,1]");
  expect_error(file_with({a, a}, 1), {"\"a\" is there twice"});
  expect_error(toy::file_of(R"({"a":{"dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]}})", 1),
               {"\"dtype\" is there twice"});
  expect_error(toy::file_of(pocketllm::concat("{\"a\":", std::string(500, '['), std::string(500, ']'), '}')),
               {"deeper than 64"});
  expect_error(toy::file_of(R"({"__metadata__":[]})"),
               {"__metadata__ is array", "expected an object of strings"});
  expect_error(toy::file_of(R"({"__metadata__":{"k":1}})"),
               {"__metadata__ \"k\" is number", "expected a string"});
}

TEST_CASE("wrong members of a tensor") {
  std::string const place = "some.safetensors: tensor \"a\"";
  auto const with = [](std::string const& value) {
    return toy::file_of(pocketllm::concat("{\"a\":", value, '}'), 4);
  };
  expect_error(with("3"), {place, "is number", "expected an object"});
  expect_error(with(R"({"shape":[1],"data_offsets":[0,4]})"), {place, "has no dtype"});
  expect_error(with(R"({"dtype":7,"shape":[1],"data_offsets":[0,4]})"), {place, "not a string"});
  expect_error(with(R"({"dtype":"F31","shape":[1],"data_offsets":[0,4]})"),
               {place, "unknown dtype \"F31\"", "expected one of F32 F16 BF16", "I64"});
  expect_error(with(R"({"dtype":"F32","data_offsets":[0,4]})"), {place, "has no shape"});
  expect_error(with(R"({"dtype":"F32","shape":1,"data_offsets":[0,4]})"),
               {place, "shape is number", "expected a list"});
  expect_error(with(R"({"dtype":"F32","shape":[-1],"data_offsets":[0,4]})"),
               {place, "shape", "non-negative integer"});
  expect_error(with(R"({"dtype":"F32","shape":[1.0],"data_offsets":[0,4]})"),
               {place, "shape", "non-negative integer"});
  expect_error(with(R"({"dtype":"F32","shape":[1]})"), {place, "has no data_offsets"});
  expect_error(with(R"({"dtype":"F32","shape":[1],"data_offsets":[0]})"),
               {place, "data_offsets has 1 numbers"});
  expect_error(with(R"({"dtype":"F32","shape":[1],"data_offsets":[0,4,4]})"),
               {place, "data_offsets has 3 numbers"});
  expect_error(file_with({tensor("a\\nb", "F31", "[]", "[]")}, 0), {"tensor \"a\\nb\""});
}

TEST_CASE("shapes and offsets that do not fit") {
  std::string const place = "some.safetensors: tensor \"a\"";
  auto const a = [](std::string const& dtype, std::string const& shape, std::string const& offsets) {
    return file_with({tensor("a", dtype, shape, offsets)}, 8);
  };
  expect_error(a("F32", "[4294967296,4294967296]", "[0,8]"), {place, "F32 [4294967296, 4294967296]", "2^64"});
  expect_error(a("F32", "[18446744073709551615]", "[0,8]"), {place, "2^64"});
  expect_error(a("F32", "[9223372036854775808,4,0]", "[0,0]"), {place, "2^64"});
  expect_error(a("F4", "[3]", "[0,1]"), {place, "F4 [3]", "12 bits"});
  expect_error(a("F32", "[2]", "[8,0]"), {place, "data_offsets [8, 0]", "before they begin"});
  expect_error(a("F32", "[3]", "[0,12]"), {place, "data_offsets [0, 12]", "data, which has 8 bytes"});
  expect_error(a("F32", "[1]", "[18446744073709551612,18446744073709551615]"), {place, "behind the data"});
  expect_error(a("F32", "[3]", "[0,8]"),
               {place, "data_offsets [0, 8] hold 8 bytes", "expected 12 for F32 [3]"});
  expect_error(a("F16", "[2,3]", "[0,8]"), {place, "hold 8 bytes", "expected 12 for F16 [2, 3]"});
  expect_error(a("F32", "[1]", "[4,8]"), {place, "leaves a hole", "begin at 4", "expected 0"});
  expect_error(a("F32", "[1]", "[0,4]"), {"the tensors end at byte 4", "expected 8"});
}

TEST_CASE("tensors that overlap or leave holes between them") {
  auto const two = [](std::string const& first, std::string const& second) {
    return file_with({tensor("a", "F32", "[2]", first), tensor("b", "F32", "[2]", second)}, 16);
  };
  CHECK(toy::error_of([&] { io::Safetensors(toy::bytes_of(two("[8,16]", "[0,8]")), "x"); }) == "");
  expect_error(two("[0,8]", "[4,12]"), {"tensor \"b\" overlaps", "begin at 4", "expected 8"});
  expect_error(two("[0,8]", "[0,8]"), {"overlaps", "begin at 0", "expected 8"});
  expect_error(two("[0,8]", "[12,20]"), {"tensor \"b\"", "behind the data"});
}

} // namespace test_safetensors
