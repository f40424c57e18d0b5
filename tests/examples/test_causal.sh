# SPDX-License-Identifier: Apache-2.0
# finetune_causal on texts and choices, with a prefix, and what generate makes of the results.
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/causal.sh"
number='-?[0-9]+(\.[0-9]+)?(e-?[0-9]+)?'

for flag in --help -h; do
  run "$flag"
  expect_success 'Fine-tunes a causal language model'
done
[ -z "$(grep -E '.{81}' out.txt)" ] || complain 'a line is wider than 80 columns'
for option in --model --data --where --template --answer --label-words --steps --loss --storage --activations --adapter --write-answers \
  --prompt --norm-steps --norm-rate; do
  [ "$(grep -cE "^  (-h,)?$option( |\$)" out.txt)" -eq 1 ] || complain "$option is not listed once"
done

# Texts: the same for any threads, and what was written is what was evaluated.
write_texts --steps 6 --threads 1 --out one --metrics m.csv --plot c.svg --predictions p.jsonl --min-tokens 6
expect_success 'data     60 texts to train on'
after=$(result_of after)
[ -n "$after" ] && [ "$(result_of before)" != "$after" ] || complain 'nothing was learnt'
[ "$(grep -c '^sample ' out.txt)" -eq 2 ] || complain 'not a sample before and after'
check 'a picture' grep -q '</svg>' c.svg
[ "$(wc -l <m.csv)" -eq 9 ] || complain 'not a header, two evaluations and six steps'
line="^\{\"log_probability\":$number,\"tokens\":[0-9]+,\"fields\":\{\"SMS\":\".*\"\}\}\$"
[ "$(grep -cE "$line" p.jsonl)" -eq "$some" ] || complain 'a prediction is not as expected'
write_texts --steps 6 --threads 2 --out two --min-tokens 6
check 'the same weights with two threads' cmp one/model.safetensors two/model.safetensors
write_texts --steps 0 --model one --min-tokens 6
[ "$(result_of result)" = "$after" ] || complain "$(result_of result) instead of $after"

# The last norm alone: better, the same bits for any threads, and nothing but the norm is another one.
for threads in 1 2; do
  write_texts --norm-steps 20 --steps 0 --threads "$threads" --out "norm$threads" --cache $((threads - 1))
  expect_success "norm     20 steps of the last LayerNorm, rate 0.03125"
done
check 'the same weights with two threads and without a cache' cmp norm1/model.safetensors norm2/model.safetensors
start=$(result_of start | sed 's/perplexity \([0-9]*\).*/\1/') result=$(result_of result | sed 's/perplexity \([0-9]*\).*/\1/')
[ "$result" -lt $((start * 9 / 10)) ] || complain "perplexity $start, and $result with the last norm trained"
write_texts --norm-steps 20 --steps 2 --threads 2
[ "$(result_of before)" = "$(write_texts --norm-steps 20 --steps 0 --threads 1; result_of result)" ] ||
  complain 'steps do not begin where the norm ends'
if [ -z "${POCKETLLM_TEST_FEW:-}" ]; then
  write_texts --method auto --threads 2
  expect_success 'norm     300 steps of the last LayerNorm'
  expect_success 'result   perplexity'
else # which take an emulated processor half an hour: what it chooses is seen in an error
  write_texts --method auto --norm-rate 1e38
  expect_error 1 'of the last norm: the loss is not a finite number'
fi
write_texts --method auto --steps 1 --norm-steps 0
[ -z "$(result_of start)" ] || complain 'the last norm is trained without being asked for'
write_texts --model norm1 --norm-steps 1 --steps 0
result=$(result_of start)
write_texts --model norm1 --steps 0
[ "$(result_of result)" = "$result" ] || complain "$(result_of result) as saved, $result as read"

# A prefix: only that is written, over one that is there, and generate reads it.
for steps in 1 3; do
  write_texts --steps "$steps" --adapter prefix --epsilon 1e-1 --learning-rate 1e-2 --out prefix --storage f16
  expect_success 'million trained'
done
[ "$(find prefix -type f | wc -l)" -eq 2 ] || complain 'not two files of a prefix'
check 'of the kind' grep -q PREFIX_TUNING prefix/adapter_config.json
"$generate" --model "$opt" --storage f16 --prompt 'I am' --temperature 0 --max-tokens 8 >plain.txt
check 'as many tokens' [ -s plain.txt ]
"$generate" --model "$opt" --storage f16 --prompt 'I am' --temperature 0 --max-tokens 8 --adapter prefix >prefixed.txt
cmp -s plain.txt prefixed.txt && complain 'the prefix changes nothing'
echo 'I am' | "$generate" --model "$opt" --storage f16 --temperature 0 --max-tokens 8 >line.txt
check 'the same from a line' cmp plain.txt line.txt
"$generate" --model "$opt" --prompt 'I am' --seed 1 >first.txt
"$generate" --model "$opt" --prompt 'I am' --seed 1 >again.txt
check 'the same seed, the same text' cmp first.txt again.txt

