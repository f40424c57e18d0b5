// SPDX-License-Identifier: Apache-2.0
// A classification head before the model is trained: from class means, and by steps on features alone.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/core/runtime.hpp>
#include <pocketllm/optimize/estimator.hpp>
#include <pocketllm/optimize/schedule.hpp>
#include <pocketllm/optimize/update_rule.hpp>
#include <pocketllm/train/batches.hpp>
#include <pocketllm/train/features.hpp>
#include <pocketllm/train/stop.hpp>
#include <pocketllm/train/trainer.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <utility>
#include <vector>

namespace pocketllm::train {

namespace detail {

/// The mean vector of each class, [classes, width]. Throws Error when a class has no example.
[[nodiscard]] inline std::vector<std::vector<double>> class_means(Features const& features,
                                                                  std::size_t classes) {
  std::vector<std::vector<double>> means(classes, std::vector<double>(features.width));
  std::vector<std::size_t> counts(classes);
  for (std::size_t i = 0; i < features.size(); ++i) {
    ++counts.at(features.labels[i]);
    for (std::size_t k = 0; k < features.width; ++k) {
      means[features.labels[i]][k] += static_cast<double>(features.row(i)[k]);
    }
  }
  for (std::size_t c = 0; c < classes; ++c) {
    require(counts[c] > 0, "class ", c, " has no example; give at least one of each class");
    for (double& value : means[c]) {
      value /= static_cast<double>(counts[c]);
    }
  }
  return means;
}

} // namespace detail

namespace detail {

/// Scores -|x_i - mu_c|^2 / 2 of all examples, [examples, classes], the own class's mean taken without the
/// example: else classes of few examples look perfectly apart.
[[nodiscard]] inline std::vector<double> left_out_scores(Features const& features,
                                                         std::vector<std::vector<double>> const& means) {
  std::vector<double> counts(means.size()), scores;
  for (std::size_t const label : features.labels) {
    counts[label] += 1.0;
  }
  for (std::size_t i = 0; i < features.size(); ++i) {
    for (std::size_t c = 0; c < means.size(); ++c) {
      double distance = 0.0;
      for (std::size_t k = 0; k < features.width; ++k) {
        double const difference = static_cast<double>(features.row(i)[k]) - means[c][k];
        distance += difference * difference;
      }
      // x - (n mu - x) / (n - 1) = n / (n - 1) (x - mu)
      double const others = std::max(counts[c] - 1.0, 1.0);
      double const grown = features.labels[i] == c ? counts[c] / others : 1.0;
      scores.push_back(-0.5 * distance * grown * grown);
    }
  }
  return scores;
}

/// The temperature 2^(i/2) of the least mean loss of those scores.
[[nodiscard]] inline double best_temperature(std::vector<double> const& scores,
                                             std::span<std::size_t const> labels) {
  std::size_t const classes = scores.size() / labels.size();
  std::vector<float> row(classes);
  double best = 1.0, least = std::numeric_limits<double>::infinity();
  for (int i = -40; i <= 40; ++i) { // from 1e-6 to 1e6: features of any size
    double const tau = std::exp2(0.5 * i);
    double loss = 0.0;
    for (std::size_t e = 0; e < labels.size(); ++e) {
      for (std::size_t c = 0; c < classes; ++c) {
        row[c] = static_cast<float>(tau * scores[e * classes + c]);
      }
      loss += cross_entropy(row, labels[e]);
    }
    if (loss < least) {
      least = loss;
      best = tau;
    }
  }
  return best;
}

} // namespace detail

/// The class whose mean is nearest, as a linear layer: with the mean mu_c of each class and m of these means,
/// score_c(x) = tau ((x - m) . (mu_c - m) - |mu_c - m|^2 / 2), which is -tau |x - mu_c|^2 / 2 but for what
/// all classes have in common. Of the temperatures tau = 2^(i/2) the one of the least loss on the features is
/// taken, each example being left out of its class's mean. Forward passes only; the head of prototypical
/// networks (Snell et al., arXiv 1703.05175). Throws Error when a class has no example.
[[nodiscard]] inline LinearClassifier class_mean_head(Features const& features, std::size_t classes) {
  std::vector<std::vector<double>> rows = detail::class_means(features, classes);
  double const tau = detail::best_temperature(detail::left_out_scores(features, rows), features.labels);
  LinearClassifier head(classes, features.width);
  float* const weight = head.layer.weight.mutable_data();
  float* const bias = head.layer.bias.mutable_data();
  std::vector<double> middle(features.width);
  for (auto const& mean : rows) {
    for (std::size_t k = 0; k < features.width; ++k) {
      middle[k] += mean[k] / static_cast<double>(classes);
    }
  }
  for (std::size_t c = 0; c < classes; ++c) {
    double shift = 0.0;
    for (std::size_t k = 0; k < features.width; ++k) {
      double const direction = rows[c][k] - middle[k];
      weight[c * features.width + k] = static_cast<float>(tau * direction);
      shift += direction * (middle[k] + direction / 2.0);
    }
    bias[c] = static_cast<float>(-tau * shift);
  }
  return head;
}

/// How a head is trained on features. The rate suits standardised features: it falls linearly to zero.
struct HeadTraining {
  std::uint64_t steps = 3000;   ///< two forward passes of a batch each
  float learning_rate = 1e-3F;  ///< of the first step
  float epsilon = 1e-3F;        ///< distance of the two points from the weights
  float weight_decay = 0.0F;    ///< of the weights for standardised features
  std::uint64_t seed = 0;       ///< of directions and batches
  std::size_t batch_size = 256; ///< or all, where there are fewer
};

/// Trains `head` on `features` by two-point steps in the space of standardised features, and gives the head
/// back in that of the features as they are: W (x - mean) / deviation + b = (W / deviation) x + (b - W mean /
/// deviation).
template <random::Perturbation P>
Outcome train_head(LinearClassifier& head, Features features, HeadTraining const& options,
                   P const& perturbation, StopCondition const& stop, Runtime& runtime) {
  Standardization const standard(features);
  standard.apply(features);
  std::size_t const classes = head.layer.weight.rows(), width = features.width;
  auto const change = [&](bool into) { // the space of the layer
    float* const w = head.layer.weight.mutable_data();
    float* const b = head.layer.bias.mutable_data();
    for (std::size_t c = 0; c < classes; ++c) {
      double shift = 0.0;
      for (std::size_t k = 0; k < width; ++k) {
        float& value = w[c * width + k];
        value = into ? value : value / standard.deviation[k];
        shift += static_cast<double>(value) * static_cast<double>(standard.mean[k]);
        value = into ? value * standard.deviation[k] : value;
      }
      b[c] += static_cast<float>(into ? shift : -shift);
    }
  };
  change(true);
  std::vector<FeatureClassification::Example> examples;
  for (std::size_t i = 0; i < features.size(); ++i) {
    examples.push_back({features.row(i), features.labels[i]});
  }
  BatchOrder order(std::vector<std::size_t>(features.size(), 1),
                   {.batch_size = std::min(options.batch_size, features.size()), .seed = options.seed});
  optimize::Schedule const schedule{optimize::Schedule::Shape::linear, options.learning_rate, options.steps,
                                    0};
  Trainer trainer(head, FeatureClassification{}, std::span<FeatureClassification::Example const>(examples),
                  perturbation, optimize::TwoPoint{options.epsilon, options.seed},
                  optimize::Sgd{.weight_decay = options.weight_decay}, schedule, std::move(order), runtime);
  Outcome const outcome = trainer.run(0, stop, {});
  change(false);
  return outcome;
}

} // namespace pocketllm::train
