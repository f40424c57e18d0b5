// SPDX-License-Identifier: Apache-2.0
// RoBERTa at several points at once and in 16-bit storage: against models into which the weights are written.
#include "models/roberta_case.hpp"

#include <doctest/doctest.h>

#include <string>
#include <type_traits>
#include <vector>

namespace test_points {

using namespace pocketllm;
using roberta::Examples;
using roberta::Outputs;

namespace {

/// Large beside the usual 1e-3: each weight moves by a third of its size, so that a tensor which is not
/// perturbed, or with the noise of another one, is far outside the tolerance.
constexpr float far = 0.05F;

template <tensor::WeightStorage T, random::Perturbation P>
void check_points(models::Roberta<T> const& model, Examples const& examples, P const& perturbation,
                  std::vector<random::Point> const& points) {
  Runtime runtime(2);
  Outputs const lanes = roberta::run(model, examples, random::perturb(perturbation, points), runtime);
  REQUIRE(lanes.losses.size() == points.size());
  Outputs const still = roberta::run(model, examples, runtime);
  for (std::size_t l = 0; l < points.size(); ++l) {
    CAPTURE(l);
    auto const twin = roberta::written_at(model, perturbation, points[l]);
    Outputs const expected = roberta::run(twin, examples, runtime);
    CHECK(roberta::relative_error(lanes.lane(l), expected) <= golden::tolerance);
    if (points[l].coefficient == 0.0F) {
      CHECK(lanes.lane(l) == still);
    } else {
      CHECK(roberta::relative_error(still, expected) > 100 * golden::tolerance);
    }
  }
}

template <tensor::WeightStorage T>
void check_points(std::string const& name) {
  auto const model = roberta::load<T>(name);
  Examples const examples(roberta::batches(name).back());
  check_points(model, examples, random::Gaussian{}, {{7, far}, {7, -far}});
  check_points(model, examples, random::Rademacher{}, {{8, far}, random::origin, {9, -far}});
}

/// Half a unit in the last place, relative: what rounding to the format changes a weight by at most.
template <class T>
constexpr double rounding = std::is_same_v<T, f16> ? 0x1p-11 : 0x1p-8;

template <tensor::WeightStorage T>
void check_storage() {
  for (std::string const name : roberta::cases) {
    CAPTURE(name);
    auto const model = roberta::load<T>(name);
    auto const twin = roberta::written_at(model, random::Gaussian{}, random::origin);
    auto const full = roberta::load<float>(name);
    // A token's path leads through six matrices a layer, and the table and the head. Rounding their weights
    // moves what each of them adds by at most `rounding` of it, and all of that together by about the sum.
    double const matrices = static_cast<double>(6 * model.config().encoder.layers + 3);
    Runtime runtime(1);
    Examples const examples(roberta::batches(name).back());
    Outputs const found = roberta::run(model, examples, runtime);
    CHECK(found == roberta::run(twin, examples, runtime)); // a 16-bit weight is the float that it stands for
    auto const expected = roberta::run(full, examples, runtime);
    double const error = golden::relative_error(found.logits, expected.logits);
    CHECK(error <= matrices * rounding<T>);
    CHECK(error > golden::tolerance); // the weights were rounded
  }
}

} // namespace

TEST_CASE("every lane is the model whose weights were perturbed in memory") {
  for (std::string const name : roberta::cases) {
    CAPTURE(name);
    check_points<float>(name);
  }
}

TEST_CASE("so it is for weights of 16 bits") {
  check_points<f16>("odd");
  check_points<bf16>("untied");
}

TEST_CASE("only trained tensors are perturbed") {
  auto model = roberta::load<float>("untied");
  model.for_each_tensor([i = 0](auto& w) mutable { w.set_trained(i++ % 2 == 0); });
  Examples const examples(roberta::batches("untied").front());
  check_points(model, examples, random::Gaussian{}, {{7, far}, {7, -far}});
  model.for_each_tensor([](auto& w) { w.set_trained(!w.trained()); });
  check_points(model, examples, random::Gaussian{}, {{7, far}, {7, -far}});
}

TEST_CASE("equal points give equal bits, wherever they stand") {
  for (std::string const name : {"odd", "classifier"}) {
    CAPTURE(name);
    auto const model = roberta::load<float>(name);
    Examples const examples(roberta::batches(name).back());
    std::vector<random::Point> const points{{1, 1e-3F}, {1, 1e-3F}, {2, 1e-3F}, {1, 1e-3F}};
    Runtime runtime(1);
    Outputs const found = roberta::run(model, examples, random::perturb(random::Gaussian{}, points), runtime);
    CHECK(found.lane(0) == found.lane(1));
    CHECK(found.lane(0) == found.lane(3));
    CHECK(found.lane(0).losses != found.lane(2).losses);
    auto const alone = random::perturb(random::Gaussian{}, std::span(points).first(1));
    CHECK(found.lane(0) == roberta::run(model, examples, alone, runtime));
  }
}

TEST_CASE("16-bit storage loads, and its logits are as close as the format allows") {
  check_storage<f16>();
  check_storage<bf16>();
}

} // namespace test_points
