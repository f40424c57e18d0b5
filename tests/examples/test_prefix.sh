# SPDX-License-Identifier: Apache-2.0
# finetune_classifier with a prefix: only that is trained and written, a journal resumes it, and a further run goes on
# with it.
. "$(dirname "$0")/common.sh"
trainer=$program
replay=$(dirname "$program")/replay
opt=$(dirname "$model")/tiny-opt

result_of() {
  sed -n "s/^$1  *//p" out.txt
}
with_prefix() {
  classify --k-shot 8 --test-size 20 --batch 4 --adapter prefix --epsilon 1e-1 --learning-rate 1 --seed 2 "$@"
}

for storage in f32 f16; do
  with_prefix --steps 6 --storage "$storage" --journal "$storage.journal" --out "$storage" --predictions "$storage.jsonl"
  expect_success "model in        $storage"
  grep -q '^model .* million weights, 0\.0102 million trained' out.txt || complain 'not the prefix is trained'
  before=$(result_of before) after=$(result_of after) weights=$(result_of weights)
  [ -n "$after" ] && [ "$before" != "$after" ] || complain 'nothing was learnt'
  [ "$(find "$storage" -type f | wc -l)" -eq 2 ] || complain 'not two files of a prefix'
  for line in '"peft_type": "PREFIX_TUNING"' '"task_type": "FEATURE_EXTRACTION"' '"num_virtual_tokens": 5'; do
    check "$line" grep -qF "$line" "$storage/adapter_config.json"
  done
  check 'the journal tells of it' grep -qaF '"prefix": 5' "$storage.journal"

  # Of a journal that lost its last bytes, some steps are made anew.
  head -c "$(($(wc -c <"$storage.journal") - 260))" "$storage.journal" >cut.journal
  with_prefix --steps 6 --storage "$storage" --journal cut.journal --resume --out resumed
  expect_success 'resumed  at step '
  [ "$(result_of 'resumed  at step' | cut -d' ' -f1)" -lt 6 ] || complain 'nothing was left to do'
  [ "$(result_of weights)" = "$weights" ] || complain 'other weights after --resume'
  check 'the same prefix' cmp "$storage/adapter_model.safetensors" resumed/adapter_model.safetensors
  check 'the same words' cmp "$storage/adapter_config.json" resumed/adapter_config.json

  # What was written is what was evaluated.
  with_prefix --steps 0 --storage "$storage" --prefix-from "$storage" --threads 1 --predictions again.jsonl
  [ "$(result_of result)" = "$after" ] || complain "$(result_of result) instead of $after"
  check 'the same predictions' cmp "$storage.jsonl" again.jsonl
done

# One that is there is gone on with, of as many tokens as it has, over itself.
with_prefix --steps 2 --prefix-tokens 3 --out three
with_prefix --steps 2 --prefix-from three --out three
expect_success 'model in        three'
check 'three tokens' grep -q '"num_virtual_tokens": 3' three/adapter_config.json

# In the memory that there is.
with_prefix --steps 2 --threads 2 --memory-budget 20
expect_success ' of weights as f16 and '

# Of an OPT, as finetune_causal does.
run --model "$opt" --data "$data" --text-column SMS --label-column Label --k-shot 4 --test-size 4 --batch 4 \
  --label-words ham=personal,spam=commercial --template '{text} This is {mask}' --max-tokens 24 --steps 2 \
  --adapter prefix --epsilon 1e-1 --learning-rate 1e-2 --out opt
expect_success 'model in        opt'
after=$(result_of after)
check 'of an OPT' grep -q '"task_type": "CAUSAL_LM"' opt/adapter_config.json
run --model "$opt" --data "$data" --text-column SMS --label-column Label --k-shot 4 --test-size 4 --batch 4 \
  --label-words ham=personal,spam=commercial --template '{text} This is {mask}' --max-tokens 24 --steps 0 \
  --adapter prefix --prefix-from opt
[ "$(result_of result)" = "$after" ] || complain "$(result_of result) instead of $after"

# Mistakes.
run --model "$model" --data "$data" --text-column SMS --label-column Label --adapter prefix
expect_early_error 1 '--adapter prefix: a prefix needs --label-words, as in ham=personal,spam=commercial'
with_prefix --train '*.bias'
expect_early_error 1 '--train: with --adapter prefix only the prefix is trained'
with_prefix --prefix-tokens 2000
expect_early_error 1 '--prefix-tokens 2000: the model has positions for'
with_prefix --adapter none --prefix-from f32
expect_early_error 1 '--prefix-from f32: a prefix is only there with --adapter prefix'
with_prefix --prefix-from "$model"
expect_early_error 1 'adapter_model.safetensors'
cp -R "$model" kept && chmod -R u+w kept
with_prefix --out kept
expect_early_error 1 '--out kept: holds something else than an adapter'
program=$replay
run --model "$model" --journal f32.journal
expect_early_error 1 'the run trained a prefix beside the model, which only the program that wrote the journal rebuilds, by --resume'
program=$trainer
finish
