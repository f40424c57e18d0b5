// SPDX-License-Identifier: Apache-2.0
// Products of some rows of a weight: the columns that these have in the product of all, to the bit.
#include "layers/naive_layers.hpp"
#include <pocketllm/tensor/product.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

using namespace pocketllm;

namespace {

constexpr std::size_t lanes = 3, tokens = 19, in = 530, out = 301; // several blocks of depth and of rows

/// Y = gelu(X W^T + b) of `count` rows from `first` on, in blocks of `block`, [lanes, tokens, count].
template <class A>
std::vector<float> in_blocks(std::size_t first, std::size_t count, std::size_t block, std::size_t threads) {
  auto const w = naive::tensor_of<float>("head.weight", {out, in}, 1);
  auto const bias = naive::tensor_of<float>("head.bias", {out}, 2);
  naive::Activations x(lanes, tokens, in, 0, 3);
  std::vector<random::Point> const points{{5, 0.1F}, {5, -0.1F}, {6, 0.1F}};
  auto const at = random::perturb(random::Gaussian{}, points);
  Runtime runtime(threads);
  Workspace::Frame const frame(runtime.workspace());
  tensor::Packed const packed = tensor::pack<A>(x.view(), runtime);
  std::vector<float> y(lanes * tokens * count);
  for (std::size_t done = 0; done < count; done += block) {
    std::size_t const part = std::min(block, count - done);
    std::vector<float> some(lanes * tokens * part);
    tensor::products<A>(
        packed,
        {tensor::Factor<float>{
            w, &bias, {some.data(), lanes, tokens, part}, {}, simd::Activation::gelu, first + done, part}},
        at, runtime);
    for (std::size_t r = 0; r < lanes * tokens; ++r) {
      std::copy_n(some.data() + r * part, part, y.data() + r * count + done);
    }
  }
  return y;
}

} // namespace

TEST_CASE_TEMPLATE("rows of a product in blocks are those of the whole", A, POCKETLLM_TEST_WIDTHS) {
  auto const whole = in_blocks<A>(0, out, out, 1);
  for (std::size_t const block : {1U, 7U, 64U, 250U}) {
    CAPTURE(block);
    CHECK(in_blocks<A>(0, out, block, 2) == whole);
  }
  auto const some = in_blocks<A>(33, 200, 200, 3);
  for (std::size_t r = 0; r < lanes * tokens; ++r) {
    auto const begin = whole.begin() + static_cast<std::ptrdiff_t>(r * out + 33);
    REQUIRE(std::equal(begin, begin + 200, some.begin() + static_cast<std::ptrdiff_t>(r * 200)));
  }
}

TEST_CASE("rows that a weight does not have are an error that names it") {
  auto const w = naive::tensor_of<float>("head.weight", {20, 8}, 1);
  naive::Activations x(1, 2, 8, 0, 3);
  std::vector<float> y(2 * 20);
  Runtime runtime(1);
  struct Rows {
    std::size_t first, count;
  };
  for (Rows const& rows : {Rows{15, 6}, Rows{20, 1}, Rows{1, 0}, Rows{static_cast<std::size_t>(-1), 2}}) {
    CAPTURE(rows.first);
    std::size_t const cols = rows.count == 0 ? 20 : rows.count;
    CHECK_THROWS_WITH_AS(
        tensor::products(
            tensor::pack(Lanes<float const>(x.view()), runtime),
            {tensor::Factor<float>{
                w, nullptr, {y.data(), 1, 2, cols}, {}, simd::Activation::none, rows.first, rows.count}},
            random::unperturbed(), runtime),
        doctest::Contains("head.weight: the "), Error);
  }
}
