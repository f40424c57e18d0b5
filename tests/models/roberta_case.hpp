// SPDX-License-Identifier: Apache-2.0
// The small RoBERTas of tests/models/data.
#pragma once

#include "models/encoder_case.hpp"
#include <pocketllm/models/roberta.hpp>

#include <array>
#include <string>

namespace roberta {

using namespace encoders;

inline constexpr std::array<char const*, 5> cases{"tied", "untied", "odd", "wide", "classifier"};

template <tensor::WeightStorage T>
models::Roberta<T> load(std::string const& name) {
  return io::load<models::Roberta<T>>(folder(name));
}

} // namespace roberta
