// SPDX-License-Identifier: Apache-2.0
// Journals replay to pinned digests: on every machine, for any number of threads. A program of its own, which
// is built for other processors too (tests/aarch64).
#include "golden.hpp"
#include "temporary_folder.hpp"
#include <pocketllm/io/digest.hpp>
#include <pocketllm/io/journal_writer.hpp>
#include <pocketllm/io/load.hpp>
#include <pocketllm/models/roberta.hpp>
#include <pocketllm/train/replay.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <string_view>

using namespace pocketllm;
using io::Json;

namespace {

/// A run that nobody made: the records are the same on every machine.
io::Journal invented(test::TemporaryFolder const& folder, Json const& perturbation, Json const& rule,
                     char const* storage, std::string const& base) {
  Json const header{{"base", base},
                    {"trained", {"*"}},
                    {"model", {{"type", "roberta"}, {"storage", storage}}},
                    {"perturbation", perturbation},
                    {"estimator", {{"name", "invented"}}},
                    {"update", rule},
                    {"schedule", Json::object()},
                    {"objective", Json::object()},
                    {"data", Json::object()},
                    {"slopes", 2},
                    {"seeds", {{"rule", "split_mix"}, {"run", 77}}}};
  Json wanted = header;
  if (perturbation.at("name") == random::LowRank::name) {
    wanted["seeds"]["shared"] = 8;
  }
  auto const path = folder.path() / "run.journal";
  std::filesystem::remove(path);
  io::JournalHeader const parsed(wanted);
  {
    auto writer = io::JournalWriter::create(path, parsed);
    for (std::uint64_t step = 0; step < 40; ++step) {
      float const slope = static_cast<float>(step % 7) - 2.5F;
      writer.append(step, 0x1p-9F / static_cast<float>(step + 1), 0.5F,
                    optimize::Gradient{{parsed.seed(step, 0), slope}, {parsed.seed(step, 1), 0.25F * slope}});
    }
  }
  return io::read_journal(path);
}

/// The digests of the shipped toy after such runs, for each number of threads the same.
template <class T>
class Replays {
public:
  explicit Replays(char const* storage) : storage_(storage) {}

  template <class U>
  void expect(std::string_view perturbation, U const& rule, std::string const& digest) const {
    CAPTURE(perturbation);
    CAPTURE(rule.name);
    for (std::size_t const threads : {1U, 3U}) {
      Runtime runtime(threads);
      auto model = io::load<models::Roberta<T>>(golden::path_of("models/data/tied"));
      Json json{{"name", perturbation}};
      if (perturbation == random::LowRank::name) {
        json = train::describe(random::LowRank{3});
      }
      io::Journal const journal = invented(folder_, json, train::describe(rule), storage_,
                                           io::digest_text(io::digest(model, runtime)));
      train::replay(model, journal, runtime);
      CHECK(io::digest_text(io::digest(model, runtime)) == "blake3:" + digest);
    }
  }

private:
  char const* storage_;
  test::TemporaryFolder folder_;
};

optimize::Sgd const sgd{.weight_decay = 0.125F};
optimize::Sign const sign{.weight_decay = 0.125F};
optimize::Momentum const momentum{.weight_decay = 0.125F, .history = 5};
optimize::Adam const adam{.weight_decay = 0.125F, .history = 5};

} // namespace

// A change of these makes every journal that was written replay to other weights.
TEST_CASE("a journal replays to pinned digests: f32") {
  Replays<float> const replays("F32");
  replays.expect("gaussian", sgd, "92a7bc70af20028425040a8124b71b1a3397bcb0ec3ba42d229c240b17cc7d4b");
  replays.expect("rademacher", sgd, "dd9c05aee3fc86c7fec4f88b1def688e1f74a160b357492568f8aed37c065cee");
  replays.expect("low-rank", sgd, "500862979cb8a6475af990c590a5be329cbb30ff25f6ee5590c9fd4d62b82572");
  replays.expect("gaussian", sign, "bdec1ccba83556a6e8cd42d666cf19521e20b9e18e46cc23ec887ecfc5a6f3fc");
  replays.expect("rademacher", momentum, "d68edd64c51c7a57d56a2a9e7a0276ce17253efeafda066f5a60db57ddcc1856");
  replays.expect("low-rank", momentum, "84cff78aed838d4b8558bb62b78064474fa93091a471f50d3fdb46cc1c1e28e5");
  replays.expect("gaussian", adam, "5c5be7ca7ae20671594e12adfa63c57c18bd36d4fa7a8c0e2e7e3330b1bc2b97");
  replays.expect("low-rank", adam, "949429a260c6109640fc7d92430f7cbd2bfdbe170e397317e7e018dbe7d2434c");
}
TEST_CASE("a journal replays to pinned digests: f16") {
  Replays<f16> const replays("F16");
  replays.expect("gaussian", sgd, "296c7d04bfa3536930b87738d83fab4b738a9e219f187168df824e91e5fcd11c");
  replays.expect("rademacher", sgd, "f30bdbf24c382b99c5eceae5b9bc6320bf06db9a7df0a23c58bdf7acd2f196cd");
  replays.expect("low-rank", sgd, "ba395487c86efb89dad82fc64b3df6775b2da67699b60f822dd89721cfb9c645");
  replays.expect("low-rank", momentum, "c7c4a135a2b05c3309cf80ebc59d47bf8bedff23bb42e31ae7a1bb05b670754a");
  replays.expect("rademacher", adam, "f2f917ee0aa3a4fbfe3a8f2c0076985392adbd8663bae97a1c7614f186fcdccf");
}
TEST_CASE("a journal replays to pinned digests: bf16") {
  Replays<bf16> const replays("BF16");
  replays.expect("gaussian", sgd, "6d376809452d32408f9f3bbe3585ac9989209769f93bf26fbbf4290632ddac96");
  replays.expect("rademacher", sgd, "0289310322f27137348ff1be5b676dd2fe2a2f715f4e832b3b020d94b5843e2d");
  replays.expect("low-rank", sgd, "177caf67185d1d051df401878330c39fa25fa40f1ca212008621413464e96e38");
  replays.expect("low-rank", sign, "bfea3081c1523ac41eb5a9ca7941734fff3073ef982908d0efd3f3d400f79817");
  replays.expect("gaussian", adam, "0bf2191a8f0356416eedfa38f5ab413ac58b98ef9b485ba213440fb13f0f0bc2");
}
