// SPDX-License-Identifier: Apache-2.0
// Reading tokenizers from directories: both layouts, special tokens, framing, and each wrong thing's message.
#include "test_tokenizer_data.hpp"
#include <pocketllm/text/load_tokenizer.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace test_tokenizer_files {

using namespace pocketllm::text;
using namespace tokenizer_test;

namespace {

using Ids = std::vector<std::int32_t>;

constexpr std::string_view sample = "We've counted <mask> lanterns, Br\u00fccke.";

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  std::size_t const at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

void two_files(Directory& directory) { directory.copy("vocab.json").copy("merges.txt"); }

/// The message for a tokenizer.json changed by `change`.
template <class Change>
std::string json_error(Change const& change) {
  Json root = data_json("tokenizer.json");
  change(root);
  Directory directory;
  return directory.write("tokenizer.json", root.dump()).error();
}

std::string merges_error(std::string_view text) {
  Directory directory;
  return directory.copy("vocab.json").write("merges.txt", text).error();
}

} // namespace

TEST_CASE("vocab.json and merges.txt alone: RoBERTa's names, framing, and a mask that takes its space") {
  Directory directory;
  two_files(directory);
  auto const two = directory.load();
  auto const one = load_tokenizer(data_path()); // tokenizer.json
  CHECK(two.encode(sample) == one.encode(sample));
  CHECK(two.encode_framed("a") == one.encode_framed("a"));
  CHECK(two.encode_framed("a", "b") == one.encode_framed("a", "b"));
  CHECK(two.encode_framed("", "") == Ids{0, 2, 2, 2});
  for (SpecialTokens const& tokens : {two.special_tokens(), one.special_tokens()}) {
    CHECK(tokens.bos == 0);
    CHECK(tokens.cls == 0);
    CHECK(tokens.pad == 1);
    CHECK(tokens.eos == 2);
    CHECK(tokens.sep == 2);
    CHECK(tokens.unk == 3);
    CHECK(tokens.mask == 4);
  }
}

TEST_CASE("merges as strings, merges with Windows line ends") {
  Json root = data_json("tokenizer.json");
  std::string windows = "#version: 0.2\r\n";
  for (Json& merge : root["model"]["merges"]) {
    merge = merge[0].get<std::string>() + " " + merge[1].get<std::string>();
    windows += merge.get<std::string>() + "\r\n";
  }
  auto const expected = load_tokenizer(data_path()).encode(sample);
  Directory strings;
  CHECK(strings.write("tokenizer.json", root.dump()).load().encode(sample) == expected);
  Directory crlf;
  CHECK(crlf.copy("vocab.json").write("merges.txt", windows).load().encode(sample) == expected);
}

TEST_CASE("OPT: the beginning token only, from tokenizer_config.json or config.json") {
  for (bool const from_model : {false, true}) {
    Directory directory;
    two_files(directory);
    if (from_model) {
      directory.write("config.json", R"({"model_type": "opt"})");
    } else {
      directory.write("tokenizer_config.json", R"({"tokenizer_class": "GPT2Tokenizer", "add_bos_token": true,
        "bos_token": "</s>", "eos_token": "</s>", "unk_token": "</s>", "pad_token": "<pad>"})");
    }
    auto const tokenizer = directory.load();
    auto const a = tokenizer.encode("a").at(0);
    CHECK(tokenizer.encode_framed("a") == Ids{2, a});
    CHECK(tokenizer.encode_framed("a", "a") == Ids{2, a, 2, a});
    CHECK(tokenizer.special_tokens().bos == 2);
    CHECK(tokenizer.special_tokens().pad == 1);
    CHECK(!tokenizer.special_tokens().mask);
    CHECK(tokenizer.encode("<mask>").size() > 1); // no special token here
    CHECK(tokenizer.encode("</s>") == Ids{2});
  }
}

TEST_CASE("GPT-2: no framing") {
  Directory directory;
  two_files(directory);
  directory.write("tokenizer_config.json", R"({"tokenizer_class": "GPT2TokenizerFast", "bos_token": "<s>"})");
  auto const tokenizer = directory.load();
  CHECK(tokenizer.encode_framed("a") == tokenizer.encode("a"));
  CHECK(tokenizer.special_tokens().bos == 0);
}

