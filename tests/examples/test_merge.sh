# SPDX-License-Identifier: Apache-2.0
# Three devices with a third of the messages each: their journals make one model, which has learnt what one process
# with all messages learns.
. "$(dirname "$0")/common.sh"
train=$(dirname "$program")/finetune_classifier
replay=$(dirname "$program")/replay
merge=$program

# Under an emulator and under sanitizers, a few steps and texts have to do.
[ "${POCKETLLM_TEST_MACHINE:-$(uname -m)}" = "$(uname -m)" ] || POCKETLLM_TEST_FEW=1
steps=100 size=16 each=60
[ -n "${POCKETLLM_TEST_FEW:-}" ] && steps=3 size=4 each=6

# Test messages, so many of either kind, and three shards of the others.
awk -F '\t' -v each="$each" 'NR == 1 || (NR % 8 == 0 && seen[/\tspam/ || /^spam\t/]++ < each)' "$data" >test.tsv
for shard in 0 1 2; do
  awk -v s="$shard" 'NR == 1 || (NR % 8 != 0 && NR % 3 == s)' "$data" >"shard-$shard.tsv"
done
awk 'NR == 1 || NR % 8 != 0' "$data" >all.tsv

# device DATA MODEL JOURNAL FURTHER...
device() {
  shard=$1 from=$2 journal=$3
  shift 3
  "$train" --model "$from" --data "$shard" --test-data test.tsv --text-column SMS --label-column Label \
    --label-words ham=personal,spam=commercial --template 'This is a {mask} message: {text}' --k-shot 64 \
    --batch "$size" --max-tokens 32 --steps "$steps" --learning-rate 2e-4 --threads 1 --journal "$journal" "$@"
}
from=$model
for round in 1 2; do
  for shard in 0 1 2; do
    device "shard-$shard.tsv" "$from" "r$round-$shard.journal" --seed "$((10 * round + shard))" >"$shard.txt" 2>&1 &
  done
  wait
  program=$merge run --out "round-$round.journal" r$round-0.journal r$round-1.journal r$round-2.journal
  program=$merge
  run --out "again-$round.journal" r$round-0.journal r$round-1.journal r$round-2.journal
  expect_success "r$round-0.journal: $steps steps, weight 128"
  check 'the same journal again' cmp "round-$round.journal" "again-$round.journal"
  program=$replay
  if [ "$round" = 1 ]; then
    run --model "$model" --journal round-1.journal --out round-1
  else
    run --model "$model" --journal round-1.journal --journal round-2.journal --out round-2
  fi
  expect_success "model in round-$round"
  from=round-$round
done

# loss FILE LINE: that of the test messages.
loss() {
  sed -n "s/^$2 .* loss \([0-9.]*\)$/\1/p" "$1"
}
program=$train
run --model round-2 --data all.tsv --test-data test.tsv --text-column SMS --label-column Label --steps 0 \
  --label-words ham=personal,spam=commercial --template 'This is a {mask} message: {text}' --max-tokens 32
expect_success 'result '
merged=$(loss out.txt result)
steps=$((2 * steps))
device all.tsv "$model" one.journal --micro-batches 3 >one.txt 2>&1
before=$(loss one.txt before) one=$(loss one.txt after)
echo "loss before $before, merged $merged, of one process $one"
if [ -z "${POCKETLLM_TEST_FEW:-}" ]; then
  check 'it has learnt' awk "BEGIN { exit !($merged < 0.8 * $before) }"
  check 'as one process does' awk "BEGIN { exit !($merged < $one + 0.1) }"
fi

# Mistakes.
program=$merge
run --out round-1.journal r1-0.journal r1-1.journal
expect_error 1 'round-1.journal: is there already'
run --out x.journal r1-0.journal r2-1.journal
expect_error 1 'r2-1.journal: has another "base" than r1-0.journal'
run --out x.journal r1-0.journal r1-1.journal --weights 1
expect_error 1 'there are 2 journals and 1 weights; give one for each'
finish
