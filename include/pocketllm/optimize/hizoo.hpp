// SPDX-License-Identifier: Apache-2.0
// HiZOO: directions that are shorter where the loss curves more. The only method here with a buffer of the
// model's size.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/core/runtime.hpp>
#include <pocketllm/core/split_mix.hpp>
#include <pocketllm/optimize/estimator.hpp>
#include <pocketllm/optimize/gradient.hpp>
#include <pocketllm/optimize/update_rule.hpp>
#include <pocketllm/random/any_perturbation.hpp>
#include <pocketllm/random/noise.hpp>
#include <pocketllm/random/shaper.hpp>
#include <pocketllm/tensor/visit.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace pocketllm::optimize {

/// The estimate D of the Hessian's diagonal, a float for each trained weight: as much memory again as an f32
/// model. As a Shaper it divides z by sqrt(D).
class HessianDiagonal final : public random::Shaper {
public:
  /// D is 1 in the beginning. Throws std::bad_alloc.
  template <tensor::HasTensors Model>
  explicit HessianDiagonal(Model const& model) {
    tensor::for_each_tensor(model, [&](auto const& w) {
      if (w.trained()) {
        tensors_.add(w.key(),
                     {w.rows(), w.cols(), w.shape().size() == 1, std::vector<float>(w.size(), 1.0F)});
      }
    });
  }

  [[nodiscard]] std::string_view name() const noexcept override { return "hessian"; }
  [[nodiscard]] float parameter() const noexcept override { return 1.0F; } // its value at the start

  void shape(random::Stream stream, std::size_t row, std::size_t block, std::size_t count,
             float* z) const noexcept override {
    if (Diagonal const* const d = tensors_.find(stream.tensor)) {
      float const* const values = d->values.data() + row * d->cols + block * random::block_cols;
      for (std::size_t i = 0; i < count; ++i) {
        z[i] /= std::sqrt(values[i]); // both are rounded alike everywhere
      }
    }
  }

  /// D <- (1 - smoothing) D + smoothing |curvature| D z^2, with z(seed) before it is divided.
  void learn(random::AnyPerturbation const& perturbation, std::uint64_t seed, float curvature,
             float smoothing, Runtime& runtime) {
    float const scale = smoothing * std::abs(curvature);
    tensors_.for_each([&](std::uint64_t key, Diagonal& d) {
      runtime.pool().parallel_for(d.rows, [&](std::size_t row, std::size_t) {
        std::array<float, random::block_cols> z;
        for (std::size_t first = 0; first < d.cols; first += z.size()) {
          std::size_t const count = std::min(z.size(), d.cols - first);
          random::fill_row<simd::native>(perturbation, {seed, key, d.vector}, row, first, count, z.data());
          float* const values = d.values.data() + row * d.cols + first;
          for (std::size_t i = 0; i < count; ++i) {
            values[i] *= std::fma(scale * z[i], z[i], 1.0F - smoothing);
          }
        }
      });
    });
  }

private:
  struct Diagonal {
    std::size_t rows, cols;
    bool vector;
    std::vector<float> values;
  };
  random::ByTensor<Diagonal> tensors_;
};

/// HiZOO's three points (Zhao et al., arXiv 2402.15173, algorithm 1), along z / sqrt(D). Of its two slopes
/// the second is the curvature |L+ + L- - 2 L| / 2 epsilon^2, which the rule Hizoo learns D from. Both have
/// the same seed, so a journal keeps the seeds of each step.
struct ThreePoint {
  /// What a journal calls it.
  static constexpr std::string_view name = "three-point";
  float epsilon = 1e-3F;  ///< from theta to a point, in units of z / sqrt(D)
  std::uint64_t seed = 0; ///< of the run

  template <class Self, class F>
  static void parameters(Self& self, F&& f) {
    f("epsilon", self.epsilon);
  }
  /// Two: the slope, and the curvature along the same z.
  [[nodiscard]] static constexpr std::size_t slopes() noexcept { return 2; }

  /// theta + epsilon z, theta - epsilon z and theta, along the z of output `step` of SplitMix64.
  [[nodiscard]] std::array<random::Point, 3> points(std::uint64_t step) const noexcept {
    std::uint64_t const direction = split_mix(seed, step);
    return {random::Point{direction, epsilon}, random::Point{direction, -epsilon}, random::origin};
  }

  /// Throws Error unless there are three points and three losses.
  [[nodiscard]] Gradient gradient(std::span<random::Point const> points,
                                  std::span<float const> losses) const {
    require(points.size() == 3 && losses.size() == 3, "ThreePoint needs three points and three losses, not ",
            points.size(), " and ", losses.size());
    float const curvature = std::abs(losses[0] + losses[1] - 2.0F * losses[2]) / (2.0F * epsilon * epsilon);
    return {{points[0].seed, (losses[0] - losses[1]) / (2.0F * epsilon)}, {points[0].seed, curvature}};
  }
};

/// HiZOO's step: theta <- theta - rate slope z / sqrt(D), with the D that the points were made with, then D
/// learns (HessianDiagonal). It takes slopes from ThreePoint, and z from a perturbation that is shaped by the
/// same `hessian`, whose `directions` are those before shaping.
struct Hizoo {
  /// What a journal calls it.
  static constexpr std::string_view name = "hizoo";
  float learning_rate = 1e-6F;             ///< a Trainer sets it before each step, by its Schedule
  float smoothing = 1e-6F;                 ///< alpha, the paper's for large models
  HessianDiagonal* hessian = nullptr;      ///< the D that shapes the points; must outlive the rule, not null
  random::AnyPerturbation directions = {}; ///< the perturbation of the points without its shaper

  template <class Self, class F>
  static void parameters(Self& self, F&& f) {
    f("smoothing", self.smoothing);
  }

  /// Throws Error unless there are ThreePoint's two slopes, and a diagonal.
  template <tensor::HasTensors Model, random::Perturbation P>
  void operator()(Model& model, P const& perturbation, Gradient const& gradient, Runtime& runtime) {
    require(gradient.size() == 2 && hessian != nullptr, "Hizoo needs ThreePoint's two slopes, not ",
            gradient.size(), ", and a HessianDiagonal");
    Sgd{learning_rate, 0.0F}(model, perturbation, {gradient.front()}, runtime);
    hessian->learn(directions, gradient[1].seed, gradient[1].slope, smoothing, runtime);
  }

  /// What D learns from a step that the weights have already.
  void remember(Gradient const& gradient) {
    require(gradient.size() == 2 && hessian != nullptr, "Hizoo needs two slopes and a HessianDiagonal");
    Runtime runtime;
    hessian->learn(directions, gradient[1].seed, gradient[1].slope, smoothing, runtime);
  }
};

static_assert(Estimator<ThreePoint> && UpdateRule<Hizoo, tensor::detail::OneTensor, random::Gaussian>);
static_assert(!MovingRule<Hizoo>); // D changes between two steps

} // namespace pocketllm::optimize
