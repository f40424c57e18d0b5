// SPDX-License-Identifier: Apache-2.0
// OPT against transformers, at several points, and what must not change its bits: threads, neighbours in the
// batch, prompts that are shared, tokens that were read before.
#include "models/opt_case.hpp"
#include <pocketllm/models/generate.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>
#include <span>
#include <string>
#include <vector>

namespace test_opt {

using namespace pocketllm;
using models::CausalBatch;
using models::Target;
using opt::Examples;
using opt::Json;
using opt::Outputs;
using Ids = std::vector<std::int32_t>;

namespace {

constexpr double tolerance = golden::tolerance;

void check_parity(models::Opt<float> const& model, golden::Tensors const& tensors, Json const& json) {
  std::string const name = json.at("name").get<std::string>();
  CAPTURE(name);
  Examples const examples(json);
  Runtime runtime(1);
  Outputs const found = opt::run(model, examples.tokens, runtime);
  REQUIRE(found.states.size() == model.config().decoder.layers + 1);
  for (std::size_t i = 0; i < found.states.size(); ++i) {
    CAPTURE(i);
    auto const expected = tensors.rows(name + ".hidden_states." + std::to_string(i), examples.places);
    CHECK(golden::relative_error(found.states[i], expected) <= tolerance);
  }
  CHECK(golden::relative_error(found.logits, tensors.rows(name + ".logits", examples.places)) <= tolerance);
  CHECK(golden::relative_error(static_cast<double>(found.losses.at(0)), json.at("loss").get<double>()) <=
        tolerance);
}

/// Each sequence of the batch as a prompt that all candidates continue, and the candidates' tokens as
/// targets.
struct Choices {
  CausalBatch batch;
  std::vector<Target> targets;

