// SPDX-License-Identifier: Apache-2.0
// WordPiece against the package `tokenizers`: every code point, hard cases, both layouts of files, wrong
// files.
#include "test_tokenizer_data.hpp"
#include <pocketllm/core/hash.hpp>
#include <pocketllm/text/load_tokenizer.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace test_wordpiece {

using namespace pocketllm::text;
using namespace tokenizer_test;

namespace {

using Ids = std::vector<std::int32_t>;

std::string file(char const* name) { return data_file((std::string("wordpiece/") + name).c_str()); }

Json golden() { return Json::parse(file("golden.json")); }

/// The small tokenizer with changes to its normalizer.
AnyTokenizer with_normalizer(Json const& change) {
  Json root = Json::parse(file("tokenizer.json"));
  root["normalizer"].update(change);
  Directory directory;
  return directory.write("tokenizer.json", root.dump()).load();
}

BertNormalizer normalizer_of(AnyTokenizer const& tokenizer) {
  return tokenizer.visit([](auto const& held) {
    if constexpr (requires { held.normalizer(); }) {
      return held.normalizer();
    }
    return BertNormalizer{};
  });
}

/// The words of a text, each followed by a zero byte.
std::string words(BertNormalizer const& normalizer, std::string_view text) {
  std::string all;
  auto const characters = normalize(normalizer, text);
  split_words(characters, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) {
      append_code_point(all, characters[i].value);
    }
    all.push_back('\0');
  });
  return all;
}

/// FNV-1a, continued from `value`.
std::uint64_t hash_on(std::uint64_t value, std::string_view bytes) {
  for (char const byte : bytes) {
    value = (value ^ static_cast<unsigned char>(byte)) * 0x100000001b3ULL;
  }
  return value;
}

/// The message for a tokenizer.json changed by `change`.
template <class Change>
std::string json_error(Change const& change) {
  Json root = Json::parse(file("tokenizer.json"));
  change(root);
  Directory directory;
  return directory.write("tokenizer.json", root.dump()).error();
}

} // namespace

TEST_CASE("every code point is normalised and cut as by tokenizers") {
  Json const variants = golden().at("variants");
  for (auto const& item : variants.items()) {
    std::string const& name = item.key(); // no structured binding, which clang does not capture
    Json const& variant = item.value();
    CAPTURE(name);
    BertNormalizer const normalizer = normalizer_of(with_normalizer(variant.at("normalizer")));
    std::uint64_t value = pocketllm::fnv1a("");
    for (char32_t c = 0; c < 0x110000; ++c) {
      if (c < 0xd800 || c >= 0xe000) {
        std::string text = "a";
        append_code_point(text, c);
        value = hash_on(value, words(normalizer, text + "b"));
      }
    }
    CHECK(value == std::stoull(variant.at("code_points").get<std::string>(), nullptr, 16));
  }
}

TEST_CASE("ids of hard cases are those of tokenizers, for all settings of the normalizer") {
  Json const all = golden();
  for (auto const& item : all.at("variants").items()) {
    std::string const& name = item.key();
    AnyTokenizer const tokenizer = with_normalizer(item.value().at("normalizer"));
    for (Json const& one : all.at("cases")) {
      INFO(name << ": " << one.at("name").get<std::string>());
      CHECK(tokenizer.encode(from_hex(one.at("hex").get<std::string>())) == one.at(name).get<Ids>());
    }
  }
}

TEST_CASE("decoded text is that of tokenizers") {
  AnyTokenizer const tokenizer = with_normalizer(Json::object());
  Json const all = golden();
  for (Json const& one : all.at("cases")) {
    INFO(one.at("name").get<std::string>());
    Ids const ids = one.at("uncased").get<Ids>();
    CHECK(tokenizer.decode(ids) == one.at("decoded").get<std::string>());
    CHECK(tokenizer.decode(ids, true) == one.at("decoded_plain").get<std::string>());
  }
  CHECK_THROWS_WITH_AS(static_cast<void>(tokenizer.decode(Ids{560})),
                       "token id 560 is out of range; the vocabulary has 560 tokens", pocketllm::Error);
}

