// SPDX-License-Identifier: Apache-2.0
// The transformer decoder of OPT: causal layers whose LayerNorm stands before each part or behind it.
#pragma once

#include <pocketllm/layers/causal_attention.hpp>
#include <pocketllm/layers/layer_norm.hpp>
#include <pocketllm/layers/linear.hpp>
#include <pocketllm/layers/rows.hpp>
#include <pocketllm/models/causal_batch.hpp>
#include <pocketllm/models/frozen_bottom.hpp>
#include <pocketllm/models/gather.hpp>
#include <pocketllm/models/past.hpp>

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <span>
#include <string>
#include <vector>

namespace pocketllm::models {

/// Sizes and variants of a decoder.
struct DecoderShape {
  /// num_hidden_layers of config.json.
  std::size_t layers = 0, /** hidden_size */ width = 0, /** num_attention_heads, divides width */ heads = 0,
              feed_forward = 0; ///< ffn_dim, numbers between a layer's `up` and `down`
  bool norm_first = true;       ///< LayerNorm before attention and before the feed-forward part, else behind
  bool bias = true;             ///< linear layers have biases
  bool norm_weights = true;     ///< LayerNorm has a gain and a bias
  float norm_epsilon = 1e-5F;   ///< added to the variance; config.json has no key for it
};

namespace detail {

/// A vector that is no weight of the model: it keeps its value, is neither trained nor visited.
inline void fix(tensor::Tensor<float>& vector, float value) {
  vector.allocate();
  std::fill_n(vector.mutable_data(), vector.size(), value);
  vector.set_trained(false);
}

[[nodiscard]] inline layers::LayerNorm make_norm(std::string const& name, DecoderShape const& s) {
  layers::LayerNorm norm(name, s.width, s.norm_epsilon);
  if (!s.norm_weights) {
    fix(norm.weight, 1.0F);
    fix(norm.bias, 0.0F);
  }
  return norm;
}

/// X += Y
inline void add(Lanes<float> x, Lanes<float const> y, Runtime& runtime) {
  layers::for_each_row(x, runtime, [&](std::size_t l, std::size_t r) {
    float* const to = x.row(l, r);
    float const* const from = y.row(l, r);
    for (std::size_t i = 0; i < x.cols; ++i) {
      to[i] += from[i];
    }
  });
}

/// Y = X
inline void copy(Lanes<float const> x, Lanes<float> y, Runtime& runtime) {
  layers::for_each_row(y, runtime,
                       [&](std::size_t l, std::size_t r) { std::copy_n(x.row(l, r), x.cols, y.row(l, r)); });
}

} // namespace detail

/// One layer. Norm first: x += attention(norm(x)); x += down(relu(up(norm(x)))). Norm behind:
/// x = norm(x + attention(x)); x = norm(x + down(relu(up(x)))).
template <layers::Weights T>
struct DecoderLayer {
  /// `name`.self_attn.k_proj; this and the next three are [width, width].
  layers::Linear<T> key, /** v_proj */ value, /** q_proj */ query, /** out_proj */ attention_output;
  layers::LayerNorm attention_norm; ///< `name`.self_attn_layer_norm, before attention or behind it
  layers::Linear<T> /** fc1 [feed_forward, width] */ up, /** fc2 [width, feed_forward] */ down;
  layers::LayerNorm output_norm; ///< `name`.final_layer_norm, before `up` or behind `down`
  DecoderShape shape;            ///< as for the whole decoder

  /// Tensors are called `name`.self_attn.k_proj.weight and so on, and have no values yet.
  DecoderLayer(std::string const& name, DecoderShape const& s)
      : key(name + ".self_attn.k_proj", s.width, s.width, s.bias),
        value(name + ".self_attn.v_proj", s.width, s.width, s.bias),
        query(name + ".self_attn.q_proj", s.width, s.width, s.bias),
        attention_output(name + ".self_attn.out_proj", s.width, s.width, s.bias),
        attention_norm(detail::make_norm(name + ".self_attn_layer_norm", s)),
        up(name + ".fc1", s.feed_forward, s.width, s.bias),
        down(name + ".fc2", s.width, s.feed_forward, s.bias),
        output_norm(detail::make_norm(name + ".final_layer_norm", s)), shape(s) {}

  /// X [lanes, rows, width] of a whole batch in place. `past.own`: room for its keys and values, or empty.
  template <random::Perturbation P>
  void operator()(Lanes<float> x, CausalBatch const& batch, LayerPast const& past,
                  random::Perturbed<P> const& at, Runtime& runtime) const {
    std::vector<std::size_t> all(x.rows);
    std::iota(all.begin(), all.end(), std::size_t{0});
    finish(x, x, all, batch, past, at, runtime);
  }

