// SPDX-License-Identifier: Apache-2.0
// A user's program: the loss of a small model at W + ε z and W - ε z, and the headers it was built with. The
// whole library, in two translation units.
#include <pocketllm/pocketllm.hpp>

#include <Eigen/Core>
#include <xsimd/xsimd.hpp>

#include <array>
#include <iostream>
#include <string>

std::string message_of_an_error(); // in second.cpp

namespace {

/// As in "xsimd 13.2, Eigen 5.0".
std::string headers() {
#if EIGEN_MAJOR_VERSION >= 5 // since when the "world" stays 3 and is not named any more
  std::string const eigen = pocketllm::concat(EIGEN_MAJOR_VERSION, '.', EIGEN_MINOR_VERSION);
#else
  std::string const eigen = pocketllm::concat(EIGEN_WORLD_VERSION, '.', EIGEN_MAJOR_VERSION);
#endif
  return pocketllm::concat("xsimd ", XSIMD_VERSION_MAJOR, '.', XSIMD_VERSION_MINOR, ", Eigen ", eigen);
}

} // namespace

int main(int, char** argv) {
  namespace pl = pocketllm;
  std::cout << headers() << '\n';
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
