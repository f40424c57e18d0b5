// SPDX-License-Identifier: Apache-2.0
// What finetune_causal makes small on texts and answers, as --loss asks.
#pragma once

#include "causal_options.hpp"
#include <pocketllm/pocketllm.hpp>

#include <cstddef>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace examples {

namespace pl = pocketllm;

using Tokenizer = pl::text::AnyTokenizer;

/// The cross-entropy of tokens or, when it is given an objective for that, a loss of the answers that the
/// model writes. What is known of frozen layers' states serves the tokens alone: written texts are new ones
/// each time.
class TextObjective : public pl::train::NextTokenLoss {
public:
  using Written = pl::train::WrittenAnswers<Tokenizer>;
  struct Batch : pl::train::NextTokenLoss::Batch {
    Written::Batch answers = {};
  };

  TextObjective() = default;
  explicit TextObjective(Written written) : written_(std::move(written)) {}

  [[nodiscard]] bool writes() const noexcept { return written_.has_value(); }

  [[nodiscard]] Batch batch(std::span<Example const> examples, std::span<std::size_t const> indices) const {
    Batch batch{NextTokenLoss::batch(examples, indices)};
    if (written_) {
      batch.answers = written_->batch(examples, indices);
    }
    return batch;
  }

  template <pl::train::CausalLanguageModel Model, pl::random::Perturbation P, class... Bottom>
  [[nodiscard]] std::vector<float> operator()(Model const& model, Batch const& batch,
                                              pl::random::Perturbed<P> const& at, pl::Runtime& runtime,
                                              Bottom const&... bottom) const {
    return written_ ? (*written_)(model, batch.answers, at, runtime)
                    : NextTokenLoss::operator()(model, batch, at, runtime, bottom...);
  }

private:
  std::optional<Written> written_;
};

/// Throws Error for a --loss that the task does not have.
inline void check_loss(CausalOptions const& o) {
  pl::require(o.loss == "cross-entropy" || !o.answer.empty(), "--loss ", o.loss,
              ": is of answers that the model writes to questions; give --answer, or train on cross-entropy");
}

} // namespace examples
