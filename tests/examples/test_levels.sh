# SPDX-License-Identifier: Apache-2.0
# The kernels that a program chooses when it runs: all of them train, and those with a fused multiply-add give the
# same bits. On a machine without an instruction set the level below it runs instead, which is then the same one.
. "$(dirname "$0")/common.sh"

for level in baseline avx2 avx512; do
  export POCKETLLM_LEVEL=$level
  classify --k-shot 4 --batch 4 --steps 3 --learning-rate 1e-4 --test-size 12 --predictions "$level.jsonl"
  expect_success 'training took'
done
case $POCKETLLM_TEST_MACHINE in
x86_64)
  grep -q avx512f /proc/cpuinfo 2>/dev/null && check 'AVX2 and AVX-512 agree' cmp avx2.jsonl avx512.jsonl
  grep -q avx2 /proc/cpuinfo 2>/dev/null && { ! cmp -s baseline.jsonl avx2.jsonl || complain 'the level has no effect'; }
  ;;
*) check 'elsewhere there is one level' cmp baseline.jsonl avx512.jsonl ;;
esac
finish