TEST_CASE("tokens end where their text ends in the original") {
  AnyTokenizer const tokenizer = with_normalizer(Json::object());
  std::string const text = "Br\u00fccke  [MASK]!\xff de\u0301ja\u0300";
  std::string const read = replace_invalid_utf8(text);
  auto const ids = tokenizer.encode(text);
  auto const ends = tokenizer.token_ends(text);
  REQUIRE(ends.size() == ids.size());
  for (std::size_t i = 0; i < ids.size(); ++i) {
    CHECK(is_code_point_boundary(read, ends[i]));
    CHECK((i == 0 || ends[i] > ends[i - 1]));
    if (ids[i] == tokenizer.special_tokens().mask) {
      CHECK(read.substr(0, ends[i]).ends_with("[MASK]"));
    }
  }
  CHECK(ends.back() + 2 == read.size()); // the last accent is no part of the word
}

TEST_CASE("vocab.txt is read as tokenizer.json is, with BERT's names and framing") {
  Directory directory;
  directory.write("vocab.txt", file("vocab.txt"));
  AnyTokenizer const one = with_normalizer(Json::object()), two = directory.load();
  Json const all = golden();
  for (Json const& text : all.at("cases")) {
    std::string const bytes = from_hex(text.at("hex").get<std::string>());
    CHECK(two.encode(bytes) == one.encode(bytes));
  }
  for (AnyTokenizer const* tokenizer : {&one, &two}) {
    SpecialTokens const special = tokenizer->special_tokens();
    CHECK(
        (special.pad == 0 && special.unk == 1 && special.cls == 2 && special.sep == 3 && special.mask == 4));
    CHECK(tokenizer->encode_framed("The ferry", "was late.") == all.at("pair").at("ids").get<Ids>());
    FramedText const pair =
        frame(tokenizer->framing(), tokenizer->encode("The ferry"), tokenizer->encode("was late."));
    CHECK(pair.types == all.at("pair").at("types").get<Ids>());
    CHECK(tokenizer->encode_framed("") == Ids{2, 3});
    CHECK(tokenizer->vocabulary_size() == one.vocabulary_size());
    CHECK(tokenizer->token_of(4) == "[MASK]");
    CHECK(tokenizer->id_of("[SEP]") == 3);
    CHECK(!tokenizer->id_of("nowhere"));
  }
  directory.write("tokenizer_config.json", R"({"tokenizer_class": "BertTokenizer", "do_lower_case": false})");
  BertNormalizer const cased = normalizer_of(directory.load());
  CHECK((!cased.lowercase && !cased.strip_accents && cased.handle_chinese_chars));
  directory.write("tokenizer_config.json",
                  R"({"do_lower_case": true, "strip_accents": false, "tokenize_chinese_chars": false})");
  BertNormalizer const other = normalizer_of(directory.load());
  CHECK((other.lowercase && !other.strip_accents && !other.handle_chinese_chars));
}

TEST_CASE("WordPiece files that are damaged or not supported") {
  auto const text_error = [](std::string_view text) {
    Directory directory;
    return directory.write("vocab.txt", text).error();
  };
  CHECK(text_error("[UNK]\n[CLS]\na\na\n") ==
        "/vocab.txt:4: token \"a\" is there already; the ids of all tokens behind it would be wrong");
  CHECK(text_error("[UNK]\n[CLS]\na\n")
            .starts_with("/vocab.txt: no [CLS] or no [SEP], which BERT puts around"));
  CHECK(text_error("[CLS]\n[SEP]\n") == "/vocab.txt: unk_token \"[UNK]\" is not in the vocabulary");
  CHECK(text_error("[UNK]\n\xff\n").starts_with("/vocab.txt: invalid UTF-8 at byte 6"));
  CHECK(json_error([](Json& root) {
          root["normalizer"] = {{"type", "NFC"}};
        }) == "/tokenizer.json: normalizer \"NFC\" is not supported with WordPiece; only BertNormalizer is");
  CHECK(json_error([](Json& root) { root["pre_tokenizer"] = nullptr; }) ==
        "/tokenizer.json: pre_tokenizer \"none\" is not supported with WordPiece; only BertPreTokenizer is");
  CHECK(json_error([](Json& root) { root["model"]["max_input_chars_per_word"] = "x"; }) ==
        "/tokenizer.json: \"max_input_chars_per_word\" is not a whole number");
  CHECK(json_error([](Json& root) {
          root["added_tokens"].push_back({{"id", 560}, {"content", "<New>"}, {"special", false}});
        }).starts_with("/tokenizer.json: added token \"<New>\" is looked for in the normalised text"));
  CHECK(json_error([](Json& root) { root["model"]["vocab"].erase("a"); }).find("no token has id") !=
        std::string::npos);
}

} // namespace test_wordpiece
