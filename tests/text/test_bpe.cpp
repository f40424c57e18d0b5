// SPDX-License-Identifier: Apache-2.0
// Byte-level BPE against the ids of PyPI's `tokenizers` (data/golden.json, made by make_tokenizer_golden.py).
#include "test_tokenizer_data.hpp"
#include <pocketllm/text/byte_pair.hpp>
#include <pocketllm/text/tokenizer_json.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace test_bpe {

using namespace pocketllm::text;
using namespace tokenizer_test;

namespace {

using Ids = std::vector<std::int32_t>;

/// Compares `encode` of a tokenizer with member `key` of all golden cases that have it (or "ids" in its
/// place).
void check_cases(AnyTokenizer const& tokenizer, Json const& golden, char const* key, bool ids_otherwise) {
  std::size_t compared = 0;
  for (Json const& one : golden.at("cases")) {
    if (ids_otherwise || one.contains(key)) {
      INFO(key << ": " << one.at("name").get<std::string>());
      Ids const expected = (one.contains(key) ? one.at(key) : one.at("ids")).get<Ids>();
      CHECK(tokenizer.encode(from_hex(one.at("hex").get<std::string>())) == expected);
      ++compared;
    }
  }
  CHECK(compared > 20);
}

AnyTokenizer small_tokenizer() { return load_tokenizer(data_path()); }

/// Merging as it is defined: again and again the first of the pairs of lowest rank.
Ids naive_merge(Ids ids, MergeTable const& merges) {
  while (true) {
    MergeTable::Entry const* best = nullptr;
    std::size_t at = 0;
    for (std::size_t i = 0; i + 1 < ids.size(); ++i) {
      auto const* merge = merges.find(ids[i], ids[i + 1]);
      if (merge != nullptr && (best == nullptr || merge->rank < best->rank)) {
        best = merge;
        at = i;
      }
    }
    if (best == nullptr) {
      return ids;
    }
    ids[at] = best->result;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  }
}

} // namespace

TEST_CASE("ids, framing and decoding are those of tokenizers on all hard cases") {
  auto const tokenizer = small_tokenizer();
  Json const golden = data_json("golden.json");
  check_cases(tokenizer, golden, "ids", false);
  for (Json const& one : golden.at("cases")) {
    INFO(one.at("name").get<std::string>());
    std::string const text = from_hex(one.at("hex").get<std::string>());
    auto const ids = one.at("ids").get<Ids>();
    CHECK(tokenizer.decode(ids) == one.at("decoded").get<std::string>());
    CHECK(tokenizer.decode(ids, true) == one.at("decoded_plain").get<std::string>());
    if (one.contains("framed")) {
      CHECK(tokenizer.encode_framed(text) == one.at("framed").get<Ids>());
      CHECK(tokenizer.encode_framed(text, "The ferry") == one.at("pair").get<Ids>());
    }
  }
}

TEST_CASE("added tokens strip, stand alone and take turns as in tokenizers") {
  Json const golden = data_json("golden.json");
  Json root = data_json("tokenizer.json");
  for (Json const& token : golden.at("added_tokens")) {
    root["added_tokens"].push_back(token);
  }
  auto const tokenizer = read_tokenizer_json(root.dump());
  check_cases(tokenizer, golden, "added", true);
  // An added token decodes to its content even where that is not a spelling of bytes.
  std::int32_t const id = tokenizer.id_of("\u00e9!").value();
  CHECK(tokenizer.decode(std::array{id}) == "\u00e9!");
  CHECK(tokenizer.token_of(id) == "\u00e9!");
}

TEST_CASE("add_prefix_space as in tokenizers") {
  Json root = data_json("tokenizer.json");
  root["pre_tokenizer"]["add_prefix_space"] = true;
  check_cases(read_tokenizer_json(root.dump()), data_json("golden.json"), "prefixed", true);
}

TEST_CASE("bytes without a token are left out, or unknown where the file has an unk_token") {
  Json const golden = data_json("golden.json");
  Json root = data_json("tokenizer.json");
  root["model"]["vocab"] = golden.at("reduced_vocab");
  root["model"]["merges"] = golden.at("reduced_merges");
  check_cases(read_tokenizer_json(root.dump()), golden, "dropped", false);
  root["model"]["unk_token"] = "<unk>";
  check_cases(read_tokenizer_json(root.dump()), golden, "unknown", false);
}

