// SPDX-License-Identifier: Apache-2.0
// Schedules, selection by name, the two-point estimator and SGD, each on its own.
#include <pocketllm/core/runtime.hpp>
#include <pocketllm/optimize/estimator.hpp>
#include <pocketllm/optimize/memory.hpp>
#include <pocketllm/optimize/schedule.hpp>
#include <pocketllm/optimize/selection.hpp>
#include <pocketllm/optimize/update_rule.hpp>
#include <pocketllm/random/noise.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace test_parts {

using namespace pocketllm;
using optimize::Schedule;

namespace {

/// A matrix, a vector, and a matrix of 16 bits.
struct Toy {
  tensor::Tensor<float> weight{"block.0.weight", {3, 5}};
  tensor::Tensor<float> bias{"block.0.bias", {5}};
  tensor::Tensor<bf16> table{"table.weight", {2, 4}};

  Toy() {
    for_each_tensor([]<class T>(tensor::Tensor<T>& w) {
      w.allocate();
      for (std::size_t i = 0; i < w.size(); ++i) {
        w.mutable_data()[i] = from_float<T>(1.0F + 0.25F * static_cast<float>(i));
      }
    });
  }
  template <class F>
  void for_each_tensor(F&& f) {
    f(weight), f(bias), f(table);
  }
  template <class F>
  void for_each_tensor(F&& f) const {
    f(weight), f(bias), f(table);
  }
};

template <class T>
std::vector<float> floats(tensor::Tensor<T> const& w) {
  std::vector<float> values;
  for (T const value : w.values()) {
    values.push_back(to_float(value));
  }
  return values;
}

/// theta - rate (sum_i slope_i z_i + decay theta), element by element.
std::vector<float> naive_sgd(tensor::Tensor<float> const& w, optimize::Gradient const& gradient, double rate,
                             double decay) {
  std::vector<float> values;
  for (std::size_t r = 0; r < w.rows(); ++r) {
    for (std::size_t c = 0; c < w.cols(); ++c) {
      double const theta = static_cast<double>(w.row(r)[c]);
      double step = decay * theta;
      for (auto const& [seed, slope] : gradient) {
        float z = 0.0F;
        random::fill_row<simd::scalar>(random::Gaussian{}, {seed, w.key()}, r, c, 1, &z);
        step += static_cast<double>(slope) * static_cast<double>(z);
      }
      values.push_back(static_cast<float>(theta - rate * step));
    }
  }
  return values;
}

void check_near(std::vector<float> const& found, std::vector<float> const& expected) {
  REQUIRE(found.size() == expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    CHECK(static_cast<double>(found[i]) == doctest::Approx(static_cast<double>(expected[i])).epsilon(1e-6));
  }
}

/// A user's own estimator: one-sided, with the loss at the weights themselves first.
struct OneSided {
  [[nodiscard]] std::vector<random::Point> points(std::uint64_t step) const {
    return {random::origin, {step, 1e-3F}};
  }
  [[nodiscard]] optimize::Gradient gradient(std::span<random::Point const> points,
                                            std::span<float const> losses) const {
    return {{points[1].seed, (losses[1] - losses[0]) / points[1].coefficient}};
  }
};
struct WithoutGradient {
  [[nodiscard]] std::vector<random::Point> points(std::uint64_t) const { return {}; }
};
struct WithoutRate {
  void operator()(Toy&, random::Gaussian const&, optimize::Gradient const&, Runtime&) const {}
};
static_assert(optimize::Estimator<OneSided> && !optimize::Estimator<WithoutGradient>);
static_assert(optimize::UpdateRule<optimize::Sgd, Toy, random::Gaussian>);
static_assert(!optimize::UpdateRule<WithoutRate, Toy, random::Gaussian>);

} // namespace

TEST_CASE("a constant rate") {
  Schedule const schedule{Schedule::Shape::constant, 0.5F, 10};
  CHECK(schedule.at(0) == 0.5F);
  CHECK(schedule.at(9) == 0.5F);
  CHECK(schedule.at(1000) == 0.5F);
}

TEST_CASE("a linear rate falls to zero at the end and stays there") {
  Schedule const schedule{Schedule::Shape::linear, 0.5F, 10};
  for (std::uint64_t t = 0; t < 10; ++t) {
    CHECK(static_cast<double>(schedule.at(t)) ==
          doctest::Approx(0.5 * (1.0 - static_cast<double>(t) / 10.0)).epsilon(1e-6));
  }
  CHECK(schedule.at(0) == 0.5F);
  CHECK(schedule.at(10) == 0.0F);
  CHECK(schedule.at(UINT64_MAX) == 0.0F);
}

