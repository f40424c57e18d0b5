# SPDX-License-Identifier: Apache-2.0
# A short training: it loads again, has the same losses with other threads, and ends well when it diverges.
. "$(dirname "$0")/common.sh"

short() {
  classify --k-shot "$shots" --test-size "$some" --batch "$batch" --steps 8 --learning-rate 1e-4 "$@"
}

# The figures without the seconds.
figures() {
  cut -d, -f1-3,5- "$1"
}

# The accuracy, macro-F1 and loss that were printed for $1.
result_of() {
  sed -n "s/^$1  *//p" out.txt
}

short --threads 1 --metrics one.csv --out one
expect_success 'model in        one'
before=$(result_of before)
after=$(result_of after)
[ -n "$after" ] && [ "$before" != "$after" ] || complain 'nothing was learnt'
short --threads 2 --metrics two.csv --out two
expect_success 'model in        two'
figures one.csv >one.txt
figures two.csv >two.txt
check 'the same figures with two threads' cmp one.txt two.txt
check 'the same weights with two threads' cmp one/model.safetensors two/model.safetensors
[ "$(wc -l <one.txt)" -eq 11 ] || complain 'not a header, two evaluations and eight steps'

# Frozen layers are computed once for each text, or for some as memory allows: the same figures and weights.
for cache in 256 1 0; do
  short --train '*.layer.3.*,lm_head.*' --eval-every 4 --cache "$cache" --metrics "cache-$cache.csv" --out "cache-$cache"
  expect_success 'frozen   embeddings and the first 3 layers, computed once for'
  figures "cache-$cache.csv" >"cache-$cache.txt"
  check "the same figures with --cache $cache" cmp cache-256.txt "cache-$cache.txt"
  check "the same weights with --cache $cache" cmp cache-256/model.safetensors "cache-$cache/model.safetensors"
done
short --train '*.layer.3.*,lm_head.*' --eval-every 4 --cache-dir . --metrics cache-file.csv --out cache-file
expect_success 'MB of a file'
figures cache-file.csv >cache-file.txt
check 'the same figures with --cache-dir' cmp cache-256.txt cache-file.txt
check 'the same weights with --cache-dir' cmp cache-256/model.safetensors cache-file/model.safetensors
short
grep -q '^frozen' out.txt && complain 'frozen layers where all are trained'

# What was written is what was evaluated.
classify --k-shot "$shots" --test-size "$some" --steps 0 --model one
expect_success 'result '
[ "$(result_of result)" = "$after" ] || complain "$(result_of result) instead of $after"

# Another seed, another run.
short --threads 1 --metrics seed.csv --seed 1
figures seed.csv >seed.txt
cmp -s one.txt seed.txt && complain 'the same run with another seed'

# Other storages and directions.
for storage in f16 bf16; do
  short --storage "$storage" --out "$storage"
  expect_success "as $storage"
  after=$(result_of after)
  classify --k-shot "$shots" --test-size "$some" --steps 0 --storage "$storage" --model "$storage"
  [ "$(result_of result)" = "$after" ] || complain "$storage: $(result_of result) instead of $after"
done
short --perturbation rademacher --schedule cosine --warm-up 2 --weight-decay 0.01 --group-by-length
expect_success 'step 8/8'

# A rate that is far too large: the weights before the step that failed are written.
short --learning-rate 1e30 --out spoiled --predictions p.jsonl
expect_error 1 'step 2: the loss is not a finite number; the weights are those before that step. Try a tenth of --learning-rate (1e+30)'
check 'the model is written' test -s spoiled/model.safetensors
[ "$(wc -l <p.jsonl)" -eq "$some" ] || complain "not $some predictions"
finish
