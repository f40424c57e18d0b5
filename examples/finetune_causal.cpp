// SPDX-License-Identifier: Apache-2.0
// Fine-tunes an OPT on texts, answers or choices by forward passes alone: finetune_causal --help
#include "causal_run.hpp"

int main(int argc, char** argv) {
  examples::CausalOptions options;
  int status = 0;
  if (!examples::parse(argc, argv, options, status)) {
    return status;
  }
  return examples::run_program(
      "finetune_causal", "try a smaller --batch or --max-tokens, or a --storage of fewer bits", [&] {
        examples::settle(options.phone, options.threads);
        examples::check_loss(options);
        return options.label_words.empty()
                   ? examples::run_causal<examples::TextTask, true>(options, "finetune_causal")
                   : examples::run_causal<examples::ChoiceTask, true>(options, "finetune_causal");
      });
}
