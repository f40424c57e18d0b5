// SPDX-License-Identifier: Apache-2.0
// A probe of a loss whose slope and curvature are known.
#include "toy_prompt.hpp"
#include <pocketllm/train/probe.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <span>
#include <vector>

namespace test_probe {

// doctest's Approx adds 1 to what its epsilon is a share of, so small values are compared as multiples.

using namespace pocketllm;

namespace {

/// A loss that sees no weights, only where the points are: level + slope c + curvature c^2 / 2, the slope's
/// sign by the seed and as many times as the batch says; a saddle curves the other way along every fourth
/// seed.
struct Parabola {
  using Example = toy::Prompt::Example;
  using Batch = int; ///< how many times the slope
  double level, slope, curvature;
  bool saddle = false;
  mutable std::vector<std::size_t> visits = {};

  Batch batch(std::span<Example const>, std::span<std::size_t const>) const { return 1; }
  template <random::Perturbation P>
  std::vector<float> operator()(toy::Model const&, Batch const& batch, random::Perturbed<P> const& at,
                                Runtime&) const {
    visits.push_back(at.lanes());
    std::vector<float> losses;
    for (random::Point const& point : at.points) {
      double const c = static_cast<double>(point.coefficient);
      double const tilt = (point.seed % 2 == 0 ? slope : -slope) * batch;
      double const bend = saddle && point.seed % 4 == 0 ? -curvature : curvature;
      losses.push_back(static_cast<float>(level + tilt * c + 0.5 * bend * c * c));
    }
    return losses;
  }
};

} // namespace

TEST_CASE("a probe finds slope and curvature, and what rate and distance follow") {
  auto const model = toy::load_model();
  Runtime runtime(1);
  std::vector<int> const batches(3, 1);
  Parabola const loss{2.0, 3.0, 500.0};
  auto const found =
      train::probe(model, loss, std::span<int const>(batches), random::Gaussian{}, {}, runtime);
  CHECK(found.loss == doctest::Approx(2.0));
  CHECK(found.slope == doctest::Approx(3.0).epsilon(1e-3));
  CHECK(found.curvature == doctest::Approx(500.0).epsilon(1e-2));
  CHECK(loss.visits == std::vector<std::size_t>{9, 9, 9});   // one a batch
  CHECK(found.signal == doctest::Approx(1.0).epsilon(1e-3)); // all batches say the same
  CHECK(500.0 * found.learning_rate(4.0) == doctest::Approx(4 * 0.25).epsilon(1e-2));
  // 500 / 2 epsilon^2 is a thousandth of 2
  CHECK(found.epsilon() / std::sqrt(2e-3 * 2.0 / 500.0) == doctest::Approx(1.0).epsilon(5e-3));
}

TEST_CASE("batches that disagree make a probe's rate smaller, down to a least one") {
  auto const model = toy::load_model();
  Runtime runtime(1);
  auto const probed = [&](std::vector<int> const& batches) {
    return train::probe(model, Parabola{2.0, 3.0, 500.0}, std::span<int const>(batches), random::Gaussian{},
                        {}, runtime);
  };
  auto const some = probed({3, 1}), against = probed({3, -1}), alone = probed({3});
  CHECK(some.signal == doctest::Approx(3.0 * 1.0 / 5.0).epsilon(1e-3)); // their product over the mean square
  CHECK(500.0 / (0.6 * 0.25) * some.learning_rate() == doctest::Approx(1.0).epsilon(5e-3));
  CHECK(against.signal == doctest::Approx(-3.0 / 5.0).epsilon(1e-3));
  CHECK(500.0 / (0.05 * 0.25) * against.learning_rate() == doctest::Approx(1.0).epsilon(5e-3));
  CHECK(alone.signal == 1.0);
}

TEST_CASE(
    "a probe in small visits finds the same; on a hill the size of the curvature counts; nan is an error") {
  auto const model = toy::load_model();
  Runtime runtime(1);
  std::vector<int> const batches(1, 1);
  Parabola const bowl{2.0, 3.0, 500.0}, hill{2.0, 3.0, -500.0}, flat{2.0, 0.0, 0.0},
      broken{std::numeric_limits<double>::quiet_NaN(), 0.0, 0.0};
  auto const probed = [&](Parabola const& loss, std::size_t lanes, std::size_t directions = 4) {
    return train::probe(model, loss, std::span<int const>(batches), random::Gaussian{},
                        {.directions = directions, .max_lanes = lanes}, runtime);
  };
  double const few = probed(bowl, 4).curvature, all = probed(bowl, 0).curvature;
  CHECK(few == all);
  CHECK(bowl.visits == std::vector<std::size_t>{4, 4, 1, 9});
  CHECK(probed(hill, 0).curvature == doctest::Approx(-500.0).epsilon(1e-2));
  CHECK(500.0 * probed(hill, 0).learning_rate() == doctest::Approx(0.25).epsilon(1e-2));
  CHECK(probed(hill, 0).epsilon() / probed(bowl, 0).epsilon() == doctest::Approx(1.0).epsilon(5e-3));
  // where it curves both ways and downwards in the mean, how much it curves counts, not what is left of it
  auto const saddle = probed({2.0, 3.0, -500.0, true}, 0, 8);
  CHECK(saddle.curvature > -490.0);
  CHECK(saddle.curvature < 0.0);
  CHECK(saddle.bend == doctest::Approx(500.0).epsilon(1e-2));
  CHECK(500.0 * saddle.learning_rate() == doctest::Approx(0.25).epsilon(1e-2));
  // nor where as many directions curve upwards as downwards, which leaves a little of either sign
  auto const level = probed({2.0, 3.0, -500.0, true}, 0);
  CHECK(std::abs(level.curvature) < 1.0);
  CHECK(500.0 * level.learning_rate() == doctest::Approx(0.25).epsilon(1e-2));
  CHECK(probed(flat, 0).learning_rate() == 0.0);
  CHECK(probed(flat, 0).epsilon() == 1e-3F);
  CHECK_THROWS_WITH_AS(probed(broken, 0), doctest::Contains("not a finite number"), Error);
}

} // namespace test_probe
