# SPDX-License-Identifier: Apache-2.0
# The journal of a run that trained LoRA terms makes them again, to the last byte of both files.
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/causal.sh"
trainer=$program
replay=$(dirname "$program")/replay

# lora NAME FURTHER...: a run of six steps with a journal, NAME.journal, and its terms in NAME.
lora() {
  name=$1
  shift
  program=$trainer
  write_texts --steps 6 --adapter lora --learning-rate 1e-3 --sample-tokens 0 --journal "$name.journal" --out "$name" "$@"
  expect_success "journal in      $name.journal"
  program=$replay
}

for storage in f32 f16 i8 i4; do
  lora "$storage" --storage "$storage" --seed 3
  run --model "$opt" --journal "$storage.journal" --out "$storage-again" --verify
  expect_success 'verified blake3:'
  expect_success "adapter in $storage-again"
  for file in adapter_model.safetensors adapter_config.json; do
    check "the same $file ($storage)" cmp "$storage/$file" "$storage-again/$file"
  done
done
cmp -s f32/adapter_model.safetensors i4/adapter_model.safetensors && complain 'storages make no difference'

# Other terms, of which only one factor is trained, from another seed.
lora other --lora-rank 3 --lora-alpha 5.5 --lora-targets '*.fc1,*.out_proj' --train '*.lora_B.weight' --seed 4
run --model "$opt" --journal other.journal --out other-again --verify
expect_success 'verified blake3:'
check 'the same terms' cmp other/adapter_model.safetensors other-again/adapter_model.safetensors
check 'the same words' cmp other/adapter_config.json other-again/adapter_config.json
run --model "$opt" --journal f32.journal --steps 2 --out two
expect_success ': 2 steps in '
cmp -s f32/adapter_model.safetensors two/adapter_model.safetensors && complain 'the same terms after 2 and after 6 steps'

# What cannot be replayed says why.
run --model "$opt" --journal f32.journal --journal other.journal
expect_early_error 1 'f32.journal: the run trained LoRA terms of its own; replay it alone'
cp -R "$opt" kept && chmod -R u+w kept
run --model "$opt" --journal f32.journal --out kept
expect_error 1 'kept'
check 'the model is there' test -s kept/model.safetensors
program=$trainer
write_texts --steps 2 --adapter prefix --journal prefix.journal --sample-tokens 0
program=$replay
run --model "$opt" --journal prefix.journal
expect_early_error 1 'the run trained a prefix beside the model, which only the program that wrote the journal rebuilds, by --resume'
finish
