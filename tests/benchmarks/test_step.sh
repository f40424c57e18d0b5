# SPDX-License-Identifier: Apache-2.0
# bench_step: every figure is there and makes sense, and what a user may get wrong is one line.
. "$(dirname "$0")/../examples/common.sh"

measure() {
  run --model tiny --batch 2 --tokens 8 --steps 1 "$@"
}

measure --threads 1 --json step.json
expect_success 'x 2 forwards'
for key in model storage activations adapter perturbation points batch tokens threads steps processor compiler parameters \
  trained weights_bytes peak_rss_bytes private_dirty_bytes forward_seconds step_seconds update_seconds step_over_forwards gflops loss; do
  [ "$(grep -c "^  \"$key\": " step.json)" -eq 1 ] || complain "$key is not in the JSON once"
done
# 5,397,504 weights: the tiny model's, as transformers counts them
check 'parameters' grep -qF '"parameters": 5397504,' step.json
check 'bytes of weights' grep -qF '"weights_bytes": 21590016,' step.json
check 'threads' grep -qF '"threads": 1,' step.json
# the loss of a choice between two words by a model that knows nothing is about ln 2
check 'the loss' grep -qE '"loss": 0\.[5-9]' step.json

for storage in f16 bf16; do
  for perturbation in gaussian rademacher; do
    measure --storage "$storage" --perturbation "$perturbation" --points 4
    expect_success "as $storage"
    expect_success "4 points, $perturbation"
  done
done
measure --perturbation none --points 3 --json -
expect_success '"points": 3,'
[ "$(head -c 1 out.txt)" = '{' ] || complain 'something beside the JSON'
measure --model "$model"
expect_success '5.398 million weights'

opt=$(dirname "$model")/tiny-opt
for storage in f16 i8 i4; do
  for adapter in lora prefix; do
    measure --model "$opt" --storage "$storage" --adapter "$adapter"
    expect_success "as $storage"
  done
done
measure --model "$opt" --storage i4 --adapter lora --activations i8
expect_success 'as i4, activations as i8'
measure --model "$opt" --storage f32
expect_success 'million weights, all trained'
measure --model "$opt" --storage i8
expect_early_error 1 'train an adapter on it'

measure --points 3
expect_early_error 1 '--points 3: points come in pairs; give an even number, or --perturbation none'
measure --model nowhere
expect_early_error 1 '--model nowhere: is no directory; give one, or roberta-large, roberta-base or tiny'
measure --tokens 257
expect_early_error 1 '--tokens 257: the model has positions for 256'
measure --json missing/step.json
expect_early_error 1 'missing/step.json: cannot be opened for writing'
measure --storage i8
expect_early_error 1 '--storage i8 is for an OPT under an adapter here'
measure --activations i8
expect_early_error 1 '--activations i8: weights of f32 are multiplied as floats; it needs --storage i8 or i4'
measure --storage i6
expect_early_error 2 '--storage: i6 not in {f32,f16,bf16,i8,i4}'
measure --adapter lora
expect_early_error 1 '--adapter is for an OPT here'
measure --perturbation sparse
expect_early_error 2 '--perturbation: sparse not in {none,gaussian,rademacher,low-rank}'
measure --steps 0
expect_early_error 2 '--steps: 0 is too small; give at least 1'
measure --nothing
expect_early_error 2 '--nothing is not known; --help lists the options'

run --help
expect_success 'Measures a whole training step in memory'
[ -z "$(grep -E '.{81}' out.txt)" ] || complain 'a line is wider than 80 columns'
finish
