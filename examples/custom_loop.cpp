// SPDX-License-Identifier: Apache-2.0
// A training loop of one's own, with an estimator and a perturbation of one's own: usage: custom_loop
// MODEL_DIR
#include <pocketllm/pocketllm.hpp>

#include <iostream>

namespace pl = pocketllm;

/// The average of two one-sided differences: a base point and one step along each of two directions.
struct TwoOneSided {
  float epsilon = 1e-3F;

  std::array<pl::random::Point, 3> points(std::uint64_t step) const {
    return {pl::random::origin,
            {pl::random::split_mix(7, 2 * step), epsilon},
            {pl::random::split_mix(7, 2 * step + 1), epsilon}};
  }
  pl::optimize::Gradient gradient(std::span<pl::random::Point const> at, std::span<float const> loss) const {
    return {{at[1].seed, (loss[1] - loss[0]) / (2 * epsilon)},
            {at[2].seed, (loss[2] - loss[0]) / (2 * epsilon)}};
  }
};
static_assert(pl::optimize::Estimator<TwoOneSided>);

/// Uniform noise of variance 1: a pure function of seed, tensor, row and column, and never stored.
struct Uniform {
  static constexpr char const* name = "uniform";

  template <class A> // an instruction set
  void fill(pl::random::Stream stream, std::size_t row, std::size_t block, std::size_t count,
            float* out) const {
    auto const uniform = [](pl::simd::u32<A> word, pl::simd::u32<A>) {
      auto const unit = pl::simd::convert<A>(pl::simd::shift_right<A, 8>(word)); // 0 to 2^24
      return pl::simd::fma<A>(unit, pl::simd::splat<A>(0x1p-23F * 1.7320508F),
                              pl::simd::splat<A>(-1.7320508F));
    };
    pl::random::fill_independent<A>(stream, row, block, count, out, uniform);
  }
};
static_assert(pl::random::Perturbation<Uniform>);

int main(int argc, char** argv) try {
  std::string const directory = argc > 1 ? argv[1] : "examples/models/tiny-roberta";
  auto model = pl::io::load<pl::models::Roberta<float>>(directory);
  auto const tokenizer = pl::text::load_tokenizer(directory);
  std::vector<std::string> const words{"bad", "good"};
  pl::train::MaskedPrompt const objective(tokenizer, "{text} It was {mask}.", words, 64);

  std::vector<std::pair<std::string, std::size_t>> const reviews{{"I laughed all the way through", 1},
                                                                 {"I want these two hours back", 0},
                                                                 {"see it twice", 1},
                                                                 {"the plot makes no sense at all", 0}};
  std::vector<decltype(objective)::Example> examples;
  for (auto const& [text, label] : reviews) {
    examples.push_back(objective.encode(std::vector<pl::text::Field>{{"text", text}}, label));
  }
  auto const batch = objective.batch(examples, std::vector<std::size_t>{0, 1, 2, 3});

  pl::Runtime runtime;                              // threads and the memory of activations
  TwoOneSided const estimator;                      // the points to ask for
  Uniform const perturbation;                       // z(seed, tensor, element)
  pl::optimize::Sgd update{.learning_rate = 5e-5F}; // what to do with the answer
  for (std::uint64_t step = 0; step < 60; ++step) {
    auto const points = estimator.points(step);
    auto const losses =
        objective(model, batch, pl::random::perturb(perturbation, points), runtime); // reads the weights once
    auto const gradient = estimator.gradient(points, losses);                        // {(seed, slope)}
    update(model, perturbation, gradient, runtime);                                  // one sweep
    if (step % 10 == 0) {
      std::cout << "step " << step << "  loss " << losses[0] << '\n';
    }
  }
} catch (std::exception const& error) {
  std::cerr << "custom_loop: " << error.what() << '\n';
  return 1;
}
