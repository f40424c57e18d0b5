// SPDX-License-Identifier: Apache-2.0
// LoRA (Hu et al., arXiv 2106.09685): y = x (W + alpha / rank B A)^T + b with W as it is and B, A trained.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/core/glob.hpp>
#include <pocketllm/core/runtime.hpp>
#include <pocketllm/core/split_mix.hpp>
#include <pocketllm/layers/linear.hpp>
#include <pocketllm/layers/weights.hpp>
#include <pocketllm/tensor/visit.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pocketllm::layers {

/// The two factors beside a weight [out, in], called LAYER.lora_A.weight [rank, in] and
/// LAYER.lora_B.weight [out, rank] as PEFT calls them.
struct LoraTerm {
  tensor::Tensor<float> down; ///< A [rank, in]
  tensor::Tensor<float> up;   ///< B [out, rank]
  float scale = 1.0F;         ///< of the product B A: alpha / rank

  /// `layer` is the name of the layer's weight without .weight; the tensors have no data yet.
  LoraTerm(std::string const& layer, std::size_t out, std::size_t in, std::size_t rank, float factor)
      : down(layer + ".lora_A.weight", {rank, in}), up(layer + ".lora_B.weight", {out, rank}), scale(factor) {
  }

  /// Rows of A, which are columns of B.
  [[nodiscard]] std::size_t rank() const noexcept { return down.rows(); }
};

/// A dense layer that may have a term.
template <tensor::WeightStorage T>
struct Linear<Lora<T>> : Linear<T> {
  std::optional<LoraTerm> lora; ///< none before add_lora and after merge_lora

  using Linear<T>::Linear;

  /// The name that the layer's tensors begin with.
  [[nodiscard]] std::string layer_name() const {
    std::string const& name = this->weight.name();
    return name.substr(0, name.rfind('.'));
  }

  /// As Linear<T>::into, for Y in rows or packed, with the term where there is one. The layer must outlive
  /// it.
  template <class Y>
  [[nodiscard]] tensor::Factor<T> into(Y y, simd::Activation activation = simd::Activation::none) const {
    tensor::Factor<T> factor = Linear<T>::into(y, activation);
    if (lora) {
      factor.term = {&lora->down, &lora->up, lora->scale};
    }
    return factor;
  }

  /// A visitor with a member `adaptable(layer)` sees the layer itself, all others its tensors.
  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    if constexpr (requires { f.adaptable(self); }) {
      f.adaptable(self);
    } else {
      Linear<T>::visit(self, f);
      if (self.lora) {
        f(self.lora->down);
        f(self.lora->up);
      }
    }
  }
};

namespace detail {

template <class F>
struct AdaptableVisitor {
  F& visit;
  template <tensor::WeightStorage T>
  void operator()(tensor::Tensor<T> const&) const {}
  template <class Layer>
  void adaptable(Layer& layer) const {
    visit(layer);
  }
};

} // namespace detail

/// Calls f(layer) for each Linear<Lora<T>> of a model.
template <tensor::HasTensors Model, class F>
void for_each_adaptable(Model& model, F&& f) {
  model.for_each_tensor(detail::AdaptableVisitor<F>{f});
}

/// Which layers get a term, and of what size.
struct LoraOptions {
  std::size_t rank = 8;      ///< of each term, 1 to simd::tile_depth
  float alpha = 16.0F;       ///< the term is scaled by alpha / rank
  std::string targets = "*"; ///< patterns of layer names, with commas between them
  std::uint64_t seed = 0;    ///< of A's first values
};

namespace detail {

/// Uniform in (-1, 1) / sqrt(in), as PEFT starts A; B is 0, so the model is what it was.
inline void start_term(LoraTerm& term, std::uint64_t seed) {
  std::size_t const in = term.down.cols();
  float const bound = 1.0F / std::sqrt(static_cast<float>(in));
  std::uint64_t const stream = split_mix(seed, term.down.key());
  term.down.allocate();
  float* const a = term.down.mutable_data();
  for (std::size_t i = 0; i < term.down.size(); ++i) {
    auto const bits = static_cast<std::int64_t>(split_mix(stream, i)) >> 40; // 24 bits with a sign
    a[i] = static_cast<float>(bits) * 0x1p-23F * bound;
  }
  term.up.allocate();
  std::fill_n(term.up.mutable_data(), term.up.size(), 0.0F);
}

} // namespace detail