  Choices(models::Batch const& rows, std::vector<Ids> const& candidates) {
    for (std::size_t s = 0; s < rows.size(); ++s) {
      std::size_t const prompt = batch.size();
      batch.add(rows.ids(s));
      std::size_t const last = batch.tokens() - 1;
      for (Ids const& candidate : candidates) {
        targets.push_back({last, candidate.front()});
        for (std::size_t i = 1; i < candidate.size(); ++i) {
          targets.push_back({batch.tokens() + i - 1, candidate[i]});
        }
        batch.add_behind(prompt, candidate);
      }
    }
  }
};

std::vector<float> log_p(models::Opt<float> const& model, CausalBatch const& batch,
                         std::vector<Target> const& targets, std::size_t threads = 1) {
  Runtime runtime(threads);
  Workspace::Frame const frame(runtime.workspace());
  return golden::copy(model.log_probabilities(batch, targets, random::unperturbed(), runtime));
}

template <tensor::WeightStorage T, random::Perturbation P>
void check_points(models::Opt<T> const& model, CausalBatch const& batch, P const& perturbation,
                  std::vector<random::Point> const& points) {
  Runtime runtime(2);
  Outputs const lanes = opt::run(model, batch, random::perturb(perturbation, points), runtime);
  REQUIRE(lanes.losses.size() == points.size());
  Outputs const still = opt::run(model, batch, runtime);
  for (std::size_t l = 0; l < points.size(); ++l) {
    CAPTURE(l);
    auto const twin = golden::written_at<models::Opt<float>>(model, perturbation, points[l]);
    Outputs const expected = opt::run(twin, batch, runtime);
    CHECK(opt::relative_error(lanes.lane(l), expected) <= tolerance);
    if (points[l].coefficient == 0.0F) {
      CHECK(lanes.lane(l) == still);
    } else {
      CHECK(opt::relative_error(still, expected) > 100 * tolerance);
    }
  }
}

} // namespace

TEST_CASE("OPT's hidden states, logits and losses are those of transformers") {
  for (std::string const name : opt::cases) {
    CAPTURE(name);
    auto const model = opt::load<float>(name);
    golden::Tensors const tensors(opt::folder(name) / "golden.safetensors");
    for (Json const& batch : opt::batches(name)) {
      check_parity(model, tensors, batch);
    }
  }
}

TEST_CASE("candidates behind a shared prompt have transformers' log-probabilities") {
  for (std::string const name : opt::cases) {
    CAPTURE(name);
    auto const model = opt::load<float>(name);
    for (Json const& json : opt::batches(name)) {
      auto const candidates = json.at("candidates").get<std::vector<Ids>>();
      Choices const choices(Examples(json).tokens, candidates);
      auto const found = log_p(model, choices.batch, choices.targets);
      std::size_t next = 0;
      for (auto const& row : json.at("scores")) {
        for (std::size_t c = 0; c < candidates.size(); ++c) {
          double sum = 0.0;
          for (std::size_t i = 0; i < candidates[c].size(); ++i) {
            sum += static_cast<double>(found.at(next++));
          }
          double const mean = sum / static_cast<double>(candidates[c].size());
          CHECK(golden::relative_error(mean, row[c].get<double>()) <= tolerance);
        }
      }
    }
  }
}

TEST_CASE("a shared prompt gives the bits of a prompt of one's own") {
  for (std::string const name : opt::cases) {
    CAPTURE(name);
    auto const model = opt::load<float>(name);
    Json const json = opt::batches(name).back();
    auto const candidates = json.at("candidates").get<std::vector<Ids>>();
    auto const rows = Examples(json).tokens;
    Choices const shared(rows, candidates);
    CausalBatch apart;
    std::vector<Target> targets;
    for (std::size_t s = 0; s < rows.size(); ++s) {
      for (Ids const& candidate : candidates) {
        Ids whole(rows.ids(s).begin(), rows.ids(s).end());
        for (std::int32_t const id : candidate) {
          targets.push_back({apart.tokens() + whole.size() - 1, id});
          whole.push_back(id);
        }
        apart.add(whole);
      }
    }
    CHECK(log_p(model, shared.batch, shared.targets) == log_p(model, apart, targets, 3));
  }
}

TEST_CASE("greedy decoding adds transformers' tokens") {
  for (std::string const name : opt::cases) {
    CAPTURE(name);
    auto const model = opt::load<float>(name);
    Runtime runtime(2);
    auto const golden = io::read_object(opt::folder(name) / "golden.json");
    for (auto const& json : golden.at("generation")) {
      auto const prompt = json.at("prompt").get<Ids>();
      models::GenerateOptions options{.max_tokens = 6};
      CHECK(models::generate(model, prompt, options, runtime) == json.at("added").get<Ids>());
    }
  }
}

TEST_CASE("generation ends at the end of text, when asked to, and where positions end") {
  auto const model = opt::load<float>("pre");
  Runtime runtime(1);
  Ids const prompt{2, 9};
  auto const all = models::generate(model, prompt, {.max_tokens = 100}, runtime);
  CHECK(all.size() == 18); // the model has 20 positions
  auto const sampled = [&](std::uint64_t seed) {
    return models::generate(model, prompt, {.sampling = {.temperature = 1.0F, .seed = seed}}, runtime);
  };
  CHECK(sampled(1) == sampled(1));
  CHECK(sampled(1) != sampled(2));
  std::size_t const third = 2;
  auto const before = std::find(all.begin(), all.end(), all[third]) - all.begin();
  CHECK(models::generate(model, prompt, {.eos = all[third]}, runtime) ==
        Ids(all.begin(), all.begin() + before));
  Ids seen;
  models::GenerateOptions options;
  options.on_token = [&](std::int32_t id) {
    seen.push_back(id);
    return seen.size() < 5;
  };
  CHECK(models::generate(model, prompt, options, runtime) == seen);
  CHECK(seen == Ids(all.begin(), all.begin() + 5));
  CHECK_THROWS_WITH_AS(static_cast<void>(models::generate(model, {}, {}, runtime)),
                       doctest::Contains("the prompt has no tokens"), Error);
  CHECK_THROWS_WITH_AS(static_cast<void>(models::generate(model, Ids(20, 5), {}, runtime)),
                       doctest::Contains("20 tokens leaves no room; the model has positions for 20"), Error);
}

TEST_CASE("tokens read one by one give the bits of all at once") {
  for (std::string const name : opt::cases) {
    CAPTURE(name);
    auto const model = opt::load<float>(name);
    auto const rows = Examples(opt::batches(name).front()).tokens;
    Ids const ids(rows.ids(0).begin(), rows.ids(0).end());
    Runtime runtime(2);
    Workspace::Frame const frame(runtime.workspace());
    CausalBatch batch;
    batch.add(ids);
    std::vector<std::size_t> all(ids.size());
    std::iota(all.begin(), all.end(), std::size_t{0});
    auto const whole = golden::copy(model.word_scores(batch, all, random::unperturbed(), runtime));
    auto cache = model.make_cache(ids.size());
    std::size_t const vocabulary = model.config().vocabulary;
    for (std::size_t i = 0; i < ids.size(); ++i) {
      auto const one = golden::copy(model.read(cache, std::span(ids).subspan(i, 1), runtime));
      CHECK(std::equal(one.begin(), one.end(), whole.begin() + static_cast<std::ptrdiff_t>(i * vocabulary)));
    }
    CHECK_THROWS_WITH_AS(static_cast<void>(model.read(cache, std::span(ids).first(1), runtime)),
                         doctest::Contains("is full"), Error);
  }
}

TEST_CASE("the number of threads changes no bit of OPT, nor do neighbours in the batch") {
  for (std::string const name : opt::cases) {
    CAPTURE(name);
    auto const model = opt::load<float>(name);
    Runtime one(1), three(3);
    std::vector<random::Point> const points{{5, 0.01F}, random::origin};
    auto const at = random::perturb(random::Gaussian{}, points);
    Json const json = opt::batches(name).back();
    Examples const together(json);
    CHECK(opt::run(model, together.tokens, at, one) == opt::run(model, together.tokens, at, three));
    auto const all = opt::run(model, together.tokens, one).states.back();
    std::size_t const width = model.config().embedding_width;
    for (std::size_t s = 0; s < together.tokens.size(); ++s) {
      auto const alone = opt::run(model, Examples(json, {s}).tokens, one).states.back();
      CHECK(std::equal(alone.begin(), alone.end(),
                       all.begin() + static_cast<std::ptrdiff_t>(together.tokens.offsets()[s] * width)));
    }
  }
}

TEST_CASE("every lane of OPT is the model whose weights were perturbed in memory") {
  constexpr float far = 0.05F; // a third of a weight's size
  for (std::string const name : opt::cases) {
    CAPTURE(name);
    auto model = opt::load<float>(name);
    CausalBatch const batch = Examples(opt::batches(name).back()).tokens;
    check_points(model, batch, random::Gaussian{}, {{7, far}, {7, -far}});
    check_points(model, batch, random::Rademacher{}, {{8, far}, random::origin, {9, -far}});
    model.for_each_tensor([i = 0](auto& w) mutable { w.set_trained(i++ % 2 == 0); });
    check_points(model, batch, random::Gaussian{}, {{7, far}, {7, -far}});
  }
  check_points(opt::load<f16>("post"), Examples(opt::batches("post").back()).tokens, random::Gaussian{},
               {{7, far}, {7, -far}});
}

TEST_CASE("names of OPT's tensors in files") {
  auto const model = opt::load<float>("pre");
  CHECK(model.aliases("model.decoder.layers.0.fc1.weight") ==
        std::vector<std::string>{"decoder.layers.0.fc1.weight"});
  CHECK(model.aliases("lm_head.weight").empty());
  CHECK(model.ignores("lm_head.weight"));
  CHECK(!model.ignores("model.decoder.embed_tokens.weight"));
  CHECK(!opt::load<float>("bare").ignores("lm_head.weight"));
}

TEST_CASE("a step of OPT of a shape that was seen before allocates no activations") {
  auto const model = opt::load<float>("pre");
  CausalBatch const batch = Examples(opt::batches("pre").at(1)).tokens;
  auto const targets = opt::next_tokens(batch);
  std::vector<random::Point> const points{{1, 1e-3F}, {1, -1e-3F}};
  Runtime runtime(2);
  auto const step = [&] {
    Workspace::Frame const frame(runtime.workspace());
    auto const at = random::perturb(random::Gaussian{}, points);
    static_cast<void>(model.log_probabilities(batch, targets, at, runtime));
  };
  step();
  std::size_t const allocations = runtime.workspace().allocations();
  step();
  CHECK(runtime.workspace().allocations() == allocations);
}

} // namespace test_opt