TEST_CASE("a cosine rate") {
  Schedule const schedule{Schedule::Shape::cosine, 0.5F, 12};
  CHECK(schedule.at(0) == 0.5F);
  CHECK(static_cast<double>(schedule.at(4)) == doctest::Approx(0.375)); // cos(pi / 3) = 1/2
  CHECK(static_cast<double>(schedule.at(6)) == doctest::Approx(0.25));
  CHECK(static_cast<double>(schedule.at(8)) == doctest::Approx(0.125));
  CHECK(schedule.at(12) == 0.0F);
  CHECK(schedule.at(100) == 0.0F);
}

TEST_CASE("warm-up rises to the full rate, and the shape fills what is left") {
  Schedule const schedule{Schedule::Shape::linear, 1.0F, 12, 4};
  std::vector<float> rates;
  for (std::uint64_t t = 0; t <= 12; ++t) {
    rates.push_back(schedule.at(t));
  }
  CHECK(rates == std::vector<float>{0.25F, 0.5F, 0.75F, 1.0F, 1.0F, 0.875F, 0.75F, 0.625F, 0.5F, 0.375F,
                                    0.25F, 0.125F, 0.0F});
  CHECK(Schedule{Schedule::Shape::constant, 1.0F, 4, 8}.at(3) == 0.5F);
  CHECK(Schedule{Schedule::Shape::cosine, 1.0F, 4, 8}.at(8) == 1.0F);
  CHECK(Schedule{Schedule::Shape::linear, 1.0F, 0, 0}.at(0) == 1.0F);
}

TEST_CASE("a schedule by its name") {
  CHECK(Schedule::parse("constant") == Schedule::Shape::constant);
  CHECK(Schedule::parse("linear") == Schedule::Shape::linear);
  CHECK(Schedule::parse("cosine") == Schedule::Shape::cosine);
  CHECK_THROWS_WITH_AS(static_cast<void>(Schedule::parse("Linear")),
                       "schedule \"Linear\" is not known; use constant, linear or cosine", Error);
}

TEST_CASE("a memory of no steps is an error") {
  optimize::Momentum momentum{.history = 0};
  optimize::Adam adam{.history = 0};
  CHECK_THROWS_WITH_AS(static_cast<void>(momentum.move({{1, 1.0F}})),
                       doctest::Contains("a history of 0 steps"), Error);
  CHECK_THROWS_AS(static_cast<void>(adam.move({{1, 1.0F}})), Error);
}

TEST_CASE("patterns of names") {
  struct Case {
    char const *pattern, *name;
    bool matches;
  };
  for (Case const& c : std::vector<Case>{
           {"", "", true},           {"", "a", false},          {"*", "", true},
           {"*", "a.b", true},       {"?", "", false},          {"?", "a", true},
           {"?", "ab", false},       {"a?c", "abc", true},      {"a?c", "ac", false},
           {"a*", "a", true},        {"a*", "ba", false},       {"*a", "ba", true},
           {"*a", "ab", false},      {"a*c", "abbc", true},     {"a*c", "abcb", false},
           {"a*b*c", "axbxc", true}, {"a*b*c", "axcxb", false}, {"*ab", "aab", true},
           {"**", "a", true},        {"*.*", "a", false},       {"layer.1.*", "layer.11.weight", false},
           {"*aab*", "aaaab", true}, {"a.b", "a_b", false},     {"A", "a", false},
           {"*?", "", false},        {"*?", "ab", true},        {"[a]", "a", false},
       }) {
    CAPTURE(std::string(c.pattern));
    CAPTURE(std::string(c.name));
    CHECK(matches_glob(c.pattern, c.name) == c.matches);
  }
  static_assert(matches_glob("*.attention.*.weight", "layer.0.attention.self.query.weight"));
  // a pattern that takes exponential time when stars are tried one within the other
  CHECK(!matches_glob("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", std::string(2000, 'a')));
}

