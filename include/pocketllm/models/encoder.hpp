// SPDX-License-Identifier: Apache-2.0
// The transformer encoder of BERT and RoBERTa: layers whose LayerNorm stands behind the residual.
#pragma once

#include <pocketllm/layers/attention.hpp>
#include <pocketllm/layers/layer_norm.hpp>
#include <pocketllm/layers/linear.hpp>
#include <pocketllm/models/batch.hpp>
#include <pocketllm/models/frozen_bottom.hpp>
#include <pocketllm/models/gather.hpp>
#include <pocketllm/models/past.hpp>

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace pocketllm::models {

/// Sizes of an encoder.
struct EncoderShape {
  std::size_t layers = 0,     ///< num_hidden_layers of config.json
      width = 0,              ///< numbers of a hidden state: hidden_size
      heads = 0,              ///< num_attention_heads, a divisor of the width
      feed_forward = 0;       ///< numbers between `up` and `down` of a layer: intermediate_size
  float norm_epsilon = 1e-5F; ///< added to the variance: layer_norm_eps
};

/// One layer: x = norm(x + attention(x)); x = norm(x + down(gelu(up(x)))).
template <layers::Weights T>
struct EncoderLayer {
  layers::Linear<T> query,          ///< `name`.attention.self.query [width, width]
      key,                          ///< `name`.attention.self.key [width, width]
      value,                        ///< `name`.attention.self.value [width, width]
      attention_output;             ///< `name`.attention.output.dense [width, width]
  layers::LayerNorm attention_norm; ///< `name`.attention.output.LayerNorm
  layers::Linear<T> up,             ///< `name`.intermediate.dense [feed_forward, width]
      down;                         ///< `name`.output.dense [width, feed_forward]
  layers::LayerNorm output_norm;    ///< `name`.output.LayerNorm

  /// The tensors have no values yet.
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
  void operator()(Lanes<float> x, Batch const& batch, LayerPast const& past, std::size_t heads,
                  random::Perturbed<P> const& at, Runtime& runtime) const {
    finish(x, x, batch.offsets(), batch, past, heads, at, runtime);
  }

  /// Y [lanes, rows, width] of X [1, rows, width], which all points share, without a past.
  template <random::Perturbation P>
  void from_shared(Lanes<float const> x, Lanes<float> y, Batch const& batch, std::size_t heads,
                   random::Perturbed<P> const& at, Runtime& runtime) const {
    attend(x, x, batch.offsets(), y, batch, {}, heads, at, runtime);
    attention_norm(y, x, at, runtime);
    mix(y, at, runtime);
  }

  /// Y [lanes, rows.size(), width]: what becomes of the rows `rows` of X [lanes or 1, rows, width], in
  /// ascending order. The other rows are only attended to, which saves most of the work.
  template <random::Perturbation P>
  void at_rows(Lanes<float const> x, std::span<std::size_t const> rows, Lanes<float> y, Batch const& batch,
               LayerPast const& past, std::size_t heads, random::Perturbed<P> const& at,
               Runtime& runtime) const {
    std::vector<std::size_t> queries; // how many of `rows` lie before each sequence
    for (std::size_t const offset : batch.offsets()) {
      queries.push_back(
          static_cast<std::size_t>(std::lower_bound(rows.begin(), rows.end(), offset) - rows.begin()));
    }
    copy_rows(x, rows, y);
    finish(y, x, queries, batch, past, heads, at, runtime);
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
  /// X = norm(X + attention(X, context)); X = norm(X + feed_forward(X)). The context may be of one lane.
  template <random::Perturbation P>
  void finish(Lanes<float> x, Lanes<float const> context, std::span<std::size_t const> queries,
              Batch const& batch, LayerPast const& past, std::size_t heads, random::Perturbed<P> const& at,
              Runtime& runtime) const {
    {
      Workspace::Frame const frame(runtime.workspace());
      Lanes<float> const y = take_lanes(runtime.workspace(), x.lanes, x.rows, x.cols);
      attend(x, context, queries, y, batch, past, heads, at, runtime);
      attention_norm(x, y, at, runtime);
    }
    mix(x, at, runtime);
  }

  /// X = norm(X + feed_forward(X))
  template <random::Perturbation P>
  void mix(Lanes<float> x, random::Perturbed<P> const& at, Runtime& runtime) const {
    Workspace::Frame const frame(runtime.workspace());
    Lanes<float> const y = take_lanes(runtime.workspace(), x.lanes, x.rows, x.cols);
    feed_forward(x, y, at, runtime);
    output_norm(x, y, at, runtime);
  }

  /// Y [lanes, queries, width] = attention of the rows of X to what stands before and to the rows of
  /// `context`, which may be X itself; all but Y may be of one lane.
  template <random::Perturbation P>
  void attend(Lanes<float const> x, Lanes<float const> context, std::span<std::size_t const> queries,
              Lanes<float> y, Batch const& batch, LayerPast const& past, std::size_t heads,
              random::Perturbed<P> const& at, Runtime& runtime) const {
    Workspace& workspace = runtime.workspace();
    Workspace::Frame const frame(workspace);
    Lanes<float> const q = take_lanes(workspace, at.lanes(), x.rows, x.cols);
    auto const [k, v] = past.take_own(workspace, at.lanes(), context.rows, context.cols);
    {
      Workspace::Frame const packed(workspace);
      tensor::Packed const c = tensor::pack(context, runtime);
      if (x.data == context.data) {
        tensor::products(c, {query.into(q), key.into(k), value.into(v)}, at, runtime);
      } else {
        tensor::products(c, {key.into(k), value.into(v)}, at, runtime);
        tensor::products(tensor::pack(x, runtime), {query.into(q)}, at, runtime);
      }
    }
    layers::attention(q, queries, Lanes<float const>(k), Lanes<float const>(v), batch.offsets(), heads,
                      runtime, past.before);
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
template <layers::Weights T>
struct Encoder {
  std::vector<EncoderLayer<T>> layers; ///< from the embeddings up
  std::size_t heads = 0;               ///< of the attention of every layer

  /// Tensors are called `name`.0..., `name`.1...
  Encoder(std::string const& name, EncoderShape const& shape) : heads(shape.heads) {
    for (std::size_t i = 0; i < shape.layers; ++i) {
      layers.emplace_back(name + "." + std::to_string(i), shape);
    }
  }

  /// X [lanes, rows, width] in place; `observe(i, X)` sees it before layer i, and at last as i =
  /// layers.size().
  template <random::Perturbation P, class Observer>
  void operator()(Lanes<float> x, Batch const& batch, Past const& past, random::Perturbed<P> const& at,
                  Runtime& runtime, Observer&& observe) const {
    for (std::size_t i = 0; i < layers.size(); ++i) {
      observe(i, Lanes<float const>(x));
      layers[i](x, batch, past.at(i), heads, at, runtime);
    }
    observe(layers.size(), Lanes<float const>(x));
  }

  /// The layers `first` to `end` on X [lanes, rows, width] in place.
  template <random::Perturbation P>
  void range(std::size_t first, std::size_t end, Lanes<float> x, Batch const& batch, Past const& past,
             random::Perturbed<P> const& at, Runtime& runtime) const {
    for (std::size_t i = first; i < end; ++i) {
      layers[i](x, batch, past.at(i), heads, at, runtime);
    }
  }

  /// What all layers make of a batch whose `bottom`, not of rows only, is there: [lanes, tokens, width] in
  /// the workspace, or the bottom's one lane when there is no layer above it.
  template <random::Perturbation P>
  [[nodiscard]] Lanes<float const> above(Bottom const& bottom, Batch const& batch,
                                         random::Perturbed<P> const& at, Runtime& runtime) const {
    return above(bottom, layers.size(), batch, at, runtime);
  }

  /// Y [lanes, rows.size(), width]: the rows `rows` of what the layers make of X. In ascending order they
  /// need only a part of the last layer. X is overwritten.
  template <random::Perturbation P>
  void at_rows(Lanes<float> x, std::span<std::size_t const> rows, Lanes<float> y, Batch const& batch,
               Past const& past, random::Perturbed<P> const& at, Runtime& runtime) const {
    bool const part = !layers.empty() && std::is_sorted(rows.begin(), rows.end());
    range(0, layers.size() - (part ? 1 : 0), x, batch, past, at, runtime);
    if (part) {
      layers.back().at_rows(x, rows, y, batch, past.at(layers.size() - 1), heads, at, runtime);
    } else {
      copy_rows(x, rows, y);
    }
  }

  /// The same of a batch whose `bottom` is there.
  template <random::Perturbation P>
  void at_rows(Bottom const& bottom, std::span<std::size_t const> rows, Lanes<float> y, Batch const& batch,
               random::Perturbed<P> const& at, Runtime& runtime) const {
    if (bottom.at_rows) {
      return copy_shared(bottom.states, y);
    }
    bool const part = bottom.layers < layers.size() && std::is_sorted(rows.begin(), rows.end());
    Workspace::Frame const frame(runtime.workspace());
    Lanes<float const> const x = above(bottom, layers.size() - (part ? 1 : 0), batch, at, runtime);
    if (part) {
      layers.back().at_rows(x, rows, y, batch, {}, heads, at, runtime);
    } else {
      copy_rows(x, rows, y);
    }
  }

  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    for (auto& layer : self.layers) {
      EncoderLayer<T>::visit(layer, f);
    }
  }

private:
  /// What the layers up to `end` make of the bottom.
  template <random::Perturbation P>
  [[nodiscard]] Lanes<float const> above(Bottom const& bottom, std::size_t end, Batch const& batch,
                                         random::Perturbed<P> const& at, Runtime& runtime) const {
    if (bottom.layers == end) {
      return bottom.states;
    }
    Lanes<float> const x =
        take_lanes(runtime.workspace(), at.lanes(), bottom.states.rows, bottom.states.cols);
    layers[bottom.layers].from_shared(bottom.states, x, batch, heads, at, runtime);
    range(bottom.layers + 1, end, x, batch, {}, at, runtime);
    return x;
  }
};

/// The observer that looks at nothing.
struct NoObserver {
  /// Takes the number of a layer and the states before it.
  void operator()(std::size_t, Lanes<float const>) const noexcept {}
};

} // namespace pocketllm::models