TEST_CASE("decode(encode(x)) is x for valid text") {
  auto const tokenizer = small_tokenizer();
  Json const golden = data_json("golden.json");
  for (Json const& one : golden.at("cases")) {
    std::string const text = replace_invalid_utf8(from_hex(one.at("hex").get<std::string>()));
    bool const strips =
        text.find(" <mask>") != std::string::npos || text.find("\u3000<mask>") != std::string::npos;
    if (!strips) { // `<mask>` takes the space on its left with it
      CHECK(tokenizer.decode(tokenizer.encode(text)) == text);
    }
  }
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) { // any bytes at all
    std::string text;
    for (std::size_t i = 0; i < 60; ++i) {
      text.push_back(static_cast<char>(random() % (round % 2 == 0 ? 256 : 128)));
    }
    CHECK(tokenizer.decode(tokenizer.encode(text)) == replace_invalid_utf8(text));
  }
}

TEST_CASE("token_ends are where decoding the first tokens ends") {
  auto const tokenizer = small_tokenizer();
  std::string const text = "The ferry's  Br\u00fccke \u4eca\u65e5, \U0001f389!";
  auto const ids = tokenizer.encode(text);
  auto const ends = tokenizer.token_ends(text);
  REQUIRE(ends.size() == ids.size());
  CHECK(ends.back() == text.size());
  for (std::size_t i = 0; i < ids.size(); ++i) {
    std::size_t const end = ends[i];
    if (is_code_point_boundary(text, end)) {
      CHECK(tokenizer.decode(std::span(ids).first(i + 1)) == text.substr(0, end));
    }
  }
  CHECK(tokenizer.token_ends("a  <mask> b") == std::vector<std::size_t>{1, 9, 11});
}

TEST_CASE("merging with the heap is merging by the definition") {
  std::mt19937 random(11);
  for (int round = 0; round < 400; ++round) {
    std::vector<Merge> merges; // of 4 letters; results are new ids that merge further
    std::int32_t next = 4;
    for (int i = 0; i < 12; ++i) {
      auto const any = [&] { return static_cast<std::int32_t>(random() % static_cast<unsigned>(next)); };
      merges.push_back({any(), any(), next});
      ++next;
    }
    std::shuffle(merges.begin(), merges.end(), random); // ranks in any order, not only such as training gives
    MergeTable const table(merges);
    Ids letters;
    WordMerger merger;
    merger.clear();
    for (std::size_t i = 0; i < 1 + random() % 40; ++i) {
      letters.push_back(static_cast<std::int32_t>(random() % 4));
      merger.add(letters.back(), i + 1);
    }
    Ids merged;
    std::size_t last = 0;
    merger.run(table, [&](std::int32_t id, std::size_t end) {
      merged.push_back(id);
      CHECK(end > last);
      last = end;
    });
    CHECK(merged == naive_merge(letters, table));
    CHECK(last == letters.size());
  }
}

TEST_CASE("a word of a million letters takes no quadratic time") {
  auto const tokenizer = small_tokenizer();
  std::string word;
  for (int i = 0; i < 100000; ++i) {
    word += "messagethe";
  }
  auto const begin = std::chrono::steady_clock::now();
  auto const ids = tokenizer.encode(word);
  std::chrono::duration<double> const seconds = std::chrono::steady_clock::now() - begin;
  CHECK(seconds.count() < 30); // about 0.3 s in release; quadratic would be hours
  CHECK(tokenizer.decode(ids) == word);
}

TEST_CASE("several threads encode with one tokenizer") {
  auto const tokenizer = small_tokenizer();
  std::string const text = "We've counted 1200 lanterns, Br\u00fccke \u4eca\u65e5 <mask>.";
  auto const expected = tokenizer.encode(text);
  std::array<bool, 4> same{};
  std::vector<std::thread> threads;
  for (bool& result : same) {
    threads.emplace_back([&] {
      result = true;
      for (int i = 0; i < 200; ++i) {
        result = result && tokenizer.encode(text) == expected;
      }
    });
  }
  for (auto& thread : threads) {
    thread.join();
  }
  CHECK(std::all_of(same.begin(), same.end(), [](bool result) { return result; }));
}

TEST_CASE("tokens and ids") {
  auto const tokenizer = small_tokenizer();
  CHECK(tokenizer.vocabulary_size() == 760);
  CHECK(tokenizer.id_of("<mask>") == 4);
  CHECK(tokenizer.token_of(4) == "<mask>");
  CHECK(!tokenizer.id_of("no such token"));
  CHECK(!tokenizer.id_of("\xff"));
  Json const vocabulary = data_json("vocab.json");
  for (auto const& [token, id] : vocabulary.items()) {
    CHECK(tokenizer.token_of(id.get<std::int32_t>()) == token);
    CHECK(tokenizer.id_of(token) == id.get<std::int32_t>());
  }
  CHECK_THROWS_WITH_AS((void)tokenizer.decode(std::array{760}),
                       "token id 760 is out of range: the vocabulary has ids 0 to 759", pocketllm::Error);
  CHECK_THROWS_AS((void)tokenizer.token_of(-1), pocketllm::Error);
}

} // namespace test_bpe
