# SPDX-License-Identifier: Apache-2.0
# Ctrl-C in the middle of a training: it finishes its step, says where it is, and writes the model.
. "$(dirname "$0")/common.sh"

# Shells start programs in the background with SIGINT ignored; where env cannot undo that, SIGTERM stands in.
signal=INT number=2
if ! env --default-signal=INT true 2>/dev/null; then
  signal=TERM number=15
fi
# Starts the program with the options $2... and waits until `$1` is done.
start() {
  ready=$1
  shift
  set -- --model "$model" --data "$data" --text-column SMS --label-column Label \
    --max-tokens "$tokens" --batch "$batch" --k-shot 8 --test-size 20 --steps 1000000 "$@"
  if [ "$signal" = INT ]; then
    env --default-signal=INT "$program" "$@" >out.txt 2>err.txt &
  else
    "$program" "$@" >out.txt 2>err.txt &
  fi
  process=$!
  until eval "$ready"; do
    kill -0 "$process" 2>/dev/null || break
    sleep 0.1
  done
}

start "grep -q '^3,' figures.csv 2>/dev/null" --label-words ham=personal,spam=commercial \
  --template 'This is a {mask} message: {text}' --metrics figures.csv --out model # three steps are done
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

# While a new head is trained: the training that would follow does not begin, and the head is written.
start "grep -q '^head ' out.txt && sleep 2" --head-steps 1000000000 --out head
kill -s "$signal" "$process"
wait "$process"
code=$?
[ "$code" -eq $((128 + number)) ] || complain "exit code $code"
grep -q '^stopped after 0 of 1000000 steps' out.txt || complain 'it does not say that it stopped'
check 'the head' [ -s head/model.safetensors ]
finish
