// SPDX-License-Identifier: Apache-2.0
// The perturbed product on one core as a share of the core's peak, beside the products of Eigen and, where
// it is installed, OpenBLAS of the same sizes; noise, and the update.
// `bench_kernels --benchmark_filter=product`
#include "machine.hpp"
#include <pocketllm/pocketllm.hpp>

#include <Eigen/Dense>
#include <benchmark/benchmark.h>
#if defined(POCKETLLM_BENCH_OPENBLAS)
#include <cblas.h>
#endif

#include <array>
#include <chrono>
#include <cstddef>
#include <sstream>
#include <string>
#include <vector>

namespace {

namespace pl = pocketllm;
using A = pl::simd::native;

/// Keeps a vector in a register and the compiler from knowing its value.
void hide(pl::simd::f32<A>& v) {
#if defined(__x86_64__)
  typename pl::simd::f32<A>::register_type r = v;
  asm volatile("" : "+v"(r));
  v = pl::simd::f32<A>(r);
#elif defined(__aarch64__)
  typename pl::simd::f32<A>::register_type r = v;
  asm volatile("" : "+w"(r));
  v = pl::simd::f32<A>(r);
#else
  benchmark::DoNotOptimize(v);
#endif
}

/// Floating-point operations a second of one core that does nothing but multiply and add in registers: the
/// best of several runs, since other programs only ever take away.
double peak() {
  static double const measured = [] {
    constexpr std::size_t chains = 12, rounds = 200'000; // more chains than latency (4) times units (2)
    double best = 0.0;
    for (int run = 0; run < 20; ++run) {
      std::array<pl::simd::f32<A>, chains> sum;
      sum.fill(pl::simd::splat<A>(1.0F));
      pl::simd::f32<A> const x = pl::simd::splat<A>(0.5F);
      auto const begin = std::chrono::steady_clock::now();
      for (std::size_t i = 0; i < rounds; ++i) {
        [&]<std::size_t... I>(std::index_sequence<I...>) {
          ((sum[I] = pl::simd::mul_add<A>(sum[I], x, x), hide(sum[I])), ...);
        }
        (std::make_index_sequence<chains>{});
      }
      std::chrono::duration<double> const took = std::chrono::steady_clock::now() - begin;
      best = std::max(best, 2.0 * chains * rounds * static_cast<double>(pl::simd::width<A>) / took.count());
    }
    return best;
  }();
  return measured;
}

void report_share(benchmark::State& state, double operations) {
  using benchmark::Counter;
  double const total = operations * static_cast<double>(state.iterations());
  state.counters["gflops"] = Counter(total * 1e-9, Counter::kIsRate);
  state.counters["of_peak"] = Counter(total / peak(), Counter::kIsRate);
}

struct Product {
  std::size_t rows, in, out;
  explicit Product(benchmark::State const& state)
      : rows(static_cast<std::size_t>(state.range(0))), in(static_cast<std::size_t>(state.range(1))),
        out(static_cast<std::size_t>(state.range(2))) {}
  [[nodiscard]] double operations(std::size_t lanes) const {
    return 2.0 * static_cast<double>(lanes) * static_cast<double>(rows) * static_cast<double>(in) *
           static_cast<double>(out);
  }
};

std::vector<float> numbers(std::size_t count) {
  std::vector<float> values(count);
  pl::random::fill_row<A>(pl::random::Gaussian{}, {1, 2}, 0, 0, count, values.data());
  return values;
}

template <class T>
pl::tensor::Tensor<T> weights(std::size_t rows, std::size_t cols) {
  pl::tensor::Tensor<T> w("weight", {rows, cols});
  w.allocate();
  auto const values = numbers(w.size());
  std::transform(values.begin(), values.end(), w.mutable_data(),
                 [](float v) { return pl::from_float<T>(v); });
  return w;
}

template <class T, class P>
void product(benchmark::State& state, std::vector<pl::random::Point> const& points, P const& perturbation) {
  Product const s(state);
  auto const w = weights<T>(s.out, s.in);
  pl::Runtime runtime(1);
  pl::Workspace::Frame const frame(runtime.workspace());
  pl::Lanes<float> const x = pl::take_lanes(runtime.workspace(), points.size(), s.rows, s.in);
  pl::Lanes<float> const y = pl::take_lanes(runtime.workspace(), points.size(), s.rows, s.out);
  pl::random::fill_row<A>(pl::random::Gaussian{}, {1, 3}, 0, 0, x.lanes * x.lane_stride(), x.data);
  for ([[maybe_unused]] auto _ : state) {
    pl::tensor::product<A>(pl::Lanes<float const>(x), w, nullptr,
                           pl::random::perturb(perturbation, std::span(points)), y, runtime);
    benchmark::ClobberMemory();
  }
  report_share(state, s.operations(points.size()));
}

std::vector<pl::random::Point> const plain{pl::random::origin}, pair{{7, 1e-3F}, {7, -1e-3F}};

template <class T>
void product_plain(benchmark::State& state) {
  product<T>(state, plain, pl::random::Gaussian{});
}
template <class T>
void product_rademacher(benchmark::State& state) {
  product<T>(state, pair, pl::random::Rademacher{});
}
template <class T>
void product_gaussian(benchmark::State& state) {
  product<T>(state, pair, pl::random::Gaussian{});
}

void product_eigen(benchmark::State& state) {
  using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  Product const s(state);
  auto const rows = static_cast<Eigen::Index>(s.rows), in = static_cast<Eigen::Index>(s.in),
             out = static_cast<Eigen::Index>(s.out);
  Matrix const x = Matrix::Random(rows, in), w = Matrix::Random(out, in);
  Matrix y(rows, out);
  for ([[maybe_unused]] auto _ : state) {
    y.noalias() = x * w.transpose();
    benchmark::ClobberMemory();
  }
  report_share(state, s.operations(1));
}

#if defined(POCKETLLM_BENCH_OPENBLAS)
void product_openblas(benchmark::State& state) {
  Product const s(state);
  auto const rows = static_cast<blasint>(s.rows), in = static_cast<blasint>(s.in),
             out = static_cast<blasint>(s.out);
  auto const x = numbers(s.rows * s.in), w = numbers(s.out * s.in);
  std::vector<float> y(s.rows * s.out);
  for ([[maybe_unused]] auto _ : state) {
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, rows, out, in, 1.0F, x.data(), in, w.data(), in,
                0.0F, y.data(), out);
    benchmark::ClobberMemory();
  }
  report_share(state, s.operations(1));
}

