// SPDX-License-Identifier: Apache-2.0
// Everything of pocketllm at once. The folders, from the bottom up: core, simd, random, tensor, layers,
// models, text, io, optimize, train; each header can also be included alone.
//
// The letters in the shapes of comments: lanes, the points of the weights at which a loss is evaluated; rows,
// the tokens of all sequences of a batch, one behind the other; width, the numbers that stand for a token.
// Arrays are row-major, so X [lanes, rows, width] has the numbers of a token side by side.
#pragma once

// The reference lists functions, aliases and constants of a namespace only where that is documented.
/// @namespace pocketllm
/// What all folders use: errors, files, storage types, threads and the memory of activations.
/// @namespace pocketllm::simd
/// Vectors of all instruction sets under one set of names, and the innermost loops made of them.
/// @namespace pocketllm::random
/// Directions z, which are pure functions of a seed, a tensor and a place in it.
/// @namespace pocketllm::tensor
/// Weights in any storage, their products at several points at once, and their updates.
/// @namespace pocketllm::layers
/// Parts of models: functions of activations and of weights at several points.
/// @namespace pocketllm::models
/// Models from the layers, with the weights' names of their files.
/// @namespace pocketllm::text
/// Tokenizers, templates of prompts, and data sets.
/// @namespace pocketllm::io
/// Models, checkpoints and journals in files.
/// @namespace pocketllm::optimize
/// Where to evaluate a loss, what slopes follow from that, and what is done to the weights then.
/// @namespace pocketllm::train
/// Objectives, runs and their replay, evaluation, and what limits a run.

#include <pocketllm/core/blake3.hpp>
#include <pocketllm/core/crc32c.hpp>
#include <pocketllm/core/error.hpp>
#include <pocketllm/core/float16.hpp>
#include <pocketllm/core/lanes.hpp>
#include <pocketllm/core/runtime.hpp>
#include <pocketllm/core/scratch_file.hpp>
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
#include <pocketllm/models/frozen_bottom.hpp>
#include <pocketllm/models/generate.hpp>
#include <pocketllm/models/generate_batch.hpp>
#include <pocketllm/models/opt.hpp>
#include <pocketllm/models/prefixed.hpp>
#include <pocketllm/models/roberta.hpp>
#include <pocketllm/optimize/any.hpp>
#include <pocketllm/optimize/estimator.hpp>
#include <pocketllm/optimize/fold.hpp>
#include <pocketllm/optimize/fzoo.hpp>
#include <pocketllm/optimize/hizoo.hpp>
#include <pocketllm/optimize/line.hpp>
#include <pocketllm/optimize/memory.hpp>
#include <pocketllm/optimize/move.hpp>
#include <pocketllm/optimize/multi_point.hpp>
#include <pocketllm/optimize/schedule.hpp>
#include <pocketllm/optimize/selection.hpp>
#include <pocketllm/optimize/update_rule.hpp>
#include <pocketllm/random/any_perturbation.hpp>
#include <pocketllm/random/noise.hpp>
#include <pocketllm/random/perturbation.hpp>
#include <pocketllm/random/perturbed.hpp>
#include <pocketllm/random/shaper.hpp>
#include <pocketllm/tensor/noise_norm.hpp>
#include <pocketllm/tensor/product.hpp>
#include <pocketllm/tensor/small_weights.hpp>
#include <pocketllm/tensor/some_layers.hpp>
#include <pocketllm/tensor/tensor.hpp>
#include <pocketllm/tensor/update.hpp>
#include <pocketllm/tensor/visit.hpp>
#include <pocketllm/tensor/zeros.hpp>
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
#include <pocketllm/train/final_norm.hpp>
#include <pocketllm/train/frozen_bottom.hpp>
#include <pocketllm/train/head_start.hpp>
#include <pocketllm/train/lora_run.hpp>
#include <pocketllm/train/masked_prompt.hpp>
#include <pocketllm/train/memory_budget.hpp>
#include <pocketllm/train/merge.hpp>
#include <pocketllm/train/metrics.hpp>
#include <pocketllm/train/metrics_log.hpp>
#include <pocketllm/train/pacing.hpp>
#include <pocketllm/train/pair_similarity.hpp>
#include <pocketllm/train/part.hpp>
#include <pocketllm/train/peft.hpp>
#include <pocketllm/train/probe.hpp>
#include <pocketllm/train/progress.hpp>
#include <pocketllm/train/replay.hpp>
#include <pocketllm/train/resources.hpp>
#include <pocketllm/train/run_header.hpp>
#include <pocketllm/train/scored.hpp>
#include <pocketllm/train/shaped.hpp>
#include <pocketllm/train/snapshots.hpp>
#include <pocketllm/train/stop.hpp>
#include <pocketllm/train/svg_plot.hpp>
#include <pocketllm/train/team.hpp>
#include <pocketllm/train/terminal.hpp>
#include <pocketllm/train/trainer.hpp>
#include <pocketllm/train/written_answers.hpp>
