# SPDX-License-Identifier: Apache-2.0
# Ctrl-C in the middle of a training: it finishes its step, says where it is, and writes the model.
. "$(dirname "$0")/common.sh"

# Shells start programs in the background with SIGINT ignored; where env cannot undo that, SIGTERM stands in.
signal=INT number=2
if ! env --default-signal=INT true 2>/dev/null; then
  signal=TERM number=15
fi
start() {
  set -- --model "$model" --data "$data" --text-column SMS --label-column Label \
    --label-words ham=personal,spam=commercial --template 'This is a {mask} message: {text}' \
    --max-tokens "$tokens" --batch "$batch" --k-shot 8 --test-size 20 --steps 1000000 --metrics figures.csv --out model
  if [ "$signal" = INT ]; then
    env --default-signal=INT "$program" "$@" >out.txt 2>err.txt &
  else
    "$program" "$@" >out.txt 2>err.txt &
  fi
  process=$!
  until grep -q '^3,' figures.csv 2>/dev/null; do # three steps are done
    kill -0 "$process" 2>/dev/null || break
    sleep 0.1
  done
}

start
kill -s "$signal" "$process"
wait "$process"
code=$?
[ "$code" -eq $((128 + number)) ] || complain "exit code $code"
[ ! -s err.txt ] || complain 'something on stderr'
steps=$(sed -n 's/^stopped after \([0-9]*\) of 1000000 steps.*/\1/p' out.txt)
[ "${steps:-0}" -ge 3 ] || complain 'it does not say where it stopped'
[ "$(tail -n 1 figures.csv | cut -d, -f1)" = "$steps" ] || complain 'the last evaluation is not of that step'
grep -q '^after ' out.txt || complain 'no result'
after=$(sed -n 's/^after  *//p' out.txt)
classify --model model --k-shot 8 --test-size 20 --steps 0
[ "$(sed -n 's/^result  *//p' out.txt)" = "$after" ] || complain 'the model is not the one that was evaluated'
finish