  /// Y [lanes, rows, width] of X [1, rows, width], shared by all points, of a whole batch without a past.
  template <random::Perturbation P>
  void from_shared(Lanes<float const> x, Lanes<float> y, CausalBatch const& batch,
                   random::Perturbed<P> const& at, Runtime& runtime) const {
    std::vector<std::size_t> all(x.rows);
    std::iota(all.begin(), all.end(), std::size_t{0});
    attend(x, x, all, y, batch, {}, at, runtime);
    join(y, x, attention_norm, at, runtime);
    mix(y, at, runtime);
  }

  /// Y [lanes, rows.size(), width] of X [lanes or 1, rows, width] at `rows`, ascending; all are attended to.
  template <random::Perturbation P>
  void at_rows(Lanes<float const> x, std::span<std::size_t const> rows, Lanes<float> y,
               CausalBatch const& batch, LayerPast const& past, random::Perturbed<P> const& at,
               Runtime& runtime) const {
    copy_rows(x, rows, y);
    finish(y, x, rows, batch, past, at, runtime);
  }

  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    for (auto* linear : {&self.key, &self.value, &self.query, &self.attention_output}) {
      layers::Linear<T>::visit(*linear, f);
    }
    if (self.shape.norm_weights) {
      layers::LayerNorm::visit(self.attention_norm, f);
    }
    layers::Linear<T>::visit(self.up, f);
    layers::Linear<T>::visit(self.down, f);
    if (self.shape.norm_weights) {
      layers::LayerNorm::visit(self.output_norm, f);
    }
  }

private:
  /// Both parts on the rows X, of which row i is row places[i] of `context`; that may be X, or of one lane.
  template <random::Perturbation P>
  void finish(Lanes<float> x, Lanes<float const> context, std::span<std::size_t const> places,
              CausalBatch const& batch, LayerPast const& past, random::Perturbed<P> const& at,
              Runtime& runtime) const {
    {
      Workspace::Frame const frame(runtime.workspace());
      Lanes<float> const y = take_lanes(runtime.workspace(), x.lanes, x.rows, x.cols);
      attend(x, context, places, y, batch, past, at, runtime);
      join(x, y, attention_norm, at, runtime);
    }
    mix(x, at, runtime);
  }

  /// The second part.
  template <random::Perturbation P>
  void mix(Lanes<float> x, random::Perturbed<P> const& at, Runtime& runtime) const {
    Workspace::Frame const frame(runtime.workspace());
    Lanes<float> const y = take_lanes(runtime.workspace(), x.lanes, x.rows, x.cols);
    feed_forward(x, y, at, runtime);
    join(x, y, output_norm, at, runtime);
  }

  /// X += Y, or X = norm(X + Y) where the norm stands behind.
  template <random::Perturbation P>
  void join(Lanes<float> x, Lanes<float const> y, layers::LayerNorm const& norm,
            random::Perturbed<P> const& at, Runtime& runtime) const {
    if (shape.norm_first) {
      detail::add(x, y, runtime);
    } else {
      norm(x, y, at, runtime);
    }
  }

  /// X, behind `norm` where that stands first, packed in the workspace. `room` has a lane for each point.
  template <random::Perturbation P>
  [[nodiscard]] tensor::Packed pack(Lanes<float const> x, layers::LayerNorm const& norm, Lanes<float> room,
                                    random::Perturbed<P> const& at, Runtime& runtime) const {
    if (!shape.norm_first) {
      return tensor::pack(x, runtime);
    }
    detail::copy(x, room, runtime);
    norm(room, {}, at, runtime);
    return tensor::pack(Lanes<float const>(room), runtime);
  }

