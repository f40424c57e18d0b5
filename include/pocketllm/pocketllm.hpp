// SPDX-License-Identifier: Apache-2.0
// Everything of pocketllm at once. The folders, from the bottom up: core, simd, random, tensor, layers,
// models, text, io, optimize, train; each header can also be included alone.
//
// The letters in the shapes of comments: lanes, the points of the weights at which a loss is evaluated; rows,
// the tokens of all sequences of a batch, one behind the other; width, the numbers that stand for a token.
// Arrays are row-major, so X [lanes, rows, width] has the numbers of a token side by side.
#pragma once

#include <pocketllm/core/blake3.hpp>
#include <pocketllm/core/crc32c.hpp>
#include <pocketllm/core/error.hpp>
#include <pocketllm/core/float16.hpp>
#include <pocketllm/core/lanes.hpp>
#include <pocketllm/core/runtime.hpp>
#include <pocketllm/io/digest.hpp>
#include <pocketllm/io/digest_cache.hpp>
#include <pocketllm/io/journal.hpp>
#include <pocketllm/io/load.hpp>
#include <pocketllm/io/save.hpp>
#include <pocketllm/io/save_classifier.hpp>
#include <pocketllm/layers/attention.hpp>
#include <pocketllm/layers/causal_attention.hpp>
#include <pocketllm/layers/embedding.hpp>
#include <pocketllm/layers/layer_norm.hpp>
#include <pocketllm/layers/linear.hpp>
#include <pocketllm/layers/lora.hpp>
#include <pocketllm/models/batch.hpp>
#include <pocketllm/models/bert.hpp>
#include <pocketllm/models/causal_batch.hpp>
#include <pocketllm/models/class_head.hpp>
#include <pocketllm/models/generate.hpp>
#include <pocketllm/models/opt.hpp>
#include <pocketllm/models/prefixed.hpp>
#include <pocketllm/models/roberta.hpp>
#include <pocketllm/optimize/estimator.hpp>
#include <pocketllm/optimize/move.hpp>
#include <pocketllm/optimize/schedule.hpp>
#include <pocketllm/optimize/selection.hpp>
#include <pocketllm/optimize/update_rule.hpp>
#include <pocketllm/random/noise.hpp>
#include <pocketllm/random/perturbation.hpp>
#include <pocketllm/random/perturbed.hpp>
#include <pocketllm/tensor/product.hpp>
#include <pocketllm/tensor/tensor.hpp>
#include <pocketllm/tensor/update.hpp>
#include <pocketllm/tensor/visit.hpp>
#include <pocketllm/text/dataset.hpp>
#include <pocketllm/text/label_word.hpp>
#include <pocketllm/text/load_tokenizer.hpp>
#include <pocketllm/text/prompt_template.hpp>
#include <pocketllm/text/sentence.hpp>
#include <pocketllm/text/split.hpp>
#include <pocketllm/train/answer_match.hpp>
#include <pocketllm/train/batches.hpp>
#include <pocketllm/train/candidate_choice.hpp>
#include <pocketllm/train/causal_text.hpp>
#include <pocketllm/train/classification_head.hpp>
#include <pocketllm/train/confusion_table.hpp>
#include <pocketllm/train/cores.hpp>
#include <pocketllm/train/device_state.hpp>
#include <pocketllm/train/evaluate.hpp>
#include <pocketllm/train/features.hpp>
#include <pocketllm/train/head_start.hpp>
#include <pocketllm/train/lora_run.hpp>
#include <pocketllm/train/masked_prompt.hpp>
#include <pocketllm/train/merge.hpp>
#include <pocketllm/train/metrics.hpp>
#include <pocketllm/train/metrics_log.hpp>
#include <pocketllm/train/pacing.hpp>
#include <pocketllm/train/pair_similarity.hpp>
#include <pocketllm/train/part.hpp>
#include <pocketllm/train/peft.hpp>
#include <pocketllm/train/progress.hpp>
#include <pocketllm/train/replay.hpp>
#include <pocketllm/train/resources.hpp>
#include <pocketllm/train/run_header.hpp>
#include <pocketllm/train/snapshots.hpp>
#include <pocketllm/train/stop.hpp>
#include <pocketllm/train/svg_plot.hpp>
#include <pocketllm/train/team.hpp>
#include <pocketllm/train/terminal.hpp>
#include <pocketllm/train/trainer.hpp>
