// SPDX-License-Identifier: Apache-2.0
// The tokenizer of the shipped OPT: transformers' ids, with </s> before a text.
#include <pocketllm/text/json_file.hpp>
#include <pocketllm/text/load_tokenizer.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace test_opt_tokenizer {

using namespace pocketllm;

TEST_CASE("texts of OPT have transformers' ids") {
  std::filesystem::path const tests = POCKETLLM_TEST_DATA;
  auto const tokenizer = text::load_tokenizer(tests.parent_path() / "examples/models/tiny-opt");
  CHECK(tokenizer.special_tokens().bos == 2);
  CHECK(tokenizer.special_tokens().eos == 2);
  CHECK(tokenizer.framing().before == std::vector<std::int32_t>{2});
  CHECK(tokenizer.framing().after.empty());
  std::string const file = (tests / "text/data/opt_golden.json").string();
  auto const golden = text::parse_json(text::read_whole_file(file), file);
  for (auto const& json : golden.at("cases")) {
    std::string const written = json.at("text").get<std::string>();
    CAPTURE(written);
    CHECK(tokenizer.encode_framed(written) == json.at("framed").get<std::vector<std::int32_t>>());
  }
}

} // namespace test_opt_tokenizer
