# SPDX-License-Identifier: Apache-2.0
# The journals of data/ replay to the weights that their runs ended with, on every instruction set, for any number of
# threads, in every storage. They were written elsewhere: a change of any bit makes old journals worthless.
. "$(dirname "$0")/common.sh"
data=$2/../tests/examples/data

for journal in "$data"/*.journal; do
  for level in baseline avx2 avx512; do
    for threads in 1 3; do
      POCKETLLM_LEVEL=$level run --model "$model" --journal "$journal" --verify --threads "$threads"
      expect_success 'verified blake3:'
    done
  done
done
[ "$(ls "$data"/*.journal | wc -l)" -eq 8 ] || complain 'not eight journals'

# A model, and one of fewer steps.
journal=$data/f16-gaussian.journal
run --model "$model" --journal "$journal" --out all
expect_success 'model in all'
run --model "$model" --journal "$journal" --steps 5 --out five
expect_success ': 5 steps in '
check 'a model' test -s five/model.safetensors
cmp -s all/model.safetensors five/model.safetensors && complain 'the same weights after 5 and after 12 steps'
run --model "$model" --journal "$journal" --steps 5 --verify
expect_error 1 'has no digest of the weights before step 5, since the run did not end there; leave out --verify'
run --model all --journal "$journal"
expect_error 1 'is of a run that began with other weights: their digest is blake3:'
run --model "$model" --journal "$model/config.json"
expect_early_error 1 'config.json: is not a journal of pocketllm'

# Folded, low-rank steps give other roundings and nothing else; the rest is as without --fold.
folds() {
  run --model "$model" --journal "$data/$1.journal" --out exact
  run --model "$model" --journal "$data/$1.journal" --fold --out folded
  expect_success 'model in folded'
  cmp -s exact/model.safetensors folded/model.safetensors
}
folds f32-low-rank && complain 'nothing was folded'
folds f32-gaussian || complain 'other weights without low-rank directions'
run --model "$model" --journal "$data/f32-low-rank.journal" --fold --verify
expect_early_error 2 '--verify excludes --fold'
run --model "$model" --journal "$data/f32-low-rank.journal" --journal "$data/f32-low-rank.journal" --fold
expect_early_error 1 '--fold: only one journal can be folded'

# What inspect says of it.
program=$(dirname "$program")/inspect
run "$journal" --csv steps.csv --svg curve.svg
expect_success 'estimator.epsilon'
expect_success 'steps     12, the last one 11'
expect_success 'end       finished'
[ "$(wc -l <steps.csv)" -eq 13 ] || complain 'not a header and twelve steps'
[ "$(head -n 1 steps.csv)" = step,learning_rate,loss,seed_0,slope_0 ] || complain 'another header'
check 'a picture' grep -q '</svg>' curve.svg
head -c 1000 "$journal" >torn.journal
run torn.journal
expect_error 1 'torn.journal: the header is damaged'
head -c "$(($(wc -c <"$journal") - 200))" "$journal" >torn.journal
run torn.journal
expect_success 'the run is under way, or was interrupted'
expect_success 'were not written in full and do not count'
finish
