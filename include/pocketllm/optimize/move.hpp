// SPDX-License-Identifier: Apache-2.0
// What a step does to the weights, as a list of (seed, coefficient) pairs: small enough to keep thousands of
// steps, to make them in one visit to the weights, and to take them back.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/core/runtime.hpp>
#include <pocketllm/random/perturbed.hpp>
#include <pocketllm/tensor/tensor.hpp>
#include <pocketllm/tensor/update.hpp>
#include <pocketllm/tensor/visit.hpp>

#include <concepts>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

namespace pocketllm::optimize {

/// theta <- keep theta + sum_i c_i z(s_i); with `groups`, whose terms stand one behind the other,
/// theta <- keep theta + sum_j first_j g_j / (sqrt(sum_j second_j g_j^2) + floor), where g_j = sum_i c_i
/// z(s_i) over the terms of group j: a step of Adam whose moments are made again from the gradients of some
/// steps. Tensors of one dimension (biases and LayerNorm, which MeZO does not decay) are kept whole.
struct Move {
  /// (s_i, c_i); the learning rate and the minus are in c_i, or in `groups`. A move without terms does
  /// nothing, whatever `keep` is.
  std::vector<random::Point> terms;
  float keep = 1.0F;                          ///< 1 - rate * decay; 1 without weight decay
  std::vector<tensor::TermGroup> groups = {}; ///< (terms, first_j, second_j); empty for a plain sum
  float floor = 0.0F;                         ///< Adam's epsilon; without groups it is not used
};

namespace detail {

/// The updates that moves are to matrices, and to vectors. Their terms lie in the moves.
struct MoveUpdates {
  std::vector<tensor::UpdateTerms> matrices, vectors;

  void add(Move const& of_matrices, Move const& of_vectors, bool folded = false) {
    matrices.push_back({of_matrices.terms, of_matrices.keep, of_matrices.groups, of_matrices.floor, folded});
    vectors.push_back({of_vectors.terms, 1.0F, of_vectors.groups, of_vectors.floor});
  }
};

template <tensor::HasTensors Model, random::Perturbation P, class Done>
void visit_once(Model& model, P const& perturbation, MoveUpdates const& updates, Runtime& runtime,
                Done&& done) {
  tensor::for_each_tensor(model, [&](auto& tensor) {
    bool const decays = tensor.shape().size() > 1;
    tensor::update_in_order(tensor, perturbation, decays ? updates.matrices : updates.vectors, runtime, done);
  });
}

/// The move that leads back, in matrices (which decay) or in vectors.
[[nodiscard]] inline Move inverse(Move const& move, bool decays) {
  Move back = move;
  back.keep = decays ? 1.0F / move.keep : 1.0F;
  for (tensor::TermGroup& group : back.groups) {
    group.first *= -back.keep;
  }
  for (random::Point& term : back.terms) {
    term.coefficient *= back.groups.empty() ? -back.keep : 1.0F;
  }
  return back;
}

} // namespace detail

/// Makes all moves, one behind the other, in one visit to the trained tensors: the same bits as by a visit
/// for each. Calls done(weights) behind each piece of that many weights, from any thread. `perturbation` must
/// be the one that the slopes were measured with.
template <tensor::HasTensors Model, random::Perturbation P, class Done>
void make_moves(Model& model, P const& perturbation, std::span<Move const> moves, Runtime& runtime,
                Done&& done) {
  detail::MoveUpdates updates;
  for (Move const& move : moves) {
    updates.add(move, move);
  }
  detail::visit_once(model, perturbation, updates, runtime, done);
}

/// Takes moves back, the last one first: the weights are those before them, but for a rounding a move. Throws
/// Error, with nothing changed, when a trained tensor has 16 bits, whose rounding loses the way back, or when
/// a move keeps nothing.
template <tensor::HasTensors Model, random::Perturbation P, class Done>
void take_back_moves(Model& model, P const& perturbation, std::span<Move const> moves, Runtime& runtime,
                     Done&& done) {
  tensor::for_each_tensor(model, []<class T>(tensor::Tensor<T> const& tensor) {
    require(std::same_as<T, float> || !tensor.trained(), "tensor ", tensor.name(),
            ": steps on 16-bit weights cannot be taken back, since each was rounded at random; replay fewer "
            "steps from the base weights");
  });
  std::vector<std::pair<Move, Move>> back;
  for (auto move = moves.rbegin(); move != moves.rend(); ++move) {
    require(move->keep != 0.0F, "a step that decays the weights to nothing cannot be taken back");
    back.emplace_back(detail::inverse(*move, true), detail::inverse(*move, false));
  }
  detail::MoveUpdates updates;
  for (auto const& [of_matrices, of_vectors] : back) {
    updates.add(of_matrices, of_vectors);
  }
  detail::visit_once(model, perturbation, updates, runtime, done);
}

} // namespace pocketllm::optimize
