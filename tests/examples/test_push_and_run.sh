# SPDX-License-Identifier: Apache-2.0
# phone/push-and-run.sh against an adb whose phone is a folder: the results come back, and errors say what to do.
. "$(dirname "$0")/common.sh"

script=$2/phone/push-and-run.sh
phone=$PWD/phone
mkdir -p "$phone/data/local/tmp"
cat >adb <<'EOF'
#!/bin/sh
# What the phone sees as /data/local/tmp lies in $PHONE.
there() { printf '%s' "$1" | sed "s|/data/local/tmp|$PHONE/data/local/tmp|g"; }
echo "$1" >>"$PHONE/calls"
case $1 in
get-state) [ -z "${NO_PHONE:-}" ] ;;
push) cp -R "$2" "$(there "$3")" ;;
pull) cp -R "$(there "$2")" "$3" ;;
shell) sh -c "$(there "$2")" ;;
esac
EOF
chmod +x adb
push_and_run() {
  PHONE=$phone ADB=$PWD/adb sh "$script" "$@" >out.txt 2>err.txt
  code=$?
}

# Steps for seconds: the first sample may see the shell that is about to become the program.
steps=200
[ -z "${POCKETLLM_TEST_FEW:-}" ] || steps=10
push_and_run "$program" results --k-shot 8 --test-size 12 --batch 4 --steps "$steps" --max-tokens 24 \
  --eval-every "$((steps / 2))"
expect_success 'training took'
grep -q 'sampled         at most [1-9][0-9]* MB' out.txt || complain 'no memory was sampled'
[ "$(wc -l <results/metrics.csv)" -ge "$((steps + 2))" ] || complain "not the figures of $steps steps"
check 'the model is there' test -s results/model/model.safetensors
check 'nothing stays on the phone' test ! -e "$phone/data/local/tmp/pocketllm"
[ "$(wc -l <results/predictions.jsonl)" -eq 12 ] || complain 'not twelve predictions'

push_and_run "$program" "it's failed" --template "it's nothing"
[ "$code" -eq 1 ] || complain "exit code $code instead of the program's 1"
grep -q "template" "it's failed/output.txt" || complain 'the error of the program is lost'

NO_PHONE=1
export NO_PHONE
push_and_run "$program" none
expect_early_error 1 'USB debugging'
push_and_run "$program.none" none
expect_early_error 1 'preset phone-static'
ADB=none sh "$script" "$program" none >out.txt 2>err.txt
code=$?
expect_early_error 1 'there is no none'
finish