TEST_CASE("special tokens come from the files: strings, objects, further ones, ids of added tokens") {
  Directory directory;
  two_files(directory);
  directory.write(
      "tokenizer_config.json",
      R"({"tokenizer_class": "RobertaTokenizer", "mask_token": "<pad>", "pad_token": {"content": "<mask>"},
                      "additional_special_tokens": ["<extra>"]})");
  directory.write("added_tokens.json", R"({"<extra>": 760, "<more>": 761})");
  auto tokenizer = directory.load();
  CHECK(tokenizer.vocabulary_size() == 762);
  CHECK(tokenizer.special_tokens().mask == 1);
  CHECK(tokenizer.special_tokens().pad == 4);
  CHECK(tokenizer.encode("a <pad>").size() == 2); // RoBERTa's mask, whatever its name, takes the space
  CHECK(tokenizer.encode("a <mask>").size() == 3);
  CHECK(tokenizer.encode("<more><extra>") == Ids{761, 760});

  directory.write("special_tokens_map.json",
                  R"({"mask_token": {"content": "<pad>", "lstrip": false, "rstrip": true}})");
  tokenizer = directory.load();
  CHECK(tokenizer.encode("a <pad> ").size() == 3); // the object's flags

  directory.write("tokenizer_config.json", R"({"add_prefix_space": true, "added_tokens_decoder":
    {"4": {"content": "<mask>", "lstrip": false, "special": true}, "760": {"content": "<extra>", "rstrip": true}}})");
  directory.write("special_tokens_map.json", "{}");
  tokenizer = directory.load();
  CHECK(tokenizer.encode("a <mask>").size() == 3);
  CHECK(tokenizer.encode("<extra>  ") == Ids{760});
  CHECK(tokenizer.encode("ferry") == tokenizer.encode(" ferry"));
}

