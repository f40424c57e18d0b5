// SPDX-License-Identifier: Apache-2.0
// Shuffling and splitting: the same on every machine, because experiments are repeated by their seed.
#include "temporary_folder.hpp"
#include <pocketllm/core/hash.hpp>
#include <pocketllm/text/dataset.hpp>
#include <pocketllm/text/shuffle.hpp>
#include <pocketllm/text/split.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

namespace test_dataset_split {

using namespace pocketllm;
using namespace pocketllm::text;
using Indices = std::vector<std::size_t>;

namespace {

/// Examples with the texts "0", "1", ... and these classes of "a", "b", ...
Dataset toy(Indices const& classes, std::size_t count) {
  Dataset data{"toy.tsv", {"text"}, {}, {}};
  for (std::size_t c = 0; c < count; ++c) {
    data.classes.emplace_back(1, static_cast<char>('a' + c));
  }
  for (std::size_t i = 0; i < classes.size(); ++i) {
    data.examples.push_back({{std::to_string(i)}, data.classes[classes[i]], classes[i]});
  }
  return data;
}

std::vector<std::string> texts(Dataset const& data) {
  std::vector<std::string> all;
  for (Example const& example : data.examples) {
    all.push_back(example.fields.front());
  }
  return all;
}

std::uint64_t hash_of(Dataset const& data) {
  std::string all;
  for (Example const& example : data.examples) {
    all += example.label + '\t' + example.fields.front() + '\n';
  }
  return fnv1a(all);
}

} // namespace

TEST_CASE("SplitMix64 gives the published numbers for seed 1234567") {
  SplitMix64 random(1234567);
  for (std::uint64_t const expected : {6457827717110365317ULL, 3203168211198807973ULL, 9817491932198370423ULL,
                                       4593380528125082431ULL, 16408922859458223821ULL}) {
    CHECK(random() == expected);
  }
}

TEST_CASE("draws below a bound are below it and evenly spread") {
  SplitMix64 random(7);
  for (std::uint32_t const bound : {1U, 2U, 3U, 7U, 0x80000001U, 0xffffffffU}) {
    double sum = 0.0;
    constexpr int draws = 20000;
    for (int i = 0; i < draws; ++i) {
      std::uint32_t const drawn = draw_below(random, bound);
      REQUIRE(drawn < bound);
      sum += drawn;
    }
    // the mean of uniform draws has the standard deviation bound / sqrt(12 n); five of them
    double const mean = (static_cast<double>(bound) - 1.0) / 2.0;
    CHECK(std::abs(sum / draws - mean) <= 5.0 * static_cast<double>(bound) / std::sqrt(12.0 * draws));
  }
}

TEST_CASE("a shuffle is pinned, and all orders of four items are as likely") {
  SplitMix64 random(42);
  CHECK(shuffled_indices(10, random) == Indices{8, 3, 6, 5, 4, 0, 9, 2, 1, 7});
  CHECK(shuffled_indices(0, random).empty());
  std::vector<int> counts(256);
  for (int i = 0; i < 24000; ++i) {
    Indices const order = shuffled_indices(4, random);
    ++counts[order[0] * 64 + order[1] * 16 + order[2] * 4 + order[3]];
  }
  double chi_squared = 0.0;
  int orders = 0;
  for (int const count : counts) {
    orders += count > 0 ? 1 : 0;
    chi_squared += count > 0 ? (count - 1000.0) * (count - 1000.0) / 1000.0 : 0.0;
  }
  CHECK(orders == 24);
  CHECK(chi_squared < 49.7); // 23 degrees of freedom: exceeded once in a thousand seeds
}

TEST_CASE("duplicates are left out, whatever their label, and the first one stays") {
  Dataset data = toy({0, 1, 0, 1, 0}, 2);
  data.examples[2].fields = {"0"};
  data.examples[3].fields = {"0"};
  data.examples[4].fields = {"0 "};
  Dataset const kept = without_duplicates(data);
  CHECK(texts(kept) == std::vector<std::string>{"0", "1", "0 "});
  CHECK(kept.class_indices() == Indices{0, 1, 0});
  CHECK(kept.classes == data.classes);

  data.examples[0].fields = {"x", "yz"};
  data.examples[1].fields = {"xy", "z"};
  CHECK(without_duplicates(subset(data, Indices{0, 1})).size() == 2);
}

TEST_CASE("held-out examples are balanced, pinned, and apart from the rest") {
  Indices classes;
  for (std::size_t i = 0; i < 60; ++i) {
    classes.push_back(i % 6 == 0 ? 1 : i % 6 == 1 ? 2 : 0);
  }
  Dataset const data = toy(classes, 3);
  Split const split = held_out(data, 2, 5);
  CHECK(split.held_out.class_sizes() == Indices{2, 2, 2});
  CHECK(split.rest.class_sizes() == Indices{38, 8, 8});
  CHECK(texts(split.held_out) == std::vector<std::string>{"34", "7", "9", "37", "54", "12"});
  auto all = texts(split.held_out);
  auto const rest = texts(split.rest);
  all.insert(all.end(), rest.begin(), rest.end());
  CHECK(std::set(all.begin(), all.end()).size() == 60);
  CHECK(std::is_sorted(split.rest.examples.begin(), split.rest.examples.end(),
                       [](auto& a, auto& b) { return std::stoi(a.fields[0]) < std::stoi(b.fields[0]); }));
  CHECK(texts(held_out(data, 2, 6).held_out) != texts(split.held_out));
  CHECK(texts(held_out(data, 10, 5).held_out).size() == 30);
}

TEST_CASE("the k-shot choice for a smaller k is part of that for a larger one") {
  Dataset const data = toy({0, 1, 1, 0, 1, 0, 0, 1, 1, 0, 1, 0}, 2);
  auto const small = texts(k_shot(data, 2, 11)), large = texts(k_shot(data, 4, 11));
  for (std::string const& text : small) {
    CHECK(std::find(large.begin(), large.end(), text) != large.end());
  }
  CHECK(small.size() == 4);
  CHECK(k_shot(data, 4, 11).class_sizes() == Indices{4, 4});
}

TEST_CASE("a class with too few examples is named with what it has") {
  Dataset const data = toy({0, 0, 0, 1}, 3);
  CHECK(test::error_of([&] { static_cast<void>(k_shot(data, 2, 1)); }) ==
        "toy.tsv: class \"b\": 1 left of the 2 wanted for training; ask for fewer");
  CHECK(test::error_of([&] { static_cast<void>(held_out(data, 1, 1)); }) ==
        "toy.tsv: class \"c\": 0 left of the 1 wanted for testing; ask for fewer");
  CHECK(test::error_of([&] { static_cast<void>(k_shot(data, 0, 1)); }) ==
        "toy.tsv: 0 examples per class for training; ask for at least 1");
}

TEST_CASE("the split of the SMS messages is pinned") {
  auto const path = std::filesystem::path(POCKETLLM_TEST_DATA) / ".." / "examples" / "data" / "sms-spam.tsv";
  Dataset const all = read_dataset(path, {{"SMS"}, "Label"});
  CHECK(all.classes == std::vector<std::string>{"ham", "spam"});
  CHECK(all.class_sizes() == Indices{4827, 747});
  Dataset const distinct = without_duplicates(all);
  CHECK(distinct.size() == 5171); // counted with Python
  Split const split = held_out(distinct, 300, 0);
  CHECK(split.held_out.size() == 600);
  Dataset const train = k_shot(split.rest, 256, 0);
  CHECK(train.class_sizes() == Indices{256, 256});
  CHECK(hash_of(split.held_out) == 0x346caafda187b4f7ULL);
  CHECK(hash_of(train) == 0xf66d7febdfc76d1ULL);

  std::set<std::string> seen;
  for (std::string const& text : texts(split.held_out)) {
    CHECK(seen.insert(text).second);
  }
  for (std::string const& text : texts(train)) {
    CHECK(seen.insert(text).second);
  }
}

} // namespace test_dataset_split
