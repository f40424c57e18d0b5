// SPDX-License-Identifier: Apache-2.0
// No method but HiZOO has a buffer of the model's size: what a step asks memory for is counted.
#include <pocketllm/core/runtime.hpp>
#include <pocketllm/optimize/any.hpp>
#include <pocketllm/optimize/hizoo.hpp>
#include <pocketllm/random/any_perturbation.hpp>
#include <pocketllm/tensor/noise_norm.hpp>
#include <pocketllm/tensor/product.hpp>
#include <pocketllm/tensor/small_weights.hpp>
#include <pocketllm/tensor/some_layers.hpp>
#include <pocketllm/train/probe.hpp>
#include <pocketllm/train/trainer.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#if defined(__has_feature)
#define POCKETLLM_TEST_HAS(feature) __has_feature(feature) // of clang, which defines no macro
#else
#define POCKETLLM_TEST_HAS(feature) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) ||                                         \
    POCKETLLM_TEST_HAS(address_sanitizer) || POCKETLLM_TEST_HAS(thread_sanitizer)
#define POCKETLLM_TEST_OWN_NEW 0 // theirs find more
#else
#define POCKETLLM_TEST_OWN_NEW 1
#endif

using namespace pocketllm;

#if POCKETLLM_TEST_OWN_NEW
namespace {

std::atomic<std::size_t> asked = 0; ///< bytes since the beginning

} // namespace

