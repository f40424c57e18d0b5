# SPDX-License-Identifier: Apache-2.0
# memory_table.py with a stand-in for bench_step: a row for each way to hold the weights, of which some are read from a
# file that is written once for each storage.
. "$(dirname "$0")/../examples/common.sh"
script=$4/memory_table.py
program=$5

cat >step <<'END'
#!/bin/sh
echo "$*" >>asked
case "$*" in *--write-model*) for last; do :; done; mkdir "$last"; exit ;; esac
cat <<JSON
{"parameters": 2000000, "threads": 3, "processor": "a processor", "weights_bytes": 4000000, "peak_rss_bytes": 5000000000,
 "private_dirty_bytes": 6000000, "forward_seconds": 1.25, "step_seconds": 2.75, "step_over_forwards": 1.125}
JSON
END
chmod +x step
printf 'before\n<!-- memory:begin -->\nold\n<!-- memory:end -->\nbehind\n' >README.md

run "$script" --bench-step ./step --model small --batch 2 --tokens 5 --steps 7 --scratch . --write .
[ "$code" -eq 0 ] || complain "exit code $code"
check 'what was measured' grep -qF 'small (2 million weights), Gaussian directions, batches of 2 x 5 tokens' README.md
check 'on what' grep -qF '3 threads of a processor.' README.md
rows=$(grep -c '| 5.00 GB | 6 MB | 1.2 s | 2.8 s | 1.12 |$' README.md)
[ "$rows" -eq "$(grep -c -- '--json' asked)" ] && [ "$rows" -ge 8 ] || complain "$rows rows"
check 'all weights' grep -q '^| all weights | f32 | f32 | 4 MB ' README.md
check 'from a file' grep -q '^| LoRA | f16, in the file | f32 | ' README.md
[ "$(grep -c -- '--write-model' asked)" -eq 1 ] || complain 'the file is not written once'
grep -q -- "--model tmp[^ ]*/f16 --adapter prefix --batch 2 --tokens 5 --steps 7" asked || complain 'not what was asked for'
check 'what was there is gone' sh -c '! grep -q old README.md'
[ "$(sed -n '1p;$p' README.md | tr '\n' ' ')" = 'before behind ' ] || complain 'the rest of the page has changed'
check 'nothing is left behind' sh -c '! ls -d tmp*'
finish
