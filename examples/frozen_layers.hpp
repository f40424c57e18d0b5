// SPDX-License-Identifier: Apache-2.0
// What finetune_classifier keeps of the layers that it does not train.
#pragma once

#include "classifier_options.hpp"
#include "training_run.hpp"
#include <pocketllm/pocketllm.hpp>

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <ostream>
#include <vector>

namespace examples {

/// The states of the examples to train on and, in what they leave of the budget, of those to test on if they
/// are evaluated time and again.
class FrozenLayers {
public:
  /// Of a model without such.
  FrozenLayers() = default;

  /// Finds out what a cache would hold and how much it may.
  template <class Model, class Objective>
  FrozenLayers(ClassifierOptions const& o, Model const& model, Objective const& objective,
               std::vector<typename Objective::Example> const& train,
               std::vector<typename Objective::Example> const& test)
      : layers_(model.first_trained_layer()) {
    if (layers_.value_or(0) == 0) { // the embeddings alone are quickly made
      return;
    }
    // two evaluations, before and after, would gain little
    using Kept = pocketllm::train::OnFrozenBottom<Objective>;
    std::size_t const of_train = Kept::bytes(objective, model, train);
    std::size_t const of_test = o.eval_every != 0 ? Kept::bytes(objective, model, test) : 0;
    std::size_t const most = budget(o, model);
    wanted_ = of_train + of_test;
    train_ = make_cache(std::min(of_train, most), o.cache_dir);
    test_ = make_cache(std::min(of_test, most - train_.budget()), o.cache_dir);
    in_file_ = !o.cache_dir.empty();
  }

  [[nodiscard]] pocketllm::train::BottomCache& train() noexcept { return train_; }
  [[nodiscard]] pocketllm::train::BottomCache& test() noexcept { return test_; }

  /// Keeps nothing any more.
  void forget() noexcept {
    train_ = pocketllm::train::BottomCache(0), test_ = pocketllm::train::BottomCache(0);
  }

  /// "frozen   embeddings and the first 3 layers, computed once for each text, kept in 21 MB"
  void print(std::ostream& out) const {
    using pocketllm::train::format_bytes;
    if (!layers_) {
      return;
    }
    out << "frozen   embeddings";
    if (*layers_ != 0) {
      out << " and the first " << *layers_ << (*layers_ == 1 ? " layer" : " layers");
    }
    std::size_t const kept = train_.budget() + test_.budget();
    if (kept == 0) {
      out << ", computed once for all points of a step";
    } else if (kept < wanted_) {
      out << ", computed once for each text that " << format_bytes(kept) << " have room for (all take "
          << format_bytes(wanted_) << ")";
    } else {
      out << ", computed once for each text, kept in " << format_bytes(kept);
    }
    if (in_file_ && kept != 0) {
      out << " of a file";
    }
    out << '\n';
  }

private:
  static pocketllm::train::BottomCache make_cache(std::size_t bytes, std::filesystem::path const& directory) {
    return directory.empty() ? pocketllm::train::BottomCache(bytes)
                             : pocketllm::train::BottomCache(bytes, directory);
  }

  /// Bytes for both caches: --cache, or less where --memory-budget leaves less and they are in memory.
  template <class Model>
  static std::size_t budget(ClassifierOptions const& o, Model const& model) {
    constexpr std::size_t mega = 1'000'000;
    auto const asked = static_cast<std::size_t>(o.cache) * mega;
    if (o.phone.memory_budget == 0 || !o.cache_dir.empty()) {
      return asked;
    }
    // a batch of states that are put together from the cache lies beside the activations
    std::size_t const batch = std::max(o.evaluation_batch, static_cast<std::size_t>(o.batch)) *
                              static_cast<std::size_t>(o.max_tokens) * model.hidden_width() * sizeof(float);
    std::size_t const taken = pocketllm::tensor::weight_bytes(model) + o.activation_bytes + batch;
    std::size_t const allowed = static_cast<std::size_t>(o.phone.memory_budget) * mega;
    return std::min(asked, allowed - std::min(allowed, taken));
  }

  std::optional<std::size_t> layers_; ///< below the lowest trained one
  pocketllm::train::BottomCache train_{0}, test_{0};
  std::size_t wanted_ = 0; ///< bytes for all examples
  bool in_file_ = false;
};

} // namespace examples
