// SPDX-License-Identifier: Apache-2.0
// Prints the ids of each line of a file, for check_corpus.py: encode_lines TOKENIZER_DIRECTORY FILE
#include <pocketllm/core/error.hpp>
#include <pocketllm/text/load_tokenizer.hpp>

#include <cstddef>
#include <exception>
#include <fstream>
#include <iostream>
#include <string>

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: encode_lines TOKENIZER_DIRECTORY FILE\n";
    return 2;
  }
  try {
    auto const tokenizer = pocketllm::text::load_tokenizer(argv[1]);
    std::ifstream file(argv[2], std::ios::binary);
    pocketllm::require(file.good(), argv[2], ": cannot be read");
    std::string output;
    for (std::string line; std::getline(file, line);) {
      auto const ids = tokenizer.encode(line);
      for (std::size_t i = 0; i < ids.size(); ++i) {
        output += (i == 0 ? "" : " ") + std::to_string(ids[i]);
      }
      output += '\n';
    }
    std::cout << output;
    return std::cout.flush() ? 0 : 1;
  } catch (std::exception const& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
