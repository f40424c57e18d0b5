#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# usage: examples/phone/push-and-run.sh PROGRAM RESULTS [options of finetune_classifier]
# Runs the demo on the phone that adb reaches: pushes PROGRAM (finetune_classifier, as the preset phone-static builds it),
# model and messages to /data/local/tmp, trains there while it samples the memory, and pulls what was written into the
# folder RESULTS: output.txt, memory.txt (seconds and VmRSS), metrics.csv, predictions.jsonl, curve.svg, model/.
# Options given behind are the last ones and count, as in: push-and-run.sh PROGRAM RESULTS --steps 100 --big-cores
# ADB names another adb; POCKETLLM_REMOTE another folder on the phone.
set -eu

adb=${ADB:-adb}
remote=${POCKETLLM_REMOTE:-/data/local/tmp/pocketllm}
examples=$(cd "$(dirname "$0")/.." && pwd)

die() {
  echo "push-and-run: $*" >&2
  exit 1
}

[ $# -ge 2 ] || die "usage: $0 PROGRAM RESULTS [options of finetune_classifier]"
program=$1
results=$2
shift 2
[ -f "$program" ] || die "$program: no such file; build it with: cmake --workflow --preset phone-static"
command -v "$adb" >/dev/null || die "there is no $adb; install Android's platform tools, or name it with ADB=..."
"$adb" get-state >/dev/null 2>&1 ||
  die "adb reaches no phone; switch on USB debugging in its developer options, connect it, and allow this computer"

# The words of a command line for the phone's shell.
quoted() {
  for word; do
    printf " '%s'" "$(printf '%s' "$word" | sed "s/'/'\\\\''/g")"
  done
}

"$adb" shell "rm -rf $remote && mkdir -p $remote/results"
"$adb" push "$program" "$remote/finetune_classifier" >/dev/null
"$adb" push "$examples/models/tiny-roberta" "$remote/model" >/dev/null
"$adb" push "$examples/data/sms-spam.tsv" "$remote/messages.tsv" >/dev/null

options=$(quoted --model model --data messages.tsv --text-column SMS --label-column Label \
  --template 'This is a {mask} message: {text}' --label-words ham=personal,spam=commercial \
  --k-shot 256 --test-size 600 --max-tokens 64 --batch 16 --steps 500 --eval-every 100 \
  --learning-rate 1e-4 --epsilon 1e-3 --seed 2 --out results/model --metrics results/metrics.csv \
  --plot results/curve.svg --predictions results/predictions.jsonl "$@")

# Old phones' adb does not tell the exit status, so it goes into a file.
"$adb" shell "cd $remote && chmod +x finetune_classifier && {
  ./finetune_classifier$options >results/output.txt 2>&1 &
  process=\$!
  fifths=0
  while line=\$(grep VmRSS: /proc/\$process/status 2>/dev/null); do # ended processes have none
    echo \$((fifths / 5)).\$((fifths % 5 * 2)) \$line >>results/memory.txt
    sleep 0.2
    fifths=\$((fifths + 1))
  done
  wait \$process
  echo \$? >results/status
}"
mkdir -p "$results"
"$adb" pull "$remote/results/." "$results" >/dev/null
"$adb" shell "rm -rf $remote"

cat "$results/output.txt"
[ -f "$results/status" ] || die "the run ended without a status; $results has what was written"
awk '$3 > most { most = $3 } END { printf "sampled         at most %.0f MB resident in %d samples\n", most * 1.024 / 1000, NR }' \
  "$results/memory.txt"
exit "$(cat "$results/status")"
