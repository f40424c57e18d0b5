// SPDX-License-Identifier: Apache-2.0
// The one exception type of the library, and the way its messages are put together.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace pocketllm {

/// Thrown for every mistake in input, files or arguments. The message is one line that names the
/// place, what was found and what to do, e.g.
/// `roberta/config.json: num_attention_heads (15) does not divide hidden_size (1024)`.
class Error : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

/// Joins anything that can be written to a stream into one string.
template <class... Parts>
[[nodiscard]] std::string concat(Parts const&... parts) {
  std::ostringstream text;
  (text << ... << parts);
  return std::move(text).str();
}

/// Throws `Error` with the parts joined into its message.
template <class... Parts>
[[noreturn]] void fail(Parts const&... parts) {
  throw Error(concat(parts...));
}

/// Throws `Error` with the parts joined into its message unless `condition` holds. The parts are
/// evaluated either way, so pass values, not computations.
template <class... Parts>
void require(bool condition, Parts const&... parts) {
  if (!condition) [[unlikely]] {
    fail(parts...);
  }
}

} // namespace pocketllm
