// SPDX-License-Identifier: Apache-2.0
// Numbers as text, the same in every locale.
#pragma once

#include <cmath>
#include <iomanip>
#include <locale>
#include <sstream>
#include <string>
#include <utility>

namespace pocketllm::train {

/// A number with so many digits behind the point, or in three significant digits where that would be long;
/// the same in every locale.
[[nodiscard]] inline std::string fixed(double value, int digits) {
  std::ostringstream text;
  text.imbue(std::locale::classic());
  if (std::abs(value) < 1e6) {
    text << std::fixed << std::setprecision(digits);
  } else {
    text << std::setprecision(3);
  }
  text << value;
  return std::move(text).str();
}

} // namespace pocketllm::train
