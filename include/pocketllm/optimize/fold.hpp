// SPDX-License-Identifier: Apache-2.0
// Moves whose directions share a factor, as one.
#pragma once

#include <pocketllm/core/runtime.hpp>
#include <pocketllm/optimize/move.hpp>
#include <pocketllm/random/factored.hpp>
#include <pocketllm/random/perturbed.hpp>
#include <pocketllm/tensor/factored_update.hpp>
#include <pocketllm/tensor/visit.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <set>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

namespace pocketllm::optimize {
namespace detail {

/// Linear moves as one, of matrices (which decay) or of vectors: the decays of later moves become factors of
/// the terms of earlier ones, and terms along the same direction one term.
[[nodiscard]] inline Move sum_of(std::span<Move const> moves, bool decays) {
  std::unordered_map<std::uint64_t, std::size_t> places;
  std::vector<std::pair<std::uint64_t, double>> terms;
  double later = 1.0;
  for (auto move = moves.rbegin(); move != moves.rend(); ++move) {
    for (random::Point const& term : move->terms) {
      auto const [place, added] = places.try_emplace(term.seed, terms.size());
      if (added) {
        terms.emplace_back(term.seed, 0.0);
      }
      terms[place->second].second += later * static_cast<double>(term.coefficient);
    }
    if (decays && !move->terms.empty()) { // a move without terms does nothing
      later *= static_cast<double>(move->keep);
    }
  }
  Move sum;
  for (auto const& [seed, coefficient] : terms) {
    sum.terms.push_back({seed, static_cast<float>(coefficient)});
  }
  sum.keep = static_cast<float>(later);
  return sum;
}

/// How many of `moves`, from the first one on, are linear and have directions of few enough column factors
/// for one update; at least 1, which stands for a move that is made as it is.
template <random::Factored P>
[[nodiscard]] std::size_t moves_to_fold(P const& perturbation, std::span<Move const> moves) {
  std::size_t const most = tensor::kernel::most_v / perturbation.factors();
  std::set<std::uint64_t> columns;
  std::size_t count = 0;
  for (; count < moves.size() && moves[count].groups.empty(); ++count) {
    for (random::Point const& term : moves[count].terms) {
      columns.insert(perturbation.columns_seed(term.seed));
    }
    if (columns.size() > most) {
      break;
    }
  }
  return std::max<std::size_t>(count, 1);
}

} // namespace detail

/// Makes all moves as make_moves() does, but for rounding: moves that follow one another and whose directions
/// share a factor (random::Factored) are one product of that factor and the sum of the others. f32 weights
/// differ from those of make_moves() by rounding errors; 16-bit weights are rounded once for some such
/// products instead of once a move. Moves that are not linear, and those along directions without factors,
/// are made as by make_moves(). Calls done(weights) behind each piece of that many weights, from any thread.
template <tensor::HasTensors Model, random::Perturbation P, class Done>
void fold_moves(Model& model, P const& perturbation, std::span<Move const> moves, Runtime& runtime,
                Done&& done) {
  if constexpr (random::Factored<P>) {
    if (perturbation.factors() != 0) {
      std::vector<std::pair<Move, Move>> sums;
      std::vector<bool> folded;
      for (std::span<Move const> left = moves; !left.empty();) {
        std::size_t const count = detail::moves_to_fold(perturbation, left);
        folded.push_back(count > 1);
        sums.push_back(count > 1 ? std::pair(detail::sum_of(left.first(count), true),
                                             detail::sum_of(left.first(count), false))
                                 : std::pair(left.front(), left.front()));
        left = left.subspan(count);
      }
      detail::MoveUpdates updates;
      for (std::size_t i = 0; i < sums.size(); ++i) {
        updates.add(sums[i].first, sums[i].second, folded[i]);
      }
      return detail::visit_once(model, perturbation, updates, runtime, done);
    }
  }
  make_moves(model, perturbation, moves, runtime, done);
}

} // namespace pocketllm::optimize
