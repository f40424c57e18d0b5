// SPDX-License-Identifier: Apache-2.0
// RoBERTa as loops in double, one sequence at a time: the twin for shapes too large for golden files.
#pragma once

#include <pocketllm/models/roberta.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace naive {

using namespace pocketllm;
using Matrix = std::vector<std::vector<double>>;

class Roberta {
public:
  explicit Roberta(models::Roberta<float> const& model) : config_(model.config()) {
    model.for_each_tensor([&](auto const& w) { weights_.emplace(w.name(), &w); });
  }

  /// Scores [tokens, vocabulary] of all words at all tokens of a sequence.
  [[nodiscard]] Matrix word_scores(std::span<std::int32_t const> ids) const {
    Matrix x = embed(ids);
    for (std::size_t i = 0; i < config_.encoder.layers; ++i) {
      std::string const layer = "roberta.encoder.layer." + std::to_string(i);
      Matrix const attended =
          linear(attend(x, layer + ".attention.self."), layer + ".attention.output.dense");
      x = norm(sum(x, attended), layer + ".attention.output.LayerNorm");
      Matrix const forward = linear(gelu(linear(x, layer + ".intermediate.dense")), layer + ".output.dense");
      x = norm(sum(x, forward), layer + ".output.LayerNorm");
    }
    Matrix const h = norm(gelu(linear(x, "lm_head.dense")), "lm_head.layer_norm");
    std::string const table =
        config_.tied_head ? "roberta.embeddings.word_embeddings.weight" : "lm_head.decoder.weight";
    return product(h, table, config_.tied_head ? "lm_head.bias" : "lm_head.decoder.bias");
  }

private:
  [[nodiscard]] double weight(std::string const& name, std::size_t row, std::size_t col) const {
    return static_cast<double>(weights_.at(name)->row(row)[col]);
  }

  [[nodiscard]] Matrix embed(std::span<std::int32_t const> ids) const {
    Matrix x;
    std::int32_t position = config_.pad_id;
    for (std::int32_t const id : ids) {
      std::int32_t const place = id == config_.pad_id ? config_.pad_id : ++position;
      auto& row = x.emplace_back();
      for (std::size_t i = 0; i < config_.encoder.width; ++i) {
        row.push_back(
            weight("roberta.embeddings.word_embeddings.weight", static_cast<std::size_t>(id), i) +
            weight("roberta.embeddings.position_embeddings.weight", static_cast<std::size_t>(place), i) +
            weight("roberta.embeddings.token_type_embeddings.weight", 0, i));
      }
    }
    return norm(std::move(x), "roberta.embeddings.LayerNorm");
  }

  [[nodiscard]] Matrix product(Matrix const& x, std::string const& matrix, std::string const& bias) const {
    tensor::Tensor<float> const& w = *weights_.at(matrix);
    Matrix y;
    for (auto const& row : x) {
      auto& out = y.emplace_back();
      for (std::size_t o = 0; o < w.rows(); ++o) {
        double total = weight(bias, 0, o);
        for (std::size_t i = 0; i < row.size(); ++i) {
          total += row[i] * static_cast<double>(w.row(o)[i]);
        }
        out.push_back(total);
      }
    }
    return y;
  }
  [[nodiscard]] Matrix linear(Matrix const& x, std::string const& name) const {
    return product(x, name + ".weight", name + ".bias");
  }

  [[nodiscard]] Matrix norm(Matrix x, std::string const& name) const {
    for (auto& row : x) {
      double mean = 0.0, variance = 0.0;
      double const count = static_cast<double>(row.size());
      for (double const v : row) {
        mean += v / count;
      }
      for (double const v : row) {
        variance += (v - mean) * (v - mean) / count;
      }
      double const scale = 1.0 / std::sqrt(variance + static_cast<double>(config_.encoder.norm_epsilon));
      for (std::size_t i = 0; i < row.size(); ++i) {
        row[i] = (row[i] - mean) * scale * weight(name + ".weight", 0, i) + weight(name + ".bias", 0, i);
      }
    }
    return x;
  }

  [[nodiscard]] Matrix attend(Matrix const& x, std::string const& name) const {
    Matrix const q = linear(x, name + "query"), k = linear(x, name + "key"), v = linear(x, name + "value");
    std::size_t const width = config_.encoder.width / config_.encoder.heads;
    Matrix y(x.size(), std::vector<double>(config_.encoder.width));
    for (std::size_t i = 0; i < x.size(); ++i) {
      for (std::size_t c = 0; c < config_.encoder.width; c += width) {
        std::vector<double> share(x.size());
        double total = 0.0;
        for (std::size_t j = 0; j < x.size(); ++j) {
          double score = 0.0;
          for (std::size_t e = c; e < c + width; ++e) {
            score += q[i][e] * k[j][e];
          }
          total += share[j] = std::exp(score / std::sqrt(static_cast<double>(width)));
        }
        for (std::size_t j = 0; j < x.size(); ++j) {
          for (std::size_t e = c; e < c + width; ++e) {
            y[i][e] += share[j] / total * v[j][e];
          }
        }
      }
    }
    return y;
  }

  static Matrix gelu(Matrix x) {
    for (auto& row : x) {
      for (double& v : row) {
        v *= 0.5 * (1.0 + std::erf(v * std::sqrt(0.5)));
      }
    }
    return x;
  }
  static Matrix sum(Matrix x, Matrix const& y) {
    for (std::size_t i = 0; i < x.size(); ++i) {
      std::transform(x[i].begin(), x[i].end(), y[i].begin(), x[i].begin(), std::plus<>());
    }
    return x;
  }

  models::RobertaConfig config_;
  std::map<std::string, tensor::Tensor<float> const*> weights_;
};

} // namespace naive
