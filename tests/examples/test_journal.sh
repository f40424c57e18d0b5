# SPDX-License-Identifier: Apache-2.0
# A journal: a run that is killed goes on to the same weights, and what is not the same run is refused.
. "$(dirname "$0")/common.sh"

steps=120 behind=700 # bytes behind the damage
[ -n "${POCKETLLM_TEST_FEW:-}" ] && steps=24 behind=200
short() {
  classify --k-shot 8 --test-size 20 --batch 4 --max-tokens 24 --learning-rate 1e-4 --steps "$steps" "$@"
}
weights() {
  sed -n 's/^weights  *//p' out.txt
}
# As `short`, but for the number of steps, and beside this script: `short ... &` would be a shell, which dies alone.
begin() {
  "$program" --model "$model" --data "$data" --text-column SMS --label-column Label --k-shot 8 --test-size 20 \
    --batch 4 --max-tokens 24 --learning-rate 1e-4 --label-words ham=personal,spam=commercial \
    --template 'This is a {mask} message: {text}' "$@" >begun.txt 2>&1 &
  process=$!
}

short --journal whole.journal --out whole
expect_success 'journal in      whole.journal'
expected=$(weights)
case $expected in
blake3:*) ;;
*) complain 'no digest' ;;
esac

# Killed now and then, in snapshots too.
kills=0
for pause in 0.3 0.5 0.7 0.4 0.6; do
  begin --steps "$steps" --journal killed.journal --resume --snapshot-every 3
  sleep "$pause"
  kill -9 "$process" 2>/dev/null && kills=$((kills + 1))
  wait "$process" 2>/dev/null
done
[ "$kills" -ge 1 ] || complain 'it was never killed'
short --journal killed.journal --resume --snapshot-every 3 --out killed --metrics m.csv
expect_success 'weights         blake3:'
[ "$(weights)" = "$expected" ] || complain "$(weights) instead of $expected"
check 'the same model' cmp whole/model.safetensors killed/model.safetensors
# Once more: there is nothing left to do.
short --journal whole.journal --resume
expect_success "resumed  at step $steps of the journal"
[ "$(weights)" = "$expected" ] || complain 'other weights when nothing was left to do'

# Mistakes.
short --journal whole.journal
expect_error 1 '--journal whole.journal: is there already; go on with it by --resume, or choose another name'
short --journal whole.journal --resume --epsilon 0.01
expect_error 1 'whole.journal: is of another run: estimator.epsilon is 0.001 in the journal, 0.01 here'
short --journal whole.journal --resume --model whole
expect_error 1 'whole.journal: is of another run: base is "blake3:'
short --journal whole.journal --resume --train '*.bias'
expect_error 1 'whole.journal: is of another run: trained[0] is "*" in the journal'
short --resume
expect_early_error 2 '--journal'
short --journal nowhere/x.journal
expect_error 1 '--journal nowhere/x.journal: there is no directory nowhere'
short --journal new.journal --snapshot-every 3 --snapshots nowhere
expect_error 1 'nowhere: there is no such directory for snapshots; create it first'

# Another process writes it.
begin --steps 1000000 --journal busy.journal
until [ -s busy.journal ]; do
  kill -0 "$process" 2>/dev/null || break
  sleep 0.1
done
short --steps 1000000 --journal busy.journal --resume
expect_error 1 'busy.journal: another program is writing this; wait until it is done'
kill -9 "$process"
wait "$process" 2>/dev/null

# Damage.
size=$(wc -c <whole.journal)
{ head -c $((size - behind)) whole.journal && printf x && tail -c $((behind - 1)) whole.journal; } >damaged.journal
short --journal damaged.journal --resume
expect_error 1 'damaged.journal: the file is damaged at byte'
short --journal damaged.journal --resume --accept-damage
expect_success 'note     damaged.journal: the file is damaged at byte'
[ "$(weights)" = "$expected" ] || complain 'other weights after damage'
finish
