// SPDX-License-Identifier: Apache-2.0
// Fine-tunes an OPT on texts, answers or choices by forward passes alone: finetune_causal --help
#include "causal_run.hpp"

#include <exception>
#include <iostream>
#include <new>

int main(int argc, char** argv) {
  examples::CausalOptions options;
  int status = 0;
  if (!examples::parse(argc, argv, options, status)) {
    return status;
  }
  try {
    return options.label_words.empty()
               ? examples::run_causal<examples::TextTask>(options, "finetune_causal")
               : examples::run_causal<examples::ChoiceTask>(options, "finetune_causal");
  } catch (std::bad_alloc const&) {
    std::cerr << "finetune_causal: out of memory; try a smaller --batch or --max-tokens, or --storage f16\n";
    return 1;
  } catch (std::exception const& error) {
    std::cerr << "finetune_causal: " << error.what() << '\n';
    return 1;
  }
}
