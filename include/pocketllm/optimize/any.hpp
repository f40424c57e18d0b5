// SPDX-License-Identifier: Apache-2.0
// One of the library's estimators, and one of its update rules, chosen when the program runs: programs that
// offer all of them need not be compiled for each.
#pragma once

#include <pocketllm/core/runtime.hpp>
#include <pocketllm/core/split_mix.hpp>
#include <pocketllm/optimize/estimator.hpp>
#include <pocketllm/optimize/fzoo.hpp>
#include <pocketllm/optimize/gradient.hpp>
#include <pocketllm/optimize/line.hpp>
#include <pocketllm/optimize/memory.hpp>
#include <pocketllm/optimize/move.hpp>
#include <pocketllm/optimize/multi_point.hpp>
#include <pocketllm/optimize/update_rule.hpp>
#include <pocketllm/random/perturbed.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace pocketllm::optimize {

/// An estimator of any of these types, along directions z(seed) or, with `scale`, scale(seed) z(seed).
class AnyEstimator {
public:
  /// The library's estimators but ThreePoint, which only Hizoo understands.
  using Chosen = std::variant<TwoPoint, OneSided, MultiPoint, Fzoo, Curved, LineSearch>;
  std::string_view name = TwoPoint::name; ///< of the one that was chosen
  float clip =
      0.0F; ///< slopes are cut to this size; 0 for as they are. One wild batch cannot do much harm then
  /// Of z to the direction, a pure function; none for 1. tensor::sphere_scale puts directions on a sphere.
  std::function<float(std::uint64_t)> scale = {};

  AnyEstimator() = default; ///< TwoPoint
  /// From an estimator with its settings; without `clip` and `scale`.
  template <class E>
  requires std::constructible_from<Chosen, E> AnyEstimator(E estimator)
      : name(E::name), chosen_(std::move(estimator)) {}

  template <class Self, class F>
  static void parameters(Self& self, F&& f) {
    std::visit([&]<class E>(E& one) { std::remove_const_t<E>::parameters(one, f); }, self.chosen_);
    if (self.clip != 0.0F) {
      f("clip", self.clip);
    }
    if (bool scaled = self.scale != nullptr; scaled) {
      f("scaled", scaled);
    }
  }
  /// The chosen one's; see TwoPoint::slopes.
  [[nodiscard]] std::size_t slopes() const {
    return std::visit([](auto const& one) { return one.slopes(); }, chosen_);
  }
  /// The chosen one's.
  [[nodiscard]] SeedRule seeds() const {
    return std::visit([](auto const& one) { return one.seeds(); }, chosen_);
  }
  /// The chosen one's, with coefficients times scale(seed).
  [[nodiscard]] std::vector<random::Point> points(std::uint64_t step) const {
    auto points = std::visit(
        [&](auto const& one) {
          auto const made = one.points(step);
          return std::vector<random::Point>(made.begin(), made.end());
        },
        chosen_);
    for (random::Point& point : points) {
      point.coefficient *= scale && point.coefficient != 0.0F ? scale(point.seed) : 1.0F;
    }
    return points;
  }
  /// The chosen one's, cut to `clip` and then times scale(seed), which makes them slopes along z. Throws
  /// Error as the chosen one does.
  [[nodiscard]] Gradient gradient(std::span<random::Point const> points,
                                  std::span<float const> losses) const {
    Gradient gradient = std::visit([&](auto const& one) { return one.gradient(points, losses); }, chosen_);
    for (Slope& slope : gradient) {
      slope.slope = clip != 0.0F ? std::clamp(slope.slope, -clip, clip) : slope.slope;
      slope.slope *= scale ? scale(slope.seed) : 1.0F;
    }
    return gradient;
  }

private:
  Chosen chosen_;
};

/// An update rule of any of these types.
class AnyRule {
public:
  /// The library's rules but Hizoo, whose steps are no moves.
  using Chosen = std::variant<Sgd, Sign, Momentum, Adam>;
  std::string_view name = Sgd::name; ///< of the one that was chosen
  float learning_rate = 0.0F;        ///< takes the place of the chosen one's own; 0 by default

  AnyRule() = default; ///< Sgd
  /// From a rule with its settings and its rate.
  template <class U>
  requires std::constructible_from<Chosen, U> AnyRule(U rule)
      : name(U::name), learning_rate(rule.learning_rate), chosen_(std::move(rule)) {}

  template <class Self, class F>
  static void parameters(Self& self, F&& f) {
    std::visit([&]<class U>(U& one) { std::remove_const_t<U>::parameters(one, f); }, self.chosen_);
  }
  /// What the next step is to be; the rule's memory, if it has any, takes the gradient in.
  [[nodiscard]] Move move(Gradient const& gradient) {
    return std::visit(
        [&](auto& one) {
          one.learning_rate = learning_rate;
          return one.move(gradient);
        },
        chosen_);
  }
  /// Makes move(gradient). `perturbation` must be the one that the slopes were measured with.
  template <tensor::HasTensors Model, random::Perturbation P>
  void operator()(Model& model, P const& perturbation, Gradient const& gradient, Runtime& runtime) {
    make_move(model, perturbation, move(gradient), runtime);
  }

private:
  Chosen chosen_;
};

static_assert(Estimator<AnyEstimator> && MovingRule<AnyRule>);
static_assert(!std::constructible_from<AnyEstimator, Sgd> && !std::constructible_from<AnyRule, TwoPoint>);

} // namespace pocketllm::optimize
