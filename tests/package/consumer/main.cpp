// SPDX-License-Identifier: Apache-2.0
// A user's program: the loss of a small model at W + ε z and W - ε z. The whole library, in two translation
// units.
#include <pocketllm/pocketllm.hpp>

#include <array>
#include <iostream>
#include <string>

std::string message_of_an_error(); // in second.cpp

int main(int, char** argv) {
  namespace pl = pocketllm;
  auto const model = pl::io::load<pl::models::Roberta<float>>(argv[1]);
  auto const tokenizer = pl::text::load_tokenizer(argv[1]);
  std::array<std::string, 2> const words{"terrible", "great"};
  pl::train::MaskedPrompt const objective(tokenizer, "{text} It was {mask}.", words, 64);
  std::array const examples{objective.encode(std::array{pl::text::Field{"text", "see it twice"}}, 1)};
  auto const points = pl::optimize::TwoPoint{1e-3F, 0}.points(0);
  pl::Runtime runtime;
  auto const losses = objective(model, objective.batch(examples, std::array<std::size_t, 1>{0}),
                                pl::random::perturb(pl::random::Gaussian{}, points), runtime);
  std::cout << "loss " << losses[0] << " and " << losses[1] << '\n';
  return message_of_an_error() == pl::concat("answer: ", 42) ? 0 : 1;
}