/// Gives each linear layer whose name matches `targets` a term that changes nothing yet. Returns their
/// number. What is trained is another question: optimize::select_trained(model, "*.lora_?.weight") freezes
/// all but the terms. Throws Error when a pattern matches no layer, or a layer has a term already.
template <tensor::HasTensors Model>
std::size_t add_lora(Model& model, LoraOptions const& options) {
  require(options.rank >= 1 && options.rank <= simd::tile_depth, "LoRA of rank ", options.rank,
          "; ask for 1 to ", simd::tile_depth);
  std::vector<std::string_view> const patterns = split_patterns(options.targets);
  std::vector<bool> used(patterns.size());
  auto const wanted = [&](std::string const& name) {
    bool any = false;
    for (std::size_t i = 0; i < patterns.size(); ++i) {
      bool const matches = matches_glob(patterns[i], name);
      used[i] = used[i] || matches;
      any = any || matches;
    }
    return any;
  };
  for_each_adaptable(model, [&](auto& layer) { // first all that may be wrong, so that no term is left then
    std::string const name = layer.layer_name();
    require(!wanted(name) || !layer.lora, name, " has a LoRA term already");
  });
  for (std::size_t i = 0; i < patterns.size(); ++i) {
    require(used[i], "no linear layer of the model matches \"", patterns[i],
            "\"; patterns are names as in the model's file without .weight, with * for any characters and "
            "commas between patterns");
  }
  std::size_t count = 0;
  for_each_adaptable(model, [&](auto& layer) {
    if (std::string const name = layer.layer_name(); wanted(name)) {
      layer.lora.emplace(name, layer.weight.rows(), layer.weight.cols(), options.rank,
                         options.alpha / static_cast<float>(options.rank));
      detail::start_term(*layer.lora, options.seed);
      ++count;
    }
  });
  return count;
}

namespace detail {

/// W + scale B A, rounded to nearest, into W.
template <tensor::FloatStorage T>
void merge(tensor::Tensor<T>& w, LoraTerm const& term, Runtime& runtime) {
  T* const data = w.mutable_data();
  runtime.pool().parallel_for(w.rows(), [&](std::size_t r, std::size_t) {
    std::vector<float> sum(w.cols());
    for (std::size_t i = 0; i < term.rank(); ++i) {
      float const factor = term.scale * term.up.row(r)[i];
      float const* const a = term.down.row(i);
      for (std::size_t c = 0; c < sum.size(); ++c) {
        sum[c] = std::fma(factor, a[c], sum[c]);
      }
    }
    T* const row = data + r * w.cols();
    for (std::size_t c = 0; c < sum.size(); ++c) {
      row[c] = from_float<T>(to_float(row[c]) + sum[c]);
    }
  });
}
template <tensor::QuantizedStorage T>
void merge(tensor::Tensor<T>& w, LoraTerm const&, Runtime&) {
  fail(w.name(), ": a term cannot become part of weights of 8 or 4 bits, which would lose most of it; load "
                 "the base as f16, bf16 or f32 and the adapter on it, then merge");
}

} // namespace detail

/// Makes all terms part of their weights, rounded to nearest, and takes them away. Throws Error when the
/// weights are in 8 or 4 bits.
template <tensor::HasTensors Model>
void merge_lora(Model& model, Runtime& runtime) {
  for_each_adaptable(model, [&](auto& layer) {
    if (layer.lora) {
      detail::merge(layer.weight, *layer.lora, runtime);
      layer.lora.reset();
    }
  });
}

} // namespace pocketllm::layers