/// One thread, as for all that is measured here. Returns the version, and the processor whose kernels it
/// chose.
std::string set_up_openblas() {
#if defined(POCKETLLM_BENCH_OPENBLAS_THREADS)
  openblas_set_num_threads(1);
#endif
  std::istringstream words(openblas_get_config()); // "OpenBLAS", its version, how it was built
  std::string name, version;
  words >> name >> version;
  return pl::concat(version, " for ", openblas_get_corename());
}
#endif

void sizes(benchmark::internal::Benchmark* b) {
  for (std::int64_t const in : {1024, 4096}) {
    for (std::int64_t const out : {1024, 4096}) {
      for (std::int64_t const tokens : {512, 64, 16}) {
        b->Args({tokens, in, out});
      }
    }
  }
  b->ArgNames({"tokens", "in", "out"})->Unit(benchmark::kMillisecond);
}

BENCHMARK(product_eigen)->Apply(sizes);
#if defined(POCKETLLM_BENCH_OPENBLAS)
BENCHMARK(product_openblas)->Apply(sizes);
#endif
BENCHMARK_TEMPLATE(product_plain, float)->Apply(sizes);
BENCHMARK_TEMPLATE(product_rademacher, float)->Apply(sizes);
BENCHMARK_TEMPLATE(product_gaussian, float)->Apply(sizes);
BENCHMARK_TEMPLATE(product_plain, pl::f16)->Apply(sizes);
BENCHMARK_TEMPLATE(product_rademacher, pl::f16)->Apply(sizes);
BENCHMARK_TEMPLATE(product_gaussian, pl::f16)->Apply(sizes);

template <class P>
void noise(benchmark::State& state) {
  std::vector<float> z(pl::random::block_cols);
  std::size_t row = 0;
  for ([[maybe_unused]] auto _ : state) {
    P{}.template fill<A>({1, 3}, row++, 0, z.size(), z.data());
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(z.size()));
}
BENCHMARK_TEMPLATE(noise, pl::random::Gaussian);
BENCHMARK_TEMPLATE(noise, pl::random::Rademacher);

template <class T, class P>
void update(benchmark::State& state) {
  auto w = weights<T>(4096, 4096); // larger than the caches
  pl::Runtime runtime(1);
  std::vector<pl::random::Point> const terms{{7, 1e-9F}};
  for ([[maybe_unused]] auto _ : state) {
    pl::tensor::update<A>(w, P{}, terms, 1.0F, runtime);
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(2 * w.size() * sizeof(T)));
}
BENCHMARK_TEMPLATE(update, float, pl::random::Gaussian)->Unit(benchmark::kMillisecond);
BENCHMARK_TEMPLATE(update, float, pl::random::Rademacher)->Unit(benchmark::kMillisecond);
BENCHMARK_TEMPLATE(update, pl::f16, pl::random::Gaussian)->Unit(benchmark::kMillisecond);
BENCHMARK_TEMPLATE(update, pl::f16, pl::random::Rademacher)->Unit(benchmark::kMillisecond);
BENCHMARK_TEMPLATE(update, pl::bf16, pl::random::Rademacher)->Unit(benchmark::kMillisecond);

} // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) {
    return 1;
  }
  benchmark::AddCustomContext("processor", benchmarks::processor_name());
  benchmark::AddCustomContext("compiler", benchmarks::compiler_name());
  benchmark::AddCustomContext(
      "Eigen", pl::concat(EIGEN_WORLD_VERSION, '.', EIGEN_MAJOR_VERSION, '.', EIGEN_MINOR_VERSION));
#if defined(POCKETLLM_BENCH_OPENBLAS)
  benchmark::AddCustomContext("OpenBLAS", set_up_openblas());
#endif
  benchmark::AddCustomContext(
      "peak of one core", pl::concat(peak() * 1e-9, " gflops, vectors of ", pl::simd::width<A>, " floats"));
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
