# SPDX-License-Identifier: Apache-2.0
# Every estimator, perturbation and update rule of the programs: a run goes on from its journal to the same weights,
# and losses do not depend on how many points are evaluated at once.
. "$(dirname "$0")/common.sh"

short() {
  classify --k-shot 8 --test-size 20 --batch 4 --max-tokens 24 --steps 6 --train '*.layer.3.*' "$@"
}
weights() {
  sed -n 's/^weights  *//p' out.txt
}

replay=$(dirname "$program")/replay
# Runs where a probe has nothing to measure, and shaped directions, whose replay looks at the base weights again.
number=0
for method in '--estimator multi-point --directions 3 --learning-rate 1e-4' \
  '--estimator one-sided --update momentum --history 3 --learning-rate 1e-5' \
  '--estimator fzoo --perturbation rademacher --directions 4 --learning-rate 3e-3' \
  '--estimator fzoo --update adam --learning-rate 1e-3' \
  '--perturbation low-rank --rank 3 --shared-steps 2 --update sign --learning-rate 1e-4' \
  '--smallest 0.7 --learning-rate 1e-4 --storage f16' \
  '--layers 1 --shared-steps 2 --train *.layer.2.*,*.layer.3.* --update momentum --learning-rate 1e-5' \
  '--sphere --clip 1 --learning-rate 1e-3' \
  '--estimator curved --directions 2' \
  '--estimator line-search --learning-rate 0.5'; do
  number=$((number + 1))
  # shellcheck disable=SC2086 # words
  short $method --journal "$number.journal"
  expect_success 'journal in '
  whole=$(weights)
  short $method --journal "$number.journal" --resume # nothing is left to do: it is replayed
  expect_success 'resumed  at step 6'
  [ "$(weights)" = "$whole" ] || complain "$method: replayed to $(weights) instead of $whole"
  short $method --journal "$number.few" --max-lanes 2 --out "$number.model"
  [ "$(weights)" = "$whole" ] || complain "$method: $(weights) instead of $whole by two points at a time"
  program=$replay run --model "$model" --journal "$number.journal" --verify --out "$number.again"
  expect_success 'verified '
  cmp "$number.model/model.safetensors" "$number.again/model.safetensors" || complain "$method: another model"
  rm -r "$number.model" "$number.again"
done
[ "$number" -eq 10 ] || complain 'a method was left out'

# What a probe takes is printed, and falls; asking for it by hand is the same run.
short --journal auto.journal --learning-rate auto --epsilon auto
expect_success 'probe    slope '
taken=$(sed -n 's/^probe.*signal [^:]*: //p' out.txt)
case $taken in
*'--schedule linear'*) ;;
*) complain "a measured rate does not fall: $taken" ;;
esac
auto=$(weights)
# shellcheck disable=SC2086
short --journal hand.journal $taken
[ "$(weights)" = "$auto" ] || complain "$taken: $(weights) instead of $auto"

# What is given by hand is printed as it is.
short --epsilon 0.00125 --journal given.journal
expect_success ' --epsilon 0.00125'

# A run that goes on has measured already.
head -c "$(($(wc -c <auto.journal) - 240))" auto.journal >torn.journal
short --journal torn.journal --learning-rate auto --epsilon auto --resume
expect_success 'probe    as the journal says: --learning-rate '
grep -qF -- "$taken" out.txt || complain "not what was measured: $taken"
[ "$(weights)" = "$auto" ] || complain "gone on with: $(weights) instead of $auto"

# A loss without a gradient.
short --loss macro-f1 --epsilon 1e-2 --learning-rate 1e-3 --journal f1.journal
expect_success 'after '
short --epsilon 1e-2 --learning-rate 1e-3 --journal f1.journal --resume
expect_error 1 'objective'

# Of curved, auto takes a share of the measured lengths, at most a quarter, of which momentum makes ten times as much.
short --estimator curved --update momentum --metrics curved.csv
rate=$(sed -n 's/^probe.*--learning-rate \([^ ]*\).*/\1/p' out.txt)
awk -v rate="$rate" 'BEGIN { exit !(rate >= 0.0012 && rate <= 0.025) }' || complain "curved by momentum: $rate"
awk -F, -v rate="$rate" '$1 == 1 { exit !($3 > 0.99 * rate && $3 < 1.01 * rate) }' curved.csv ||
  complain "curved by momentum: $rate is not what the first step takes"
short --estimator curved --update sign
expect_success 'probe    slope '

# What --method stands for; what is given by hand stays.
short --method lozo --learning-rate 1e-5 --journal preset.journal
lozo=$(weights)
short --perturbation low-rank --schedule linear --learning-rate 1e-5 --journal lozo.journal
[ "$(weights)" = "$lozo" ] || complain '--method lozo is another one'
short --method fzoo --perturbation gaussian --learning-rate 1e-3 --journal preset2.journal
fzoo=$(weights)
short --estimator fzoo --schedule linear --learning-rate 1e-3 --journal fzoo.journal
[ "$(weights)" = "$fzoo" ] || complain '--method fzoo is another one, or changes what is given'
short --method auto --k-shot 32 --test-size 60
expect_success 'method   a new head: of '
expect_success 'head     2 classes'
short --method auto --k-shot 4
expect_success 'method   the prompt, by FZOO: there are fewer than 5 texts of a class'

short --smallest 0.5 --layers 1
expect_error 1 'directions are either sparse or blockwise'
short --layers 3
expect_error 1 'layers that are trained (embeddings are one) are to be moved at a time'
short --estimator fzoo --directions 1
expect_error 1 '--estimator fzoo needs at least 2 --directions'
short --directions 3
expect_error 1 'use multi-point for several'
short --learning-rate fast
expect_early_error 2 '"fast" is not a positive number, nor "auto"'
short --perturbation low-rank --rank 17
expect_early_error 2 '17 is too large; give at most 16'
finish