# LoRA on a base of any storage: only the terms are written, or, merged, the whole model.
for storage in f32 i8 i4; do
  write_texts --steps 3 --adapter lora --learning-rate 1e-3 --storage "$storage" --out "lora-$storage"
  expect_success 'million trained'
  [ "$(find "lora-$storage" -type f | wc -l)" -eq 2 ] || complain 'not two files of an adapter'
  "$generate" --model "$opt" --storage "$storage" --prompt 'I am' --max-tokens 4 --adapter "lora-$storage" >lora.txt
  check 'a text' [ -s lora.txt ]
done
# Products of integers: the figures of those of floats but for their last digits, and the same with any instructions.
for level in avx2 avx512; do
  export POCKETLLM_LEVEL=$level
  write_texts --steps 3 --adapter lora --learning-rate 1e-3 --storage i8 --activations i8 --predictions "$level.jsonl"
  expect_success 'million trained'
done
unset POCKETLLM_LEVEL
integers=$(result_of after)
if grep -q avx2 /proc/cpuinfo 2>/dev/null; then
  check 'AVX2 and AVX-512 agree' cmp avx2.jsonl avx512.jsonl
fi
write_texts --steps 3 --adapter lora --learning-rate 1e-3 --storage i8 --predictions floats.jsonl
floats=$(result_of after)
[ "$(echo "$floats" | cut -c1-6)" = "$(echo "$integers" | cut -c1-6)" ] || complain "$integers beside $floats"
! cmp -s avx2.jsonl floats.jsonl || complain '--activations i8 has no effect'
write_texts --steps 1 --adapter lora --activations i8
expect_early_error 1 '--activations i8: weights of f32 are multiplied as floats; it needs --storage i8 or i4'
"$generate" --model "$opt" --storage i4 --activations i8 --prompt 'I am' --max-tokens 4 >integers.txt
check 'a text' [ -s integers.txt ]

# A memory budget goes on to storages that are only read, unless they are to be merged into.
write_texts --steps 3 --adapter lora --learning-rate 1e-3 --batch 2 --max-tokens 64 --threads 2 --memory-budget 10
expect_success ' of weights as i8 and '
after=$(result_of after)
write_texts --steps 3 --adapter lora --learning-rate 1e-3 --batch 2 --max-tokens 64 --threads 2 --storage i8
[ "$(result_of after)" = "$after" ] || complain "i8: $(result_of after) instead of $after"
for adapter in none prefix; do
  write_texts --steps 1 --adapter "$adapter" --batch 2 --max-tokens 64 --threads 2 --memory-budget 8
  case $adapter in
  none) expect_early_error 1 'train an --adapter lora, whose model may have 4 bits a weight' ;;
  *) expect_success ' of weights as i4 and ' ;;
  esac
done
write_texts --steps 3 --adapter lora --learning-rate 1e-3 --merge --out merged
after=$(result_of after)
write_texts --steps 0 --model merged
[ "$(result_of result)" = "$after" ] || complain "merged: $(result_of result) instead of $after"

# One text, in windows.
cut -f2 "$data" | head -n 100 >notes.txt
run --model "$opt" --data notes.txt --max-tokens 24 --overlap 8 --test-size 4 --steps 1 --batch 4
expect_success 'to train on, 4 to test on'

# Choices, by either program with the same result.
run --model "$opt" --data "$data" --text-column SMS --label-column Label --template '{text} This message is ' \
  --label-words ham=personal,spam=commercial --k-shot 4 --test-size 20 --max-tokens "$tokens" --steps 2 --batch 4 \
  --predictions c.jsonl
expect_success 'label \ predicted'
after=$(result_of after)
[ "$(grep -c '"scores":{"ham":-[0-9.]*,"spam":-[0-9.]*}' c.jsonl)" -eq 20 ] || complain 'not 20 predictions'
program=$classifier
run --model "$opt" --data "$data" --text-column SMS --label-column Label --template '{text} This message is {mask}' \
  --label-words ham=personal,spam=commercial --k-shot 4 --test-size 20 --max-tokens "$tokens" --steps 2 --batch 4
expect_success 'label \ predicted'
[ "$(result_of after)" = "$after" ] || complain "$(result_of after) instead of $after"
finish
