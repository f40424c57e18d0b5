// SPDX-License-Identifier: Apache-2.0
// Moves that share a factor of their directions, as one.
#include <pocketllm/core/runtime.hpp>
#include <pocketllm/optimize/fold.hpp>
#include <pocketllm/optimize/memory.hpp>
#include <pocketllm/optimize/update_rule.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace test_fold {

using namespace pocketllm;
using optimize::Move;

namespace {

struct Toy {
  tensor::Tensor<float> weight{"block.0.weight", {40, 600}};
  tensor::Tensor<float> bias{"block.0.bias", {600}};

  Toy() {
    for_each_tensor([](tensor::Tensor<float>& w) {
      w.allocate();
      for (std::size_t i = 0; i < w.size(); ++i) {
        w.mutable_data()[i] = 0.01F * static_cast<float>(i % 100) - 0.5F;
      }
    });
  }
  template <class F>
  void for_each_tensor(F&& f) {
    f(weight), f(bias);
  }
  template <class F>
  void for_each_tensor(F&& f) const {
    f(weight), f(bias);
  }
};

/// Moves of a rule along directions whose seeds share their upper half for five steps.
template <class U>
std::vector<Move> moves_of(U rule, std::size_t steps) {
  std::vector<Move> moves;
  for (std::uint64_t i = 0; i < steps; ++i) {
    rule.learning_rate = 1e-2F / static_cast<float>(i + 1);
    std::uint64_t const seed = ((1 + i / 5) << 32) | (100 + i);
    moves.push_back(rule.move({{seed, static_cast<float>(i % 3) - 1.25F}, {seed + 1000, 0.5F}}));
  }
  return moves;
}

/// The largest difference between the weights after folded moves and after each of them.
template <class P>
float difference(P const& perturbation, std::vector<Move> const& moves) {
  Runtime runtime(2);
  Toy each, folded;
  for (Move const& move : moves) {
    optimize::make_move(each, perturbation, move, runtime);
  }
  optimize::fold_moves(folded, perturbation, moves, runtime, [](std::size_t) {});
  float worst = 0.0F;
  auto const compare = [&](tensor::Tensor<float> const& a, tensor::Tensor<float> const& b) {
    for (std::size_t i = 0; i < a.size(); ++i) {
      worst = std::max(worst, std::abs(a.data()[i] - b.data()[i]));
    }
  };
  compare(each.weight, folded.weight), compare(each.bias, folded.bias);
  return worst;
}

} // namespace

TEST_CASE("folded moves lead where each of them leads, to rounding") {
  random::LowRank const low_rank{3};
  auto const near = [](float found) {
    CHECK(found > 0.0F); // otherwise nothing was folded
    CHECK(found < 1e-6F);
  };
  near(difference(low_rank, moves_of(optimize::Sgd{}, 23)));
  near(difference(low_rank, moves_of(optimize::Sgd{.weight_decay = 5.0F}, 23)));
  near(difference(low_rank, moves_of(optimize::Momentum{.weight_decay = 1.0F, .history = 7}, 23)));
  near(difference(random::AnyPerturbation("low-rank", 3), moves_of(optimize::Sign{}, 23)));
}

TEST_CASE("what cannot be folded is made as it is") {
  CHECK(difference(random::LowRank{}, moves_of(optimize::Adam{}, 12)) == 0.0F);
  CHECK(difference(random::Rademacher{}, moves_of(optimize::Sgd{}, 12)) == 0.0F);
  CHECK(difference(random::AnyPerturbation(), moves_of(optimize::Sgd{}, 12)) == 0.0F);
  CHECK(difference(random::LowRank{}, moves_of(optimize::Sgd{}, 1)) == 0.0F);
  auto with_empty = moves_of(optimize::Sgd{}, 12);
  with_empty.insert(with_empty.begin() + 3, Move{{}, 0.5F}); // does nothing, so decays nothing
  CHECK(difference(random::LowRank{}, with_empty) < 1e-6F);
}

TEST_CASE("moves as a sum: a term for each direction, with the decay of later moves") {
  std::vector<Move> const moves{{{{1, 2.0F}}, 0.5F}, {{{2, 4.0F}, {1, 8.0F}}, 0.25F}, {{}, 0.125F}};
  Move const matrices = optimize::detail::sum_of(moves, true),
             vectors = optimize::detail::sum_of(moves, false);
  CHECK(matrices.keep == 0.125F);
  CHECK(vectors.keep == 1.0F);
  CHECK(matrices.terms == std::vector<random::Point>{{2, 4.0F}, {1, 8.5F}});
  CHECK(vectors.terms == std::vector<random::Point>{{2, 4.0F}, {1, 10.0F}});
}

} // namespace test_fold
