// SPDX-License-Identifier: Apache-2.0
// A user's program: the whole library in two translation units.
#include <pocketllm/pocketllm.hpp>

#include <iostream>
#include <string>

std::string message_of_an_error(); // in second.cpp

int main() {
  auto const message = message_of_an_error();
  std::cout << message << '\n';
  return message == pocketllm::concat("answer: ", 42) ? 0 : 1;
}
