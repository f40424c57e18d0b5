// SPDX-License-Identifier: Apache-2.0
// The second translation unit of a user's program.
#include <pocketllm/pocketllm.hpp>

#include <string>

std::string message_of_an_error();

std::string message_of_an_error() {
  try {
    pocketllm::fail("answer: ", 42);
  } catch (pocketllm::Error const& error) {
    return error.what();
  }
}
