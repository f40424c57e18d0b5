# SPDX-License-Identifier: Apache-2.0
# bench_hizoo: without smoothing it takes MeZO's steps, with it others, and what a user may get wrong is one line.
. "$(dirname "$0")/../examples/common.sh"
hizoo=$program
finetune=$4

short() {
  classify --k-shot "$shots" --test-size "$some" --batch "$batch" --steps 4 --eval-every 2 --learning-rate 3e-4 "$@"
}

# Steps, losses and accuracies of the evaluations.
figures() {
  cut -d, -f1,5- "$1" | grep -v ',,'
}

short --smoothing 0 --threads 1 --metrics none.csv
expect_success 'step 4  accuracy'
short --smoothing 1e-3 --threads 1 --metrics some.csv
expect_success 'step 4  accuracy'
short --smoothing 1e-3 --threads 2 --metrics two.csv
expect_success 'step 4  accuracy'
program=$finetune
short --schedule linear --metrics mezo.csv
[ "$code" -eq 0 ] || complain 'finetune_classifier has failed'
for name in none some two mezo; do
  figures "$name.csv" >"$name.txt"
done
[ "$(wc -l <mezo.txt)" -eq 4 ] || complain 'not a header and three evaluations'
check 'without smoothing, the figures of MeZO' cmp none.txt mezo.txt
check 'the same figures with two threads' cmp some.txt two.txt
check 'with smoothing, others' sh -c '! cmp -s some.txt none.txt'

program=$hizoo
short --learning-rate 1e30 --metrics wild.csv
expect_error 1 'the loss is not a finite number; try a tenth of --learning-rate'
run --model "$model" --data "$data" --label-words ham=personal --metrics no.csv
expect_early_error 1 '--label-words: a classifier needs at least two'
short --smoothing -1 --metrics no.csv
expect_early_error 2 '--smoothing: "-1" is not a number from 0'
short --metrics missing/no.csv
expect_early_error 1 'missing/no.csv: cannot be written'
run --help
expect_success 'Trains a RoBERTa with HiZOO'
[ -z "$(grep -E '.{81}' out.txt)" ] || complain 'a line is wider than 80 columns'
finish
