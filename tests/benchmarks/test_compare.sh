# SPDX-License-Identifier: Apache-2.0
# compare.py with bench_step and a stand-in for PyTorch: the table and the chart are written, and nothing else
# of the page changes.
. "$(dirname "$0")/../examples/common.sh"
bench_step=$program
python=$5
program=$5
compare=$4/compare.py

cat >peer <<'JSON'
#!/bin/sh
# whatever the script and its options are: a step of a minute, a fifth of it in forward passes
cat <<END
{"points": 2, "torch": "9.9", "transformers": "8.8", "imports_rss_bytes": 500000000, "peak_rss_bytes": 2000000000,
 "forward_seconds": 6.0, "step_seconds": 60.0, "update_seconds": 12.0, "step_over_forwards": 5.0}
END
JSON
chmod +x peer
printf 'before\n<!-- compare:begin -->\nold\n<!-- compare:end -->\nbehind\n' >README.md

compare() {
  run "$compare" --bench-step "$bench_step" --python ./peer --model tiny --batch 1 --tokens 4 --steps 1 \
    --rounds 2 "$@" # on stderr is what is being run
}

compare --write . --json runs.json
[ "$code" -eq 0 ] || complain "exit code $code"
[ "$(grep -c '^| pocketllm \|^| PyTorch ' README.md)" -eq 6 ] || complain 'not six rows'
check 'the peer in the table' grep -q '^| PyTorch | bf16 | Gaussian | 6.00 s | 60.00 s | 5.00 | 12.00 s | 2.00 GB |' \
  README.md
check 'the versions' grep -qF 'PyTorch 9.9, transformers 8.8' README.md
check 'what was there is gone' sh -c '! grep -q old README.md'
[ "$(sed -n '1p;$p' README.md | tr '\n' ' ')" = 'before behind ' ] || complain 'the rest of the page has changed'
cp README.md first.md
compare --write .
[ "$(wc -l <README.md)" -eq "$(wc -l <first.md)" ] || complain 'a second run does not replace the first'
check 'twelve runs' "$python" -c 'import json; assert len(json.load(open("runs.json"))) == 12'
check 'the chart is XML' "$python" -c 'import xml.dom.minidom as x; x.parse("step.svg")'
[ "$(grep -c 'class="ours"' step.svg)" -ge 4 ] || complain 'not a bar for each of our variants'

# Another model, of which only some variants are measured, beside the first.
printf '<!-- opt:begin -->\n<!-- opt:end -->\n' >>README.md
cp README.md first.md
cp step.svg first.svg
compare --write . --bits 32 --section opt --json runs.json
[ "$code" -eq 0 ] || complain "exit code $code"
[ "$(grep -c '^| pocketllm \|^| PyTorch ' README.md)" -eq 9 ] || complain 'not three rows more'
check 'the first section stays' sh -c 'n=$(grep -n "compare:end" first.md | cut -d: -f1)
  head -n "$n" first.md >a; head -n "$n" README.md >b; cmp a b'
check 'of 32 bits' sh -c '! sed "1,/opt:begin/d" README.md | grep -q "f16"'
check 'one peer' grep -q 'peak memory | times as fast as PyTorch fp32 |$' README.md
check 'six runs' "$python" -c 'import json; assert len(json.load(open("runs.json"))) == 6'
check 'a chart of its own' "$python" -c 'import xml.dom.minidom as x; x.parse("opt.svg")'
check 'the first chart stays' cmp step.svg first.svg

echo 'no markers' >README.md
compare --write .
[ "$code" -eq 1 ] || complain "exit code $code without markers"
check 'what is missing' grep -q 'README.md: has no <!-- compare:begin -->' err.txt
compare --bench-step nowhere/bench_step
check 'no program' grep -q 'nowhere/bench_step: No such file or directory; see --bench-step' err.txt
finish
