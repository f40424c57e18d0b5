# SPDX-License-Identifier: Apache-2.0
# A short run of finetune_similarity: figures before and after, an encoder that loads again and is made again from the
# journal, methods, terms of low rank, scores that are none.
. "$(dirname "$0")/common.sh"

printf 'a\tb\tscore\nhello there\tgood morning\t1\nhello\tcall now to win a prize\t0\nok\tfine\t1\nsee you\tfree entry\t0\n' >pairs.tsv
run --model "$model" --data pairs.tsv --test-data pairs.tsv --steps 3 --batch 4 --learning-rate 1e-4 --out tuned
expect_success "Spearman's rho"
[ "$(grep -cE '^(before|after )   accuracy' out.txt)" -eq 2 ] || complain 'not two evaluations'
after=$(sed -n 's/^after  *//p' out.txt)
run --model tuned --data pairs.tsv --test-data pairs.tsv --steps 0
expect_success 'result'
[ "$(sed -n 's/^result  *//p' out.txt)" = "$after" ] || complain 'the saved encoder is another one'
# Another method, with the rate of a probe; only the top layer, then terms beside all; replayed from the journals.
trainer=$program
replay=$(dirname "$program")/replay
for what in '--train *.layer.3.*' '--adapter lora'; do
  rm -rf run.journal made again
  run --model "$model" --data pairs.tsv --test-data pairs.tsv --steps 3 --batch 4 --method fzoo $what --seed 1 \
    --journal run.journal --metrics figures.csv --predictions pairs.jsonl --out made
  expect_success 'probe    slope'
  expect_success 'journal in      run.journal'
  [ "$(wc -l <figures.csv)" -eq 6 ] || complain 'figures.csv has not a line for each step and evaluation'
  grep -q '^{"a":"hello there","b":"good morning","score":1.0,"cosine":0' pairs.jsonl || complain 'no cosine of the first pair'
  after=$(sed -n 's/^after  *//p' out.txt)
  program=$replay
  run --model "$model" --journal run.journal --verify --out again
  expect_success 'verified blake3:'
  program=$trainer
  check "the same weights ($what)" cmp made/model.safetensors again/model.safetensors
  run --model again --data pairs.tsv --test-data pairs.tsv --steps 0
  [ "$(sed -n 's/^result  *//p' out.txt)" = "$after" ] || complain "another encoder from the journal ($what)"
done

# A memory budget takes the storage that fits.
run --model "$model" --data pairs.tsv --test-data pairs.tsv --steps 3 --batch 4 --learning-rate 1e-3 --threads 2 --memory-budget 16
expect_success 'memory   '
expect_success ' of weights as f16 and '
after=$(sed -n 's/^after  *//p' out.txt)
run --model "$model" --data pairs.tsv --test-data pairs.tsv --steps 3 --batch 4 --learning-rate 1e-3 --threads 2 --storage f16
[ "$(sed -n 's/^after  *//p' out.txt)" = "$after" ] || complain 'not what f16 learns'
run --model "$model" --data pairs.tsv --test-data pairs.tsv --steps 3 --memory-budget 5
expect_early_error 1 'more than the 5 MB allowed'
printf 'a\tb\tscore\nx\ty\t7\nx\ty\t0\n' >wrong.tsv
run --model "$model" --data wrong.tsv --test-data pairs.tsv
expect_error 1 'wrong.tsv:2: score "7" is not a number from 0 to 1'
finish
