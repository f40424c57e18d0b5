// SPDX-License-Identifier: Apache-2.0
// A user's program for several MPI processes, with a model and an objective of its own: a line through
// points. The processes together end with the weights of one that accumulates the same micro-batches.
#include <pocketllm/tensor/product.hpp>
#include <pocketllm/train/mpi.hpp>
#include <pocketllm/train/trainer.hpp>

#include <algorithm>
#include <cstddef>
#include <iostream>
#include <span>
#include <vector>

namespace pl = pocketllm;

namespace {

struct Line {
  pl::tensor::Tensor<float> weight{"weight", {1, 2}};

  Line() {
    weight.allocate();
    std::fill_n(weight.mutable_data(), weight.size(), 0.0F);
  }
  template <class F>
  void for_each_tensor(F&& f) {
    f(weight);
  }
  template <class F>
  void for_each_tensor(F&& f) const {
    f(weight);
  }
};

/// The mean of (y - w x)^2.
struct Squares {
  struct Example {
    float x[2];
    float y;
  };
  struct Batch {
    std::vector<float> x, y;
  };

  Batch batch(std::span<Example const> examples, std::span<std::size_t const> indices) const {
    Batch batch;
    for (std::size_t const i : indices) {
      batch.x.insert(batch.x.end(), examples[i].x, examples[i].x + 2);
      batch.y.push_back(examples[i].y);
    }
    return batch;
  }
  template <class P>
  std::vector<float> operator()(Line const& line, Batch const& batch, pl::random::Perturbed<P> const& at,
                                pl::Runtime& runtime) const {
    std::size_t const rows = batch.y.size();
    std::vector<float> found(at.lanes() * rows), losses;
    pl::tensor::product(pl::Lanes<float const>{batch.x.data(), 1, rows, 2}, line.weight, nullptr, at,
                        pl::Lanes<float>{found.data(), at.lanes(), rows, 1}, runtime);
    for (std::size_t l = 0; l < at.lanes(); ++l) {
      float sum = 0.0F;
      for (std::size_t r = 0; r < rows; ++r) {
        float const wrong = batch.y[r] - found[l * rows + r];
        sum += wrong * wrong;
      }
      losses.push_back(sum / static_cast<float>(rows));
    }
    return losses;
  }
};

/// The weights after 300 steps of y = 2 - 3 t.
template <class Team>
std::vector<float> trained(std::size_t micro_batches, Team const& team) {
  std::vector<Squares::Example> examples;
  for (int i = 0; i < 32; ++i) {
    float const t = static_cast<float>(i) / 16.0F - 1.0F;
    examples.push_back({{1.0F, t}, 2.0F - 3.0F * t});
  }
  Line line;
  pl::Runtime runtime(1);
  pl::train::Trainer trainer(
      line, Squares{}, std::span<Squares::Example const>(examples), pl::random::Gaussian{},
      pl::optimize::TwoPoint{1e-3F, 1}, pl::optimize::Sgd{.learning_rate = 0.05F},
      pl::optimize::Schedule{pl::optimize::Schedule::Shape::constant, 0.05F, 300},
      pl::train::BatchOrder(std::vector<std::size_t>(examples.size(), 1), {.batch_size = 4, .seed = 1}),
      runtime, micro_batches, team);
  trainer.run(0, {}, {});
  return {line.weight.data(), line.weight.data() + line.weight.size()};
}

} // namespace

int main(int argc, char** argv) {
  pl::train::MpiSession const session(argc, argv);
  pl::train::MpiTeam const team;
  std::vector<float> const ours = trained(1, team);
  bool const same = ours == trained(team.size(), pl::train::Alone{});
  if (team.any(!same)) {
    std::cerr << "process " << team.rank() << ": other weights than one process has\n";
    return 1;
  }
  if (team.rank() == 0) {
    std::cout << team.size() << " processes: y = " << ours[0] << " + " << ours[1] << " t\n";
  }
  return 0;
}