TEST_CASE("what is trained is chosen by name") {
  Toy toy;
  CHECK(optimize::select_trained(toy, "block.* , block.0.weight") == 20);
  CHECK(toy.weight.trained());
  CHECK(toy.bias.trained());
  CHECK(!toy.table.trained());
  CHECK(optimize::select_trained(toy, "*.bias,table*") == 13);
  CHECK(!toy.weight.trained());
  CHECK(toy.bias.trained());
  CHECK(toy.table.trained());
  CHECK(optimize::select_trained(toy, "*") == tensor::parameter_count(toy));
  CHECK_THROWS_WITH_AS(optimize::select_trained(toy, "layer.*"),
                       doctest::Contains("no tensor of the model matches \"layer.*\""), Error);
  for (char const* const patterns : {"block.*,nothing", "block.*,", ""}) { // one that is of no use is a slip
    CHECK_THROWS_AS(optimize::select_trained(toy, patterns), Error);
  }
}

TEST_CASE("SplitMix64 gives the numbers of its authors' program") {
  std::vector<std::uint64_t> const known{6457827717110365317U, 3203168211198807973U, 9817491932198370423U,
                                         4593380528125082431U, 16408922859458223821U};
  for (std::size_t i = 0; i < known.size(); ++i) {
    CHECK(random::split_mix(1234567, i) == known[i]);
  }
}

TEST_CASE("two points on either side of the weights, and their slope") {
  optimize::TwoPoint const estimator{.epsilon = 0.25F, .seed = 1234567};
  auto const points = estimator.points(2);
  CHECK(points[0] == random::Point{9817491932198370423U, 0.25F});
  CHECK(points[1] == random::Point{9817491932198370423U, -0.25F});
  CHECK(estimator.points(3)[0].seed != points[0].seed);
  std::vector<float> const losses{3.0F, 1.0F};
  CHECK(estimator.gradient(points, losses) == optimize::Gradient{{9817491932198370423U, 4.0F}});
}

TEST_CASE("the two-point slope needs two points and two losses") {
  optimize::TwoPoint const estimator;
  auto const points = estimator.points(0);
  std::vector<float> const losses{3.0F, 1.0F, 2.0F};
  for (std::size_t const count : {0U, 1U, 3U}) {
    CAPTURE(count);
    CHECK_THROWS_WITH_AS(static_cast<void>(estimator.gradient(points, std::span(losses).first(count))),
                         doctest::Contains("TwoPoint needs two"), Error);
  }
  CHECK_THROWS_WITH_AS(
      static_cast<void>(estimator.gradient(std::span(points).first(1), std::span(losses).first(2))),
      "TwoPoint needs two points and two losses, not 1 and 2", Error);
}

TEST_CASE("SGD steps along all slopes and decays matrices alone") {
  Toy const before;
  Toy after;
  optimize::Gradient const gradient{{5, 2.0F}, {6, -0.5F}};
  Runtime runtime(1);
  optimize::Sgd const sgd{.learning_rate = 0.125F, .weight_decay = 0.5F};
  sgd(after, random::Gaussian{}, gradient, runtime);
  check_near(floats(after.weight), naive_sgd(before.weight, gradient, 0.125, 0.5));
  check_near(floats(after.bias), naive_sgd(before.bias, gradient, 0.125, 0.0));
}

TEST_CASE("without a slope SGD's weight decay is all that happens, and not to vectors") {
  Toy const before;
  Toy after;
  Runtime runtime(1);
  optimize::Sgd const sgd{.learning_rate = 0.5F, .weight_decay = 0.5F};
  sgd(after, random::Gaussian{}, {{5, 0.0F}}, runtime);
  CHECK(floats(after.bias) == floats(before.bias));
  for (std::size_t i = 0; i < before.weight.size(); ++i) {
    CHECK(after.weight.values()[i] == 0.75F * before.weight.values()[i]);
  }
}

TEST_CASE("SGD leaves tensors that are not trained alone") {
  Toy const before;
  Toy after;
  optimize::select_trained(after, "*.bias");
  Runtime runtime(1);
  optimize::Sgd const sgd{.learning_rate = 0.125F, .weight_decay = 0.5F};
  sgd(after, random::Gaussian{}, {{5, 2.0F}}, runtime);
  CHECK(floats(after.weight) == floats(before.weight));
  CHECK(floats(after.table) == floats(before.table));
  CHECK(floats(after.bias) != floats(before.bias));
}

TEST_CASE("an empty gradient changes nothing") {
  Toy const before;
  Toy after;
  Runtime runtime(1);
  optimize::Sgd const sgd{.learning_rate = 0.125F};
  sgd(after, random::Gaussian{}, {}, runtime);
  CHECK(floats(after.weight) == floats(before.weight));
  CHECK(floats(after.table) == floats(before.table));
}

} // namespace test_parts
