# SPDX-License-Identifier: Apache-2.0
# kernel_table.py with a stand-in for bench_kernels, which not every machine can build: the best of the
# repetitions is in the tables, a column only where something was measured, and nothing else of the page changes.
. "$(dirname "$0")/../examples/common.sh"
python=$5
program=$5
script=$4/kernel_table.py

cat >kernels <<'JSON'
#!/bin/sh
# whatever the options are
shape=/tokens:64/in:32/out:16
figure() { # run_name run_type rate
  echo ",{\"run_name\": \"$1\", \"run_type\": \"$2\", $3}"
}
echo '{"context": {"processor": "a processor", "compiler": "a compiler", "Eigen": "3.4.0", "peak of one core": "9 gflops"},'
echo '"benchmarks": [{"run_name": "update<pl::bf16, pl::random::Rademacher>", "run_type": "iteration",'
echo '"bytes_per_second": 3e9}'
figure "product_eigen$shape" iteration '"gflops": 9.0, "of_peak": 0.25'
figure "product_eigen$shape" iteration '"gflops": 9.0, "of_peak": 0.5'
figure "product_eigen$shape" aggregate '"gflops": 9.0, "of_peak": 0.99'
figure "product_plain<float>$shape" iteration '"gflops": 9.0, "of_peak": 0.75'
figure "product_plain<pl::f16>$shape" iteration '"gflops": 9.0, "of_peak": 0.625'
figure "product_plain<pl::f16>/tokens:512/in:32/out:16" iteration '"gflops": 9.0, "of_peak": 0.875'
figure "noise<pl::random::Gaussian>" iteration '"items_per_second": 2e9'
figure "update<float, pl::random::Gaussian>" iteration '"bytes_per_second": 4e9'
echo ']}'
JSON
chmod +x kernels
printf 'before\n<!-- kernels:begin -->\nold\n<!-- kernels:end -->\nbehind\n' >README.md

run "$script" --bench-kernels ./kernels --write . --json runs.json
expect_success 'a compiler, Eigen 3.4.0.'
check 'columns of what was measured' grep -qxF '| tokens | in | out | Eigen | plain |' README.md
check 'the best, and no mean' grep -qxF '| 64 | 32 | 16 | 0.50 | 0.75 |' README.md
check 'f16' grep -qxF '| 64 | 32 | 16 | 0.62 |' README.md
[ "$(grep -n '^| 512 ' README.md | cut -d: -f1)" -lt "$(grep -n '^| 64 .* 0.62 ' README.md | cut -d: -f1)" ] ||
  complain 'many tokens are not before few'
check 'noise' grep -qxF '| noise, 10^9 elements/s |  | 2.00 |' README.md
check 'update' grep -qxF '| update of f32, GB/s |  | 4.00 |' README.md
check 'update in 16 bits' grep -qxF '| update of bf16, GB/s | 3.00 |  |' README.md
check 'what was there is gone' sh -c '! grep -q old README.md'
[ "$(sed -n '1p;$p' README.md | tr '\n' ' ')" = 'before behind ' ] || complain 'the rest of the page has changed'
cp README.md first.md
run "$script" --bench-kernels ./kernels --write .
check 'a second run replaces the first' cmp README.md first.md
check 'every repetition' "$python" -c 'import json; assert len(json.load(open("runs.json"))["benchmarks"]) == 9'

echo 'no markers' >README.md
run "$script" --bench-kernels ./kernels --write .
expect_early_error 1 'kernel_table.py: README.md: has no <!-- kernels:begin -->'
run "$script" --bench-kernels nowhere/bench_kernels
expect_early_error 1 'nowhere/bench_kernels: No such file or directory; see --bench-kernels'
finish
