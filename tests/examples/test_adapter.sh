# SPDX-License-Identifier: Apache-2.0
# finetune_classifier with LoRA terms: what is written is the whole model, and it is what was evaluated; a journal makes
# it again.
. "$(dirname "$0")/common.sh"
trainer=$program
replay=$(dirname "$program")/replay

result_of() {
  sed -n "s/^$1  *//p" out.txt
}
# The last loss on the test examples in the figures $1.
last_loss() {
  awk -F, 'NR == 1 { for (i = 1; i <= NF; ++i) if ($i == "eval_loss") c = i } NR > 1 && $c != "" { loss = $c } END { print loss }' "$1"
}
on_prompt() {
  classify --k-shot 8 --test-size 20 --batch 4 --adapter lora --learning-rate 1e-2 --seed 2 "$@"
}
on_head() {
  run --model "$model" --data "$data" --text-column SMS --label-column Label --k-shot 8 --test-size 20 --batch 4 \
    --max-tokens "$tokens" --adapter lora --head-steps 20 --learning-rate 1e-3 "$@"
}

for storage in f32 f16; do
  for kind in prompt head; do
    name=$kind-$storage
    program=$trainer
    on_$kind --steps 6 --eval-every 6 --storage "$storage" --journal "$name.journal" --out "$name" --metrics "$name.csv"
    expect_success "model in        $name"
    grep -q '^model .* million weights, 0\.0[0-9]* million trained' out.txt || complain 'not the terms are trained'
    before=$(result_of before)
    after=$(result_of after)
    weights=$(result_of weights)
    [ "$before" != "$after" ] || complain 'nothing was learnt'
    on_$kind --steps 6 --eval-every 6 --storage "$storage" --journal "$name.journal" --resume --out "$name-resumed"
    [ "$(result_of weights)" = "$weights" ] || complain "other weights after --resume ($name)"
    program=$replay
    run --model "$model" --journal "$name.journal" --verify --out "$name-again"
    expect_success "verified $weights"
    for directory in "$name-resumed" "$name-again"; do
      check "the same model in $directory" cmp "$name/model.safetensors" "$directory/model.safetensors"
      check "the same config.json in $directory" cmp "$name/config.json" "$directory/config.json"
    done
  done
done
cmp -s "$model/model.safetensors" prompt-f32/model.safetensors && complain 'the model as it was'

# The terms count in the model as they do in its weights.
program=$trainer
classify --k-shot 8 --test-size 20 --batch 4 --seed 2 --steps 0 --model prompt-f32 --metrics merged.csv
merged=$(last_loss merged.csv) beside=$(last_loss prompt-f32.csv)
awk -v a="$merged" -v b="$beside" 'BEGIN { d = (a - b) / a; exit !(a > 0 && d * d < 1e-8) }' ||
  complain "loss $beside with the terms beside the weights, $merged in them"

# Terms in the top layer alone: what is below is kept, and no more once they are part of the weights.
on_prompt --lora-targets '*.layer.3.*.query,*.layer.3.*.dense' --lora-rank 2 --steps 5 --eval-every 2 --out top
expect_success 'frozen   embeddings and the first 3 layers, computed once for each text'
on_prompt --lora-targets '*.q_proj' --steps 1
expect_error 1 'no linear layer of the model matches "*.q_proj"'
on_prompt --adapter lorry
expect_early_error 2 '--adapter: lorry not in {none,lora,prefix}'

# Of an OPT too, --out is the whole.
run --model "$(dirname "$model")/tiny-opt" --data "$data" --text-column SMS --label-column Label --k-shot 4 --test-size 4 \
  --label-words ham=personal,spam=commercial --template '{text} This is {mask}' --batch 4 --max-tokens 24 \
  --adapter lora --steps 2 --out opt
expect_success 'model in        opt'
check 'a whole model' test "$(wc -c <opt/model.safetensors)" -gt 5000000
finish
