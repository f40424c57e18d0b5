// SPDX-License-Identifier: Apache-2.0
#include "temporary_folder.hpp"
#include "toy_prompt.hpp"
#include <pocketllm/models/bert.hpp>
#include <pocketllm/train/pair_similarity.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <cstddef>
#include <vector>

namespace test_pair_similarity {

using namespace pocketllm;

namespace {

using Objective = train::PairSimilarity<toy::Characters>;

/// The cosine of two rows, in double.
double cosine(float const* a, float const* b, std::size_t width) {
  double ab = 0.0, aa = 0.0, bb = 0.0;
  for (std::size_t i = 0; i < width; ++i) {
    double const x = static_cast<double>(a[i]), y = static_cast<double>(b[i]);
    ab += x * y;
    aa += x * x;
    bb += y * y;
  }
  return ab / std::sqrt(aa * bb);
}

} // namespace

TEST_CASE("the loss is the mean square of cosine less score, at each point") {
  auto const model = io::load<models::Bert<float>>(golden::path_of("models/data/bert_headless"));
  Objective const objective(toy::tokenizer, 12);
  std::vector<Objective::Example> const pairs{objective.encode("##", "$%&", 1.0F),
                                              objective.encode("!", "!", 0.5F)};
  auto const batch = objective.batch(pairs, std::vector<std::size_t>{0, 1});
  std::array<random::Point, 2> const points{random::origin, random::Point{3, 0.05F}};
  auto const at = random::perturb(random::Gaussian{}, points);
  Runtime runtime(2);
  auto const losses = objective(model, batch, at, runtime);
  REQUIRE(losses.size() == 2);
  Workspace::Frame const frame(runtime.workspace());
  auto const x = model.pooled(batch.tokens, models::Pooling::mean, at, runtime);
  for (std::size_t l = 0; l < 2; ++l) {
    double const first = cosine(x.row(l, 0), x.row(l, 1), x.cols) - 1.0;
    double const second = cosine(x.row(l, 2), x.row(l, 3), x.cols) - 0.5;
    CHECK(static_cast<double>(losses[l]) ==
          doctest::Approx((first * first + second * second) / 2.0).epsilon(1e-5));
    CHECK(second == doctest::Approx(0.5)); // a text with itself
  }
  CHECK(losses[0] != losses[1]);
  CHECK(test::error_of([&] { static_cast<void>(objective.encode("a", "b", 5.0F)); }) ==
        "a score of 5; a cosine is between -1 and 1");
}

TEST_CASE("Spearman's rho is that of scipy") {
  std::vector<float> const a{1, 2, 3, 4, 5}, b{5, 6, 7, 8, 7}, c{1, 1, 2, 2, 3};
  CHECK(train::spearman(a, b) == doctest::Approx(0.8207826816681233)); // scipy.stats.spearmanr
  CHECK(train::spearman(a, c) == doctest::Approx(0.9486832980505138));
  CHECK(train::spearman(b, c) == doctest::Approx(0.7299963950884315));
  CHECK(train::spearman(a, a) == doctest::Approx(1.0));
  CHECK(std::isnan(train::spearman(a, std::vector<float>(5, 1.0F))));
  CHECK_THROWS_AS(static_cast<void>(train::spearman(a, std::vector<float>{1})), Error);
}

} // namespace test_pair_similarity