// NOLINTBEGIN: those that all others end in; inlined, GCC takes free() for a mistake
[[gnu::noinline]] void* operator new(std::size_t bytes) {
  asked += bytes;
  if (void* const memory = std::malloc(bytes)) {
    return memory;
  }
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
[[gnu::noinline]] void* operator new(std::size_t bytes, std::align_val_t alignment) {
  asked += bytes;
  auto const a = static_cast<std::size_t>(alignment);
  if (void* const memory = std::aligned_alloc(a, (bytes + a - 1) / a * a)) {
    return memory;
  }
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}
// NOLINTEND

namespace {

/// Embeddings and two layers of one matrix each, 3 MB: little enough for an emulated processor.
struct Model {
  static constexpr std::size_t width = 512;
  std::vector<tensor::Tensor<float>> weights;

  Model() {
    for (char const* const name : {"embeddings.weight", "encoder.layer.0.weight", "encoder.layer.1.weight"}) {
      auto& w = weights.emplace_back(name, std::vector<std::size_t>{width, width});
      w.allocate();
      for (std::size_t i = 0; i < w.size(); ++i) {
        w.mutable_data()[i] = static_cast<float>(i % 97) * 1e-3F;
      }
    }
  }
  template <class F>
  void for_each_tensor(F&& f) {
    std::for_each(weights.begin(), weights.end(), f);
  }
  template <class F>
  void for_each_tensor(F&& f) const {
    std::for_each(weights.begin(), weights.end(), f);
  }
};

/// The mean square of what the layers make of a vector.
struct MeanSquare {
  using Example = float;
  using Batch = std::vector<float>;
  [[nodiscard]] Batch batch(std::span<Example const> examples, std::span<std::size_t const> indices) const {
    Batch batch;
    for (std::size_t const i : indices) {
      batch.push_back(examples[i]);
    }
    return batch;
  }
  template <random::Perturbation P>
  [[nodiscard]] std::vector<float> operator()(Model const& model, Batch const& batch,
                                              random::Perturbed<P> const& at, Runtime& runtime) const {
    Workspace::Frame const frame(runtime.workspace());
    Lanes<float> x = take_lanes(runtime.workspace(), at.lanes(), 1, Model::width);
    for (std::size_t l = 0; l < at.lanes(); ++l) { // rows are further apart than they are wide
      std::fill_n(x.row(l, 0), Model::width, batch.front());
    }
    for (auto const& w : model.weights) {
      Lanes<float> const y = take_lanes(runtime.workspace(), at.lanes(), 1, Model::width);
      tensor::product(Lanes<float const>(x), w, nullptr, at, y, runtime);
      x = y;
    }
    std::vector<float> losses;
    for (std::size_t l = 0; l < at.lanes(); ++l) {
      losses.push_back(std::inner_product(x.row(l, 0), x.row(l, 0) + Model::width, x.row(l, 0), 0.0F) *
                       1e-9F);
    }
    return losses;
  }
};

struct Method {
  std::string title;
  optimize::AnyEstimator estimator;
  optimize::AnyRule rule = optimize::Sgd{};
  std::string perturbation = "gaussian";
};

/// Bytes that five steps ask for, after two that fill the workspace and the memory of a rule.
template <class P>
std::size_t bytes_of_steps(Model& model, P const& perturbation, Method const& method, Runtime& runtime) {
  std::vector<float> const examples(8, 0.5F);
  auto const trainer = [&](std::uint64_t steps) {
    return train::Trainer(model, MeanSquare{}, std::span<float const>(examples), perturbation,
                          method.estimator, method.rule,
                          {optimize::Schedule::Shape::constant, 1e-9F, steps, 0},
                          train::BatchOrder(std::vector<std::size_t>(8, 1), {.batch_size = 2}), runtime);
  };
  std::size_t first = 0, last = 0;
  auto const outcome = trainer(7).run(0, {}, [&](train::StepReport const& step) {
    first = step.step == 1 ? asked.load() : first;
    last = asked.load();
    return true;
  });
  CHECK(outcome.reason == train::Outcome::Reason::finished);
  return last - first;
}

constexpr std::size_t model_bytes = 3 * Model::width * Model::width * sizeof(float);

} // namespace

TEST_CASE("no method but HiZOO allocates anything of the model's size") {
  Model model;
  Runtime runtime(2);
  std::vector<Method> const methods{
      {"two-point", optimize::TwoPoint{}},
      {"multi-point", optimize::MultiPoint{}, optimize::Sign{}},
      {"one-sided", optimize::OneSided{}, optimize::Momentum{}},
      {"fzoo", optimize::Fzoo{}, optimize::Adam{}, "rademacher"},
      {"curved", optimize::Curved{}},
      {"line-search", optimize::LineSearch{}},
      {"low-rank", optimize::TwoPoint{}, optimize::Momentum{}, "low-rank"},
  };
  for (Method const& method : methods) {
    CAPTURE(method.title);
    random::AnyPerturbation const perturbation(method.perturbation);
    CHECK(bytes_of_steps(model, perturbation, method, runtime) < model_bytes / 50);
  }
}

TEST_CASE("directions with a shape allocate nothing of the model's size") {
  Model model;
  Runtime runtime(2);
  std::size_t const before = asked;
  tensor::SmallWeights const small(model, 0.5F);
  tensor::SomeLayers const layers(model, 1);
  constexpr std::size_t counts = 1 << 18; // of the magnitudes in a tensor, however large it is
  CHECK(asked - before < 3 * counts + model_bytes / 50);
  for (random::Shaper const* const shaper :
       {static_cast<random::Shaper const*>(&small), static_cast<random::Shaper const*>(&layers)}) {
    auto const perturbation = random::AnyPerturbation().shaped_by(*shaper);
    CHECK(bytes_of_steps(model, perturbation, {"two-point", optimize::TwoPoint{}}, runtime) <
          model_bytes / 50);
  }
  Method sphere{"sphere", optimize::TwoPoint{}};
  sphere.estimator.scale = [&](std::uint64_t seed) {
    return tensor::sphere_scale(model, random::AnyPerturbation(), seed, runtime);
  };
  CHECK(bytes_of_steps(model, random::AnyPerturbation(), sphere, runtime) < model_bytes / 50);
}

TEST_CASE("what HiZOO allocates is counted, so that the counting is seen to work") {
  Model const model;
  std::size_t const before = asked;
  optimize::HessianDiagonal const hessian(model);
  CHECK(asked - before >= model_bytes);
}
#endif
