// SPDX-License-Identifier: Apache-2.0
// The transformer encoder of BERT and RoBERTa: layers whose LayerNorm stands behind the residual.
#pragma once

#include <pocketllm/layers/attention.hpp>
#include <pocketllm/layers/layer_norm.hpp>
#include <pocketllm/layers/linear.hpp>
#include <pocketllm/models/batch.hpp>

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace pocketllm::models {

/// Sizes of an encoder.
struct EncoderShape {
  std::size_t layers = 0, width = 0, heads = 0, feed_forward = 0;
  float norm_epsilon = 1e-5F;
};

/// One layer: x = norm(x + attention(x)); x = norm(x + down(gelu(up(x)))).
template <tensor::WeightStorage T>
struct EncoderLayer {
  layers::Linear<T> query, key, value, attention_output;
  layers::LayerNorm attention_norm;
  layers::Linear<T> up, down;
  layers::LayerNorm output_norm;

  EncoderLayer(std::string const& name, EncoderShape const& s)
      : query(name + ".attention.self.query", s.width, s.width),
        key(name + ".attention.self.key", s.width, s.width),
        value(name + ".attention.self.value", s.width, s.width),
        attention_output(name + ".attention.output.dense", s.width, s.width),
        attention_norm(name + ".attention.output.LayerNorm", s.width, s.norm_epsilon),
        up(name + ".intermediate.dense", s.feed_forward, s.width),
        down(name + ".output.dense", s.width, s.feed_forward),
        output_norm(name + ".output.LayerNorm", s.width, s.norm_epsilon) {}

  /// X [lanes, rows, width] in place.
  template <random::Perturbation P>
  void operator()(Lanes<float> x, Batch const& batch, std::size_t heads, random::Perturbed<P> const& at,
                  Runtime& runtime) const {
    Workspace::Frame const frame(runtime.workspace());
    Lanes<float> const y = take_lanes(runtime.workspace(), x.lanes, x.rows, x.cols);
    attend(x, y, batch, heads, at, runtime);
    attention_norm(x, y, at, runtime);
    feed_forward(x, y, at, runtime);
    output_norm(x, y, at, runtime);
  }

  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    for (auto* linear : {&self.query, &self.key, &self.value, &self.attention_output}) {
      layers::Linear<T>::visit(*linear, f);
    }
    layers::LayerNorm::visit(self.attention_norm, f);
    layers::Linear<T>::visit(self.up, f);
    layers::Linear<T>::visit(self.down, f);
    layers::LayerNorm::visit(self.output_norm, f);
  }

private:
  /// Y = attention(X)
  template <random::Perturbation P>
  void attend(Lanes<float const> x, Lanes<float> y, Batch const& batch, std::size_t heads,
              random::Perturbed<P> const& at, Runtime& runtime) const {
    Workspace::Frame const frame(runtime.workspace());
    Lanes<float> const q = take_lanes(runtime.workspace(), x.lanes, x.rows, x.cols);
    Lanes<float> const k = take_lanes(runtime.workspace(), x.lanes, x.rows, x.cols);
    Lanes<float> const v = y; // its values are used up before the output is written
    {
      Workspace::Frame const packed(runtime.workspace());
      tensor::products(tensor::pack(x, runtime), {query.into(q), key.into(k), value.into(v)}, at, runtime);
    }
    layers::attention(q, k, v, batch.offsets(), heads, runtime);
    tensor::products(tensor::pack(Lanes<float const>(q), runtime), {attention_output.into(y)}, at, runtime);
  }

  /// Y = down(gelu(up(X)))
  template <random::Perturbation P>
  void feed_forward(Lanes<float const> x, Lanes<float> y, random::Perturbed<P> const& at,
                    Runtime& runtime) const {
    Workspace::Frame const frame(runtime.workspace());
    tensor::Packed const h = tensor::take_packed(runtime.workspace(), x.lanes, x.rows, up.weight.rows());
    tensor::products(tensor::pack(x, runtime), {up.into(h, simd::Activation::gelu)}, at, runtime);
    tensor::products(h, {down.into(y)}, at, runtime);
  }
};

/// A stack of layers.
template <tensor::WeightStorage T>
struct Encoder {
  std::vector<EncoderLayer<T>> layers;
  std::size_t heads = 0;

  /// Tensors are called `name`.0..., `name`.1...
  Encoder(std::string const& name, EncoderShape const& shape) : heads(shape.heads) {
    for (std::size_t i = 0; i < shape.layers; ++i) {
      layers.emplace_back(name + "." + std::to_string(i), shape);
    }
  }

  /// X [lanes, rows, width] in place; `observe(i, X)` sees it before layer i, and at last as i =
  /// layers.size().
  template <random::Perturbation P, class Observer>
  void operator()(Lanes<float> x, Batch const& batch, random::Perturbed<P> const& at, Runtime& runtime,
                  Observer&& observe) const {
    for (std::size_t i = 0; i < layers.size(); ++i) {
      observe(i, Lanes<float const>(x));
      layers[i](x, batch, heads, at, runtime);
    }
    observe(layers.size(), Lanes<float const>(x));
  }

  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    for (auto& layer : self.layers) {
      EncoderLayer<T>::visit(layer, f);
    }
  }
};

/// The observer that looks at nothing.
struct NoObserver {
  void operator()(std::size_t, Lanes<float const>) const noexcept {}
};

} // namespace pocketllm::models
