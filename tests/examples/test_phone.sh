# SPDX-License-Identifier: Apache-2.0
# The options for phones: they do not change what is learnt, and refuse what cannot be.
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

short --memory-budget 1
expect_early_error 1 '--memory-budget: the weights take 22 MB as f32 and the activations 0 B, more than the 1 MB allowed'
short --memory-budget 22
expect_early_error 1 'or --storage f16'
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
