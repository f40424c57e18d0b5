# SPDX-License-Identifier: Apache-2.0
# The first ten losses of a short run are those of data/losses.csv on every processor, to the bit where it has a fused
# multiply-add. A change of noise, kernels or the choice of examples changes them: then losses.csv in the test's
# folder is the new one.
. "$(dirname "$0")/common.sh"

tokens=24
classify --k-shot 32 --test-size 12 --batch 4 --steps 10 --learning-rate 1e-4 --seed 2 --metrics all.csv
expect_success 'training took'
cut -d, -f1,2 all.csv | grep -v ",$" >losses.csv
golden=$(dirname "$2")/tests/examples/data/losses.csv
if [ "$POCKETLLM_TEST_FUSED" = 1 ] || grep -q avx2 /proc/cpuinfo 2>/dev/null; then
  check 'the losses are the same to the bit' cmp losses.csv "$golden"
fi
check 'the losses agree to 1e-4' awk -F, '
  NR == FNR { golden[$1] = $2; next }
  FNR > 1 { d = $2 / golden[$1] - 1; seen += golden[$1] != "" && d < 1e-4 && d > -1e-4 }
  END { exit seen != 10 }' "$golden" losses.csv
finish
