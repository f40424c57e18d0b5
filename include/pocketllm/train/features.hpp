// SPDX-License-Identifier: Apache-2.0
// The vectors that a classification head sees, made once for all examples: then a step of the head alone
// costs microseconds.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/core/lanes.hpp>
#include <pocketllm/core/runtime.hpp>
#include <pocketllm/layers/linear.hpp>
#include <pocketllm/models/batch.hpp>
#include <pocketllm/models/pooling.hpp>
#include <pocketllm/random/perturbed.hpp>
#include <pocketllm/train/evaluate.hpp>
#include <pocketllm/train/objective.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

namespace pocketllm::train {

/// Vectors [examples, width] and the class of each.
struct Features {
  std::size_t width = 0;           ///< numbers of a vector
  std::vector<float> values;       ///< [examples, width]
  std::vector<std::size_t> labels; ///< class indices

  /// Number of examples.
  [[nodiscard]] std::size_t size() const noexcept { return labels.size(); }
  /// The vector of example i, to be written to.
  [[nodiscard]] std::span<float> row(std::size_t i) noexcept {
    return std::span(values).subspan(i * width, width);
  }
  /// The vector of example i.
  [[nodiscard]] std::span<float const> row(std::size_t i) const noexcept {
    return std::span(values).subspan(i * width, width);
  }
};

/// What `model` makes of all examples by `pooling`, with its weights as they are, `batch_size` of similar
/// length at a time.
template <class Objective, class Model>
[[nodiscard]] Features make_features(Objective const& objective, Model const& model, models::Pooling pooling,
                                     std::span<typename Objective::Example const> examples,
                                     std::size_t batch_size, Runtime& runtime) {
  std::vector<std::size_t> order = order_by_length(examples);
  std::size_t const width = model.config().encoder.width;
  Features features{width, std::vector<float>(examples.size() * width),
                    std::vector<std::size_t>(examples.size())};
  for (std::size_t begin = 0; begin < order.size(); begin += batch_size) {
    auto const indices = std::span(order).subspan(begin, std::min(batch_size, order.size() - begin));
    auto const batch = objective.batch(examples, indices);
    Workspace::Frame const frame(runtime.workspace());
    Lanes<float const> const rows = model.pooled(batch.tokens, pooling, random::unperturbed(), runtime);
    for (std::size_t r = 0; r < indices.size(); ++r) {
      std::copy_n(rows.row(0, r), width, features.row(indices[r]).begin());
      features.labels[indices[r]] = batch.labels[r];
    }
  }
  return features;
}

/// Mean and deviation of each number of a vector over all examples; x = (x - mean) / deviation makes features
/// of equal size, without which a step along random directions would have to suit the largest.
struct Standardization {
  std::vector<float> mean, ///< [width]
      deviation;           ///< [width]; each at least a tenth of their root mean square

  /// Throws Error when there are no examples.
  explicit Standardization(Features const& features) : mean(features.width), deviation(features.width) {
    require(features.size() > 0, "there are no examples to make features of");
    std::vector<double> sum(features.width), squares(features.width);
    double const count = static_cast<double>(features.size());
    for (std::size_t i = 0; i < features.size(); ++i) {
      for (std::size_t k = 0; k < features.width; ++k) {
        sum[k] += static_cast<double>(features.row(i)[k]) / count;
      }
    }
    for (std::size_t i = 0; i < features.size(); ++i) {
      for (std::size_t k = 0; k < features.width; ++k) {
        double const difference = static_cast<double>(features.row(i)[k]) - sum[k];
        squares[k] += difference * difference / count;
      }
    }
    // Some numbers are the same for all texts but for rounding (all-MiniLM-L6-v2 has one). Divided by their
    // own deviation they would get weights of any size, which shows as soon as the encoder changes.
    double const total = std::accumulate(squares.begin(), squares.end(), 0.0);
    double const floor = std::max(0.1 * std::sqrt(total / static_cast<double>(features.width)), 1e-12);
    for (std::size_t k = 0; k < features.width; ++k) {
      mean[k] = static_cast<float>(sum[k]);
      deviation[k] = static_cast<float>(std::max(std::sqrt(squares[k]), floor));
    }
  }

