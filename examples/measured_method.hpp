// SPDX-License-Identifier: Apache-2.0
// The rate and the epsilon that an option `auto` stands for: measured, or as the journal of the run says.
#pragma once

#include "classifier_options.hpp"
#include "directions.hpp"
#include "memory_plan.hpp"
#include <pocketllm/pocketllm.hpp>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <iostream>
#include <span>
#include <vector>

namespace examples {

/// The options of the method with what a run's journal says of a rate and an epsilon that are `auto`: they
/// were measured when it began.
inline MethodOptions as_in_journal(MethodOptions method, std::filesystem::path const& file) {
  auto const json = pocketllm::io::read_journal(file).header().json();
  auto const fill = [&](double& option, char const* place) {
    auto const found = json.value(pocketllm::io::Json::json_pointer(place), pocketllm::io::Json());
    option = option == 0.0 && found.is_number() ? found.get<double>() : option;
  };
  fill(method.learning_rate, "/schedule/rate");
  fill(method.epsilon, "/estimator/epsilon");
  return method;
}

/// The options of the method with a rate and an epsilon: measured on the first batches where they are `auto`.
template <class Model, class Objective, class P>
MethodOptions measured_method(ClassifierOptions const& o, Model const& model, Objective const& objective,
                              P const& perturbation, std::vector<typename Objective::Example> const& examples,
                              pocketllm::train::BatchOrder order, pocketllm::Runtime& runtime) {
  MethodOptions method = o.method;
  if (method.learning_rate != 0.0 && method.epsilon != 0.0) {
    return method;
  }
  constexpr std::uint64_t batches = 8; // which tell the signal to 0.1
  std::vector<typename Objective::Batch> probed;
  for (std::uint64_t i = 0; i < batches; ++i) {
    probed.push_back(objective.batch(examples, order.batch(i)));
  }
  // as many points at once as in a step, which has the memory for them
  auto const probe = pocketllm::train::probe(
      model, objective, std::span<typename Objective::Batch const>(probed), perturbation,
      {.max_lanes = first_points(method).size(), .seed = o.seed}, runtime);
  pocketllm::require(probe.scale() > 0.0 && probe.slope > 0.0,
                     "the loss is flat around the weights, so no rate follows from it; give "
                     "--learning-rate and --epsilon");
  method.epsilon = method.epsilon != 0.0 ? method.epsilon : rounded(static_cast<double>(probe.epsilon()));
  // LoRA's terms start at B = 0, where A does not count yet and the loss is flatter than they make it, and an
  // encoder's prefix as real tokens, around which it is flatter than further on: with tiny-roberta a falling
  // rate diverges within 1,500 steps at all that it says there, and with a real model at two fifths
  bool const flatter =
      !measures_lengths(method) &&
      (o.adapter == "lora" || (o.adapter == "prefix" && !pocketllm::models::TextGenerator<Model>));
  double const share = flatter ? 0.2 : 1.0;
  method.learning_rate =
      method.learning_rate != 0.0 ? method.learning_rate : rounded(share * rate_after(probe, method));
  std::cout << "probe    slope " << rounded(probe.slope) << ", curvature " << rounded(probe.curvature)
            << " along random directions"
            << (probe.scale() == probe.curvature ? "" : pocketllm::concat(", in size ", rounded(probe.bend)))
            << ", signal " << rounded(std::max(probe.signal, 0.0)) << ": --learning-rate "
            << method.learning_rate << " --schedule " << o.schedule << " --epsilon " << method.epsilon
            << std::endl;
  return method;
}

} // namespace examples