TEST_CASE("tokenizer.json: framing of each post-processor") {
  auto const framed = [](Json const& processor) {
    Json root = data_json("tokenizer.json");
    root["post_processor"] = processor;
    auto const tokenizer = read_tokenizer_json(root.dump());
    return std::pair(tokenizer.encode_framed(""), tokenizer.encode_framed("", ""));
  };
  CHECK(framed(nullptr) == std::pair(Ids{}, Ids{}));
  CHECK(framed({{"type", "ByteLevel"}}) == std::pair(Ids{}, Ids{}));
  Json const bert = {{"type", "BertProcessing"}, {"cls", {"<s>", 0}}, {"sep", {"</s>", 2}}};
  CHECK(framed(bert) == std::pair(Ids{0, 2}, Ids{0, 2, 2}));
  Json const opt = Json::parse(R"({"type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "</s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
    "pair": [{"SpecialToken": {"id": "</s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
             {"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}},
             {"SpecialToken": {"id": "<pad>", "type_id": 1}}],
    "special_tokens": {"</s>": {"id": "</s>", "ids": [2], "tokens": ["</s>"]}, "<s>": {"id": "<s>", "ids": [0]},
                       "<pad>": {"id": "<pad>", "ids": [1]}}})");
  CHECK(framed(opt) == std::pair(Ids{2}, Ids{2, 0, 1}));
  CHECK(framed({{"type", "Sequence"}, {"processors", {{{"type", "ByteLevel"}}, opt}}}) == framed(opt));
}

TEST_CASE("directories that hold no tokenizer, or not one that is supported") {
  CHECK_THROWS_WITH_AS(
      (void)load_tokenizer("nowhere"),
      "nowhere: no such directory; a directory with tokenizer.json, with vocab.json and merges.txt, or with "
      "vocab.txt, is needed",
      pocketllm::Error);
  auto const with = [](char const* name) {
    Directory directory;
    return directory.write(name, "{}").error();
  };
  CHECK(with("README.md").starts_with(": no tokenizer files; a directory with"));
  CHECK(with("vocab.json") ==
        ": vocab.json is there but merges.txt is missing; copy merges.txt (or tokenizer.json) of "
        "the same model into the directory");
  CHECK(with("merges.txt").starts_with(": merges.txt is there but vocab.json is missing; copy vocab.json"));
  CHECK(with("tokenizer.model")
            .starts_with(": tokenizer.model is SentencePiece, which is not supported; supported are"));
  Directory clip;
  two_files(clip);
  clip.write("tokenizer_config.json", R"({"tokenizer_class": "CLIPTokenizer"})");
  CHECK(clip.error().starts_with(
      "/tokenizer_config.json: tokenizer_class \"CLIPTokenizer\" is not supported with"));
  Directory model;
  two_files(model);
  model.write("config.json", R"({"model_type": "whisper"})");
  CHECK(model.error().starts_with(
      "/config.json: model_type \"whisper\" with vocab.json and merges.txt is not"));
}

TEST_CASE("damaged vocab.json and merges.txt: the file, the line and what is wrong") {
  auto const vocabulary_error = [](std::string_view bytes) {
    Directory directory;
    return directory.write("vocab.json", bytes).copy("merges.txt").error();
  };
  CHECK(
      vocabulary_error("{\"a\": 0").starts_with("/vocab.json: invalid JSON: parse error at line 1, column "));
  CHECK(vocabulary_error("{\"\xff\": 0}")
            .starts_with("/vocab.json: invalid UTF-8 at byte 2; the file is damaged"));
  CHECK(vocabulary_error("[1]").starts_with("/vocab.json: the vocabulary is not a JSON object"));
  CHECK(vocabulary_error(R"({"a": -1})").starts_with("/vocab.json: the id of token \"a\" is not an integer"));
  CHECK(vocabulary_error(R"({"a": 1e300})")
            .starts_with("/vocab.json: the id of token \"a\" is not an integer"));
  CHECK(
      vocabulary_error(R"({"a": 0, "b": 1})").starts_with("/vocab.json: no token \"\u0120\" (the space of"));
  std::string const vocabulary = data_file("vocab.json");
  CHECK(vocabulary_error(replaced(vocabulary, "\"<unk>\":3", "\"<unk>\":1")).find("have the same id 1") !=
        std::string::npos);
  CHECK(vocabulary_error(replaced(vocabulary, "\"<unk>\":3", "\"<unk>\":2000000000")) ==
        "/vocab.json: no token has id 3; ids must be 0 to 759 for 760 tokens");

  CHECK(merges_error("#version: 0.2\n\u0120 t\n\u0120t\n") ==
        "/merges.txt:3: \"\u0120t\" is not a merge: expected two tokens with a space between them");
  CHECK(merges_error("a b c\n").starts_with("/merges.txt:1: \"a b c\" is not a merge"));
  CHECK(merges_error("#version: 0.2\nq nonsense\n") ==
        "/merges.txt:2: merge of \"q\" and \"nonsense\": \"nonsense\" is not in the vocabulary; vocabulary "
        "and merges "
        "belong to different models or are damaged");
  CHECK(merges_error("q q\n").starts_with(
      "/merges.txt:1: merge of \"q\" and \"q\": \"qq\" is not in the vocabulary"));
  CHECK(merges_error("a \xff\n").starts_with("/merges.txt: invalid UTF-8 at byte 2"));
}

TEST_CASE("configuration files that do not fit the vocabulary") {
  auto const with = [](char const* file, std::string_view bytes) {
    Directory directory;
    two_files(directory);
    return directory.write(file, bytes).error();
  };
  CHECK(with("tokenizer_config.json", "{").starts_with("/tokenizer_config.json: invalid JSON: "));
  CHECK(with("tokenizer_config.json", "[]") == "/tokenizer_config.json: expected a JSON object");
  CHECK(with("tokenizer_config.json", R"({"mask_token": "[MASK]"})")
            .starts_with("/tokenizer_config.json: mask_token: \"[MASK]\" is not in the vocabulary"));
  CHECK(with("special_tokens_map.json", R"({"mask_token": 4})")
            .starts_with("/special_tokens_map.json: mask_token: expected a token"));
  CHECK(with("tokenizer_config.json", R"({"tokenizer_class": 4})") ==
        "/tokenizer_config.json: \"tokenizer_class\" is number, expected a string");
  CHECK(with("tokenizer_config.json", R"({"added_tokens_decoder": {"x": {"content": "<y>"}}})") ==
        "/tokenizer_config.json: added_tokens_decoder: \"x\" is not a token id");
  CHECK(with("added_tokens.json", R"({"<mask>": 760})") ==
        "/added_tokens.json: added token \"<mask>\" has id 760, but the vocabulary says 4");
  CHECK(with("added_tokens.json", R"({"<far>": 800})") ==
        "/vocab.json: no token has id 760; ids must be 0 to 760 for 761 tokens");
}

TEST_CASE("damaged or unsupported tokenizer.json") {
  CHECK(json_error([](Json& root) { root["model"]["type"] = "Unigram"; }) ==
        "/tokenizer.json: tokenizer model \"Unigram\" is not supported; supported are byte-level BPE (GPT-2, "
        "RoBERTa, OPT) and WordPiece (BERT)");
  CHECK(json_error([](Json& root) { root = Json::array(); }) ==
        "/tokenizer.json: no \"model\" object; this is not a tokenizer.json");
  CHECK(json_error([](Json& root) { root["model"]["byte_fallback"] = true; }).find("byte_fallback") !=
        std::string::npos);
  CHECK(json_error([](Json& root) {
          root["model"]["end_of_word_suffix"] = "</w>";
        }).starts_with("/tokenizer.json: end_of_word_suffix \"</w>\" is not supported"));
  CHECK(json_error([](Json& root) { root["model"]["dropout"] = 0.1; }).find("dropout") != std::string::npos);
  CHECK(json_error([](Json& root) {
          root["normalizer"] = {{"type", "NFC"}};
        }).starts_with("/tokenizer.json: normalizer \"NFC\" is not supported"));
  CHECK(json_error([](Json& root) {
          root["pre_tokenizer"] = {{"type", "Metaspace"}};
        }).starts_with("/tokenizer.json: pre_tokenizer \"Metaspace\" is not supported"));
  CHECK(
      json_error([](Json& root) {
        root["pre_tokenizer"]["use_regex"] = false;
      }).starts_with("/tokenizer.json: pre_tokenizer \"ByteLevel\" without its expression is not supported"));
  CHECK(json_error([](Json& root) {
          root.erase("pre_tokenizer");
        }).starts_with("/tokenizer.json: pre_tokenizer \"none\" is not supported"));
  CHECK(json_error([](Json& root) {
          root["model"]["merges"][3] = "abc";
        }).starts_with("/tokenizer.json: merges, entry 4 is not two tokens"));
  CHECK(
      json_error([](Json& root) {
        root["model"]["merges"][3] = {"q", "q"};
      })
          .starts_with(
              "/tokenizer.json: merges, entry 4: merge of \"q\" and \"q\": \"qq\" is not in the vocabulary"));
  CHECK(json_error([](Json& root) { root["model"].erase("merges"); }) ==
        "/tokenizer.json: the model has no array \"merges\"");
  CHECK(json_error([](Json& root) { root["added_tokens"][0]["id"] = 7; }) ==
        "/tokenizer.json: added token \"<s>\" has id 7, but the vocabulary says 0");
  CHECK(json_error([](Json& root) {
          root["added_tokens"][0].erase("id");
        }).starts_with("/tokenizer.json: the id of token \"<s>\" is not an integer"));
  CHECK(json_error([](Json& root) {
          root["post_processor"]["cls"] = {"<s>", 9};
        }).starts_with("/tokenizer.json: token \"<s>\" of the post_processor has id 9"));
  CHECK(json_error([](Json& root) {
          root["post_processor"] = {{"type", "Odd"}};
        }).starts_with("/tokenizer.json: post_processor \"Odd\" is not supported"));
  CHECK(json_error([](Json& root) { root["model"]["unk_token"] = "<none>"; }) ==
        "/tokenizer.json: unk_token \"<none>\" is not in the vocabulary");
}

} // namespace test_tokenizer_files