  /// Y = attention of X to the rows of `context` and what stands before; both may be of one lane.
  template <random::Perturbation P>
  void attend(Lanes<float const> x, Lanes<float const> context, std::span<std::size_t const> places,
              Lanes<float> y, CausalBatch const& batch, LayerPast const& past, random::Perturbed<P> const& at,
              Runtime& runtime) const {
    Workspace& workspace = runtime.workspace();
    Workspace::Frame const frame(workspace);
    Lanes<float> const q = take_lanes(workspace, at.lanes(), x.rows, x.cols);
    auto const [k, v] = past.take_own(workspace, at.lanes(), context.rows, context.cols);
    {
      Workspace::Frame const packed(workspace);
      if (x.data == context.data) {
        tensor::products(pack(x, attention_norm, y, at, runtime), {query.into(q), key.into(k), value.into(v)},
                         at, runtime);
      } else {
        tensor::products(pack(x, attention_norm, y, at, runtime), {query.into(q)}, at, runtime);
        Lanes<float> const room = take_lanes(workspace, at.lanes(), context.rows, context.cols);
        tensor::products(pack(context, attention_norm, room, at, runtime), {key.into(k), value.into(v)}, at,
                         runtime);
      }
    }
    layers::causal_attention(q, {k, v}, {batch.offsets(), places, batch.prompts(), past.before}, shape.heads,
                             runtime);
    tensor::products(tensor::pack(Lanes<float const>(q), runtime), {attention_output.into(y)}, at, runtime);
  }

  /// Y = down(relu(up(X))), X behind the norm where that stands first.
  template <random::Perturbation P>
  void feed_forward(Lanes<float const> x, Lanes<float> y, random::Perturbed<P> const& at,
                    Runtime& runtime) const {
    Workspace::Frame const frame(runtime.workspace());
    tensor::Packed const h = tensor::take_packed(runtime.workspace(), x.lanes, x.rows, up.weight.rows());
    {
      Workspace::Frame const packed(runtime.workspace());
      tensor::products(pack(x, output_norm, y, at, runtime), {up.into(h, simd::Activation::relu)}, at,
                       runtime);
    }
    tensor::products(h, {down.into(y)}, at, runtime);
  }
};

/// A stack of layers.
template <layers::Weights T>
struct Decoder {
  std::vector<DecoderLayer<T>> layers; ///< from the embeddings up

  /// Tensors are called `name`.0..., `name`.1...
  Decoder(std::string const& name, DecoderShape const& shape) {
    for (std::size_t i = 0; i < shape.layers; ++i) {
      layers.emplace_back(name + "." + std::to_string(i), shape);
    }
  }

  /// X [lanes, rows, width] in place; `observe(i, X)` sees it before layer i.
  template <random::Perturbation P, class Observer>
  void operator()(Lanes<float> x, CausalBatch const& batch, Past const& past, random::Perturbed<P> const& at,
                  Runtime& runtime, Observer&& observe) const {
    for (std::size_t i = 0; i < layers.size(); ++i) {
      observe(i, Lanes<float const>(x));
      layers[i](x, batch, past.at(i), at, runtime);
    }
  }

  /// The layers `first` to `end` on X [lanes, rows, width] in place.
  template <random::Perturbation P>
  void range(std::size_t first, std::size_t end, Lanes<float> x, CausalBatch const& batch, Past const& past,
             random::Perturbed<P> const& at, Runtime& runtime) const {
    for (std::size_t i = first; i < end; ++i) {
      layers[i](x, batch, past.at(i), at, runtime);
    }
  }

  /// Y [lanes, rows.size(), width]: the rows `rows`, ascending, of what all layers make of X, overwriting X.
  template <random::Perturbation P>
  void at_rows(Lanes<float> x, std::span<std::size_t const> rows, Lanes<float> y, CausalBatch const& batch,
               Past const& past, random::Perturbed<P> const& at, Runtime& runtime) const {
    range(0, layers.size() - 1, x, batch, past, at, runtime);
    layers.back().at_rows(x, rows, y, batch, past.at(layers.size() - 1), at, runtime);
  }

  /// The same of a whole batch whose `bottom` is there.
  template <random::Perturbation P>
  void at_rows(Bottom const& bottom, std::span<std::size_t const> rows, Lanes<float> y,
               CausalBatch const& batch, random::Perturbed<P> const& at, Runtime& runtime) const {
    std::size_t const last = layers.size() - 1;
    if (bottom.layers > last) {
      return copy_rows(bottom.states, rows, y);
    }
    Workspace::Frame const frame(runtime.workspace());
    Lanes<float const> x = bottom.states;
    if (bottom.layers < last) {
      Lanes<float> const own = take_lanes(runtime.workspace(), at.lanes(), x.rows, x.cols);
      layers[bottom.layers].from_shared(x, own, batch, at, runtime);
      range(bottom.layers + 1, last, own, batch, {}, at, runtime);
      x = own;
    }
    layers.back().at_rows(x, rows, y, batch, {}, at, runtime);
  }

  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    for (auto& layer : self.layers) {
      DecoderLayer<T>::visit(layer, f);
    }
  }
};

} // namespace pocketllm::models
