// SPDX-License-Identifier: Apache-2.0
#include "tensor/kernel_table.hpp"
#include <pocketllm/tensor/product.hpp>
#include <pocketllm/tensor/update.hpp>

#include <atomic>

namespace {

using namespace pocketllm;
using A = simd::native;

template <class T>
void product(Lanes<float const> x, tensor::Tensor<T> const& w, tensor::Tensor<float> const* bias, Kind kind,
             std::span<random::Point const> points, Lanes<float> y, Runtime& runtime) {
  if (kind == Kind::gaussian) {
    tensor::product<A>(x, w, bias, random::perturb(random::Gaussian{}, points), y, runtime);
  } else {
    tensor::product<A>(x, w, bias, random::perturb(random::Rademacher{}, points), y, runtime);
  }
}

template <class T>
void chain(Lanes<float const> x, tensor::Tensor<T> const& w, tensor::Tensor<float> const& bias,
           tensor::Tensor<T> const& v, std::span<random::Point const> points, Lanes<float> y, Lanes<float> z,
           Runtime& runtime) {
  Workspace::Frame const frame(runtime.workspace());
  auto const at = random::perturb(random::Gaussian{}, points);
  tensor::Packed const packed = tensor::pack<A>(x, runtime);
  tensor::Packed const h = tensor::take_packed<A>(runtime.workspace(), y.lanes, y.rows, w.rows());
  tensor::products<A>(packed,
                      {tensor::Factor<T>{w, &bias, {}, h, simd::Activation::gelu},
                       tensor::Factor<T>{w, nullptr, z, {}, simd::Activation::tanh}},
                      at, runtime);
  tensor::products<A>(h, {tensor::Factor<T>{v, nullptr, y}}, at, runtime);
}

template <class T>
void low_rank(Lanes<float const> x, tensor::Tensor<T> const& w, tensor::Tensor<float> const& bias,
              tensor::LowRank const& term, std::span<random::Point const> points, Lanes<float> y,
              Runtime& runtime) {
  Workspace::Frame const frame(runtime.workspace());
  tensor::Factor<T> factor{w, &bias, y};
  factor.term = term;
  tensor::products<A>(tensor::pack<A>(x, runtime), {factor}, random::perturb(random::Gaussian{}, points),
                      runtime);
}

template <class T>
void row(tensor::Tensor<T> const& w, std::span<random::Point const> points, tensor::RowRange range,
         float* out) {
  tensor::perturbed_row<A>(w, random::perturb(random::Gaussian{}, points), range, out, range.count);
}

template <class T>
void update(tensor::Tensor<T>& w, Kind kind, std::span<random::Point const> terms, float decay,
            Runtime& runtime) {
  if (kind == Kind::gaussian) {
    tensor::update<A>(w, random::Gaussian{}, terms, decay, runtime);
  } else {
    tensor::update<A>(w, random::Rademacher{}, terms, decay, runtime);
  }
}

template <class T>
std::size_t updates(tensor::Tensor<T>& w, Kind kind, std::span<tensor::UpdateTerms const> list,
                    Runtime& runtime) {
  std::atomic<std::size_t> weights{0};
  auto const done = [&](std::size_t count) { weights += count; };
  if (kind == Kind::gaussian) {
    tensor::update_in_order<A>(w, random::Gaussian{}, list, runtime, done);
  } else {
    tensor::update_in_order<A>(w, random::Rademacher{}, list, runtime, done);
  }
  return weights;
}

/// z of low rank whose factors nobody knows of.
struct ElementByElement {
  static constexpr std::string_view name = "element-by-element";
  random::LowRank directions;
  template <class Arch>
  void fill(random::Stream stream, std::size_t row, std::size_t block, std::size_t count,
            float* out) const noexcept {
    directions.fill<Arch>(stream, row, block, count, out);
  }
};
static_assert(!random::Factored<ElementByElement>);

template <class T>
void low_rank_updates(tensor::Tensor<T>& w, std::uint32_t rank, bool by_factors,
                      std::span<tensor::UpdateTerms const> list, Runtime& runtime) {
  auto const done = [](std::size_t) {};
  if (by_factors) {
    tensor::update_in_order<A>(w, random::LowRank{rank}, list, runtime, done);
  } else {
    tensor::update_in_order<A>(w, ElementByElement{{rank}}, list, runtime, done);
  }
}

} // namespace

extern KernelTable const POCKETLLM_ARCH_SYMBOL(kernels);
KernelTable const POCKETLLM_ARCH_SYMBOL(kernels){
    simd::has_fma<A>,
    {product<float>, chain<float>, low_rank<float>, row<float>, update<float>, updates<float>,
     low_rank_updates<float>},
    {product<f16>, chain<f16>, low_rank<f16>, row<f16>, update<f16>, updates<f16>, low_rank_updates<f16>},
    {product<bf16>, chain<bf16>, low_rank<bf16>, row<bf16>, update<bf16>, updates<bf16>,
     low_rank_updates<bf16>},
    {product<i8>, chain<i8>, low_rank<i8>, row<i8>, update<i8>, updates<i8>, low_rank_updates<i8>},
    {product<i4>, chain<i4>, low_rank<i4>, row<i4>, update<i4>, updates<i4>, low_rank_updates<i4>},
};
