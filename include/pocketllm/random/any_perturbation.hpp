// SPDX-License-Identifier: Apache-2.0
// The library's perturbations, and one that is chosen among them by name.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/random/factored.hpp>
#include <pocketllm/random/gaussian.hpp>
#include <pocketllm/random/low_rank.hpp>
#include <pocketllm/random/perturbation.hpp>
#include <pocketllm/random/rademacher.hpp>
#include <pocketllm/random/shaper.hpp>
#include <pocketllm/random/stream.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <variant>

namespace pocketllm::random {

/// Gaussian, Rademacher or LowRank, chosen by name when the program runs: programs that offer them need not
/// be compiled for each. The choice costs a branch for a block of a row. A Shaper may change what it makes.
class AnyPerturbation {
public:
  std::string_view name = Gaussian::name; ///< of the one that was chosen

  AnyPerturbation() = default; ///< Gaussian
  /// From one of the library's, with its rank.
  template <class P>
  requires std::same_as<P, Gaussian> || std::same_as<P, Rademacher> || std::same_as<P, LowRank>
  explicit AnyPerturbation(P one) : name(P::name), chosen_(one) {}
  /// `rank` is that of LowRank. Throws Error for a name that is none of the library's, and for a rank that
  /// LowRank does not have.
  explicit AnyPerturbation(std::string_view wanted, std::uint32_t rank = LowRank{}.rank) {
    if (wanted == Rademacher::name) {
      chosen_ = Rademacher{};
    } else if (wanted == LowRank::name) {
      require(rank >= 1 && rank <= LowRank::most, "noise of rank ", rank, "; it must be from 1 to ",
              LowRank::most);
      chosen_ = LowRank{rank};
    } else {
      require(wanted == Gaussian::name, "there is no perturbation called ", wanted, "; there are ",
              Gaussian::name, ", ", Rademacher::name, " and ", LowRank::name);
    }
    name = std::visit([](auto const& one) { return std::string_view(one.name); }, chosen_);
  }

  /// The same, shaped; the shaper must outlive all copies.
  [[nodiscard]] AnyPerturbation shaped_by(Shaper const& shaper) const noexcept {
    AnyPerturbation shaped = *this;
    shaped.shaper_ = &shaper;
    return shaped;
  }

  /// See Shaper; none without one.
  [[nodiscard]] std::optional<std::size_t> quiet_layers(std::span<std::uint64_t const> seeds) const {
    return shaper_ == nullptr ? std::nullopt : shaper_->quiet_layers(seeds);
  }

  template <class Self, class F>
  static void parameters(Self& self, F&& f) {
    if (auto* const low_rank = std::get_if<LowRank>(&self.chosen_)) {
      LowRank::parameters(*low_rank, f);
    }
    if (self.shaper_ != nullptr) {
      float const parameter = self.shaper_->parameter();
      f(self.shaper_->name().data(), parameter); // a literal
    }
  }

  /// z of the chosen one, then shaped; see Perturbation.
  template <class A>
  void fill(Stream stream, std::size_t row, std::size_t block, std::size_t count, float* out) const noexcept {
    if (shaper_ == nullptr) {
      fill_chosen<A>(stream, row, block, count, out);
    } else if (shaper_->is_silent(stream)) {
      std::fill_n(out, (count + lanes - 1) / lanes * lanes, 0.0F);
    } else {
      fill_chosen<A>(stream, row, block, count, out);
      shaper_->shape(stream, row, block, count, out);
    }
  }

  /// Those of LowRank; 0 when another one was chosen or it is shaped, and then they must not be asked for.
  [[nodiscard]] std::size_t factors() const noexcept {
    auto const* const low_rank = std::get_if<LowRank>(&chosen_);
    return low_rank == nullptr || shaper_ != nullptr ? 0 : low_rank->factors();
  }
  /// LowRank's, whichever was chosen.
  [[nodiscard]] static constexpr std::uint64_t columns_seed(std::uint64_t seed) noexcept {
    return LowRank::columns_seed(seed);
  }
  /// LowRank's; only where factors() is not 0.
  template <class A>
  [[nodiscard]] [[gnu::always_inline]] simd::f32<A> row_factor(Stream stream, std::size_t row,
                                                               std::size_t r) const noexcept {
    return std::get_if<LowRank>(&chosen_)->template row_factor<A>(stream, row, r);
  }
  /// LowRank's; only where factors() is not 0.
  template <class A>
  [[nodiscard]] float const* column_factors(Stream stream, std::size_t block) const noexcept {
    return std::get_if<LowRank>(&chosen_)->template column_factors<A>(stream, block);
  }

private:
  template <class A>
  void fill_chosen(Stream stream, std::size_t row, std::size_t block, std::size_t count,
                   float* out) const noexcept {
    if (auto const* const low_rank = std::get_if<LowRank>(&chosen_)) {
      low_rank->fill<A>(stream, row, block, count, out);
    } else if (std::holds_alternative<Rademacher>(chosen_)) {
      Rademacher{}.fill<A>(stream, row, block, count, out);
    } else {
      Gaussian{}.fill<A>(stream, row, block, count, out);
    }
  }

  std::variant<Gaussian, Rademacher, LowRank> chosen_;
  Shaper const* shaper_ = nullptr;
};

/// Perturbations of the library itself.
template <class P>
inline constexpr bool is_own_perturbation = std::same_as<P, Gaussian> || std::same_as<P, Rademacher> ||
                                            std::same_as<P, LowRank> || std::same_as<P, AnyPerturbation>;

static_assert(Factored<AnyPerturbation>);

} // namespace pocketllm::random
