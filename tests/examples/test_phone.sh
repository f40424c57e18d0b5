# SPDX-License-Identifier: Apache-2.0
# The options for phones: they do not change what a storage learns, and refuse what cannot be.
. "$(dirname "$0")/common.sh"

short() {
  classify --k-shot 4 --batch 4 --steps 3 --learning-rate 1e-4 --test-size 12 --sysfs "$PWD/sys" "$@"
}
put() { mkdir -p "$(dirname "$1")" && echo "$2" >"$1"; }

put sys/devices/system/cpu/cpu0/cpu_capacity 1024
put sys/class/thermal/thermal_zone0/type cpu-0
put sys/class/thermal/thermal_zone0/temp 35000
put sys/class/power_supply/battery/type Battery
put sys/class/power_supply/battery/capacity 80
put sys/class/power_supply/battery/status Discharging

short --predictions plain.jsonl
expect_success 'training took'
case $(uname -s) in
Linux)
  short --big-cores --nice 1 --duty 0.5 --pause-above 60 --pause-below 20 --memory-budget 2000 --predictions phone.jsonl
  expect_success 'training took'
  check 'the same predictions' cmp plain.jsonl phone.jsonl
  ;;
esac

# A pause that ends when it is cool again.
put sys/class/thermal/thermal_zone0/temp 70000
(
  tries=0
  until grep -q pause out.txt 2>/dev/null || [ "$tries" -eq 300 ]; do
    sleep 0.2
    tries=$((tries + 1))
  done
  echo 35000 >sys/class/thermal/thermal_zone0/temp
) &
short --pause-above 60
wait
expect_success 'pause    70.0 degrees'
expect_success 'going on'

# A memory budget takes the best storage that fits, and evaluates less at once before it takes the next one. What is
# learnt is what that storage learns.
activations() { sed -n 's/^memory  .* and \([0-9]*\) MB of activations.*/\1/p' out.txt; }
peak() { sed -n 's/^peak memory *\([0-9]*\) MB$/\1/p' out.txt; }
losses() { cut -d, -f2,5 "$1"; }
# as_with STORAGE: the losses of the last run, in budget.csv, and its predictions are those of a run with that storage.
as_with() {
  short --threads 2 "$many_points" --directions 4 --storage "$1" --metrics plain.csv --predictions plain.jsonl
  expect_success 'training took'
  losses plain.csv >plain.txt
  losses budget.csv >budget.txt
  check "the losses of $1" cmp plain.txt budget.txt
  check "the predictions of $1" cmp plain.jsonl budget.jsonl
}
within() {
  short --threads 2 "$many_points" --directions 4 --metrics budget.csv --predictions budget.jsonl --memory-budget "$@"
}
# stays_under MB: the last run's peak, but for what the program itself takes.
stays_under() {
  if [ -z "${POCKETLLM_TEST_FEW:-}" ] && [ "$(uname -s)" = Linux ]; then # with sanitizers the rest is the most
    [ "$(peak)" -le $(($1 + own)) ] || complain "a peak of $(peak) MB of $1 allowed, $own the program itself"
  fi
}
many_points=--estimator=multi-point
short --steps 0 --test-size 2 --threads 2
own=$(($(peak) - 22)) # of the program itself, and a few activations

within 2000
expect_success 'memory   22 MB of weights as f32 and '
expect_success ' of activations, of 2.00 GB allowed'
if grep -q 'at once' out.txt; then complain 'fewer at once, with memory for all'; fi
all=$(activations)
within $((22 + all / 2))
expect_success 'memory   22 MB of weights as f32 and '
expect_success ' of the 8 points of a step at once'
[ "$(activations)" -le $((all / 2 + 1)) ] || complain "$(activations) MB of activations with half of $all allowed"
stays_under $((22 + all / 2))
as_with f32

within 21 --journal j
expect_success 'memory   11 MB of weights as f16 and '
expect_success 'of 21 MB allowed'
expect_success '; the weights take 22 MB as f32'
stays_under 21
as_with f16
within 2000 --journal j --resume
expect_success ' of weights as f16 and '
within 21 --storage bf16
expect_success ' of weights as bf16 and '
as_with bf16

short --memory-budget 1
expect_early_error 1 '--memory-budget: the weights take 11 MB as f16, more than the 1 MB allowed; take a model of fewer weights'
short --memory-budget 11
expect_early_error 1 '--memory-budget: the weights take 11 MB as f16 and the activations at least '
expect_early_error 1 'MB, more than the 11 MB allowed; try a smaller --batch or --max-tokens, or take a model'
short --memory-budget 22 --storage f32
expect_early_error 1 'or leave --storage out, for a smaller one to be chosen'
short --memory-budget 200 --batch 16
expect_success 'training took'
rm -r sys/devices sys/class
short --big-cores
expect_early_error 1 'does not tell how fast cores are'
short --pause-above 60
expect_early_error 1 'tells no temperature'
short --duty 1.5
[ "$code" -eq 2 ] || complain "exit code $code for a duty cycle of 1.5"
finish