  /// Standardises features of the same width in place: those measured, or of other texts.
  void apply(Features& features) const {
    for (std::size_t i = 0; i < features.size(); ++i) {
      for (std::size_t k = 0; k < features.width; ++k) {
        features.row(i)[k] = (features.row(i)[k] - mean[k]) / deviation[k];
      }
    }
  }
};

/// A model of nothing but the layer on top: score = W x + b, W [classes, width].
class LinearClassifier {
public:
  /// All weights are 0.
  LinearClassifier(std::size_t classes, std::size_t width) : layer("classifier", classes, width) {
    layer.weight.allocate();
    layer.bias.allocate();
    std::fill_n(layer.weight.mutable_data(), layer.weight.size(), 0.0F);
    std::fill_n(layer.bias.mutable_data(), layer.bias.size(), 0.0F);
  }

  layers::Linear<float> layer; ///< "classifier.weight" [classes, width] and "classifier.bias" [classes]

  /// Scores [lanes, rows, classes] of the rows of X [1, rows, width].
  template <random::Perturbation P>
  [[nodiscard]] Lanes<float> scores(Lanes<float const> x, random::Perturbed<P> const& at,
                                    Runtime& runtime) const {
    Lanes<float> const y = take_lanes(runtime.workspace(), at.lanes(), x.rows, layer.weight.rows());
    tensor::product(x, layer.weight, &layer.bias, at, y, runtime);
    return y;
  }

  /// Writes the layer into one of the same shape.
  template <layers::Weights T>
  void copy_to(layers::Linear<T>& other) const {
    require(other.weight.shape() == layer.weight.shape(), other.weight.name(), " is not of the head's shape");
    auto* const weight = other.weight.mutable_data();
    using Stored = std::remove_pointer_t<decltype(other.weight.mutable_data())>;
    std::transform(layer.weight.data(), layer.weight.data() + layer.weight.size(), weight,
                   [](float value) { return from_float<Stored>(value); });
    std::copy_n(layer.bias.data(), layer.bias.size(), other.bias.mutable_data());
  }

  /// Calls f(tensor) for weight and bias.
  template <class F>
  void for_each_tensor(F&& f) {
    layers::Linear<float>::visit(layer, f);
  }
  /// The same for tensors that are only read.
  template <class F>
  void for_each_tensor(F&& f) const {
    layers::Linear<float>::visit(layer, f);
  }
};

/// The objective of a LinearClassifier on features that are there.
class FeatureClassification {
public:
  /// The vector of a text.
  struct Example {
    std::span<float const> values; ///< [width]; must outlive it
    std::size_t label = 0;         ///< class index
  };
  /// Some vectors, row by row.
  struct Batch {
    std::size_t width = 0;           ///< numbers of a vector
    std::vector<float> values;       ///< [examples, width]
    std::vector<std::size_t> labels; ///< class indices
  };

  /// Those of `examples` with the numbers `indices`, in the order of these.
  [[nodiscard]] Batch batch(std::span<Example const> examples, std::span<std::size_t const> indices) const {
    Batch batch;
    for (std::size_t const index : indices) {
      batch.width = examples[index].values.size();
      batch.values.insert(batch.values.end(), examples[index].values.begin(), examples[index].values.end());
      batch.labels.push_back(examples[index].label);
    }
    return batch;
  }

  /// The mean cross-entropy at each point.
  template <random::Perturbation P>
  [[nodiscard]] std::vector<float> operator()(LinearClassifier const& model, Batch const& batch,
                                              random::Perturbed<P> const& at, Runtime& runtime) const {
    Workspace::Frame const frame(runtime.workspace());
    Lanes<float const> const x{batch.values.data(), 1, batch.labels.size(), batch.width};
    return mean_cross_entropy(model.scores(x, at, runtime), batch.labels);
  }
};
static_assert(Objective<FeatureClassification, LinearClassifier>);

} // namespace pocketllm::train
