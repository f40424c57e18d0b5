# SPDX-License-Identifier: Apache-2.0
# methods.py with stand-ins for the programs: forward passes are counted with those of a probe, the table and the chart
# are written, and of methods crossed with what they train the rows of others stay.
. "$(dirname "$0")/../examples/common.sh"
script=$4/methods.py
python=$5
program=$5

cat >tuner <<'END'
#!/bin/sh
# its loss is a tenth of the seed above 0.3, or 0.5 of a prefix
echo "$*" >>asked
while [ $# -gt 0 ]; do
  case $1 in
  --metrics) metrics=$2 ;;
  --seed) seed=$2 ;;
  --steps) steps=$2 ;;
  --adapter) [ "$2" != prefix ] || high=2 ;;
  esac
  shift
done
{
  echo 'step,loss,seconds,eval_loss,accuracy'
  echo '0,,0.1,0.9,0.5'
  echo '1,0.7,0.2,,'
  echo "$steps,0.6,2.0,0.$((3 + seed + ${high:-0})),0.9$seed"
} >"$metrics"
END
cat >peer <<'END'
#!/bin/sh
echo '{"accuracy": 0.96, "loss": 0.1, "seconds": 50.0}'
END
chmod +x tuner peer
cat >README.md <<'END'
before
<!-- methods:begin -->
old
<!-- methods:end -->
between
<!-- methods-parts:begin -->

| method | options | top layer | the prompt's head | LoRA | prefix |
| --- | --- | --- | --- | --- | --- |
| FZOO | `--method fzoo` | 1 | 2 | 3 | 4 |
| MeZO |  | 5 | 6 | 7 | 8 |

<!-- methods-parts:end -->
behind
END

table() {
  run "$script" --finetune-classifier ./tuner --python ./peer --forwards 100 --seeds 2 --jobs 2 "$@"
}
table --only 'MeZO, probed' 'MeZO, falling' HiZOO 'PyTorch Adam, all' --write .
[ "$code" -eq 0 ] || complain "exit code $code"
check 'means' grep -q '^| MeZO, falling rate | `--learning-rate 2e-4 --schedule linear` | 100 | 90.5 ± 0.7 % | 0.350 ± 0.071 | ' README.md
check 'a probe and what it leaves' grep -q '^| MeZO, probed rate |  | 100 | ' README.md
check 'its steps' grep -q -- '--seed 1 .*--steps 14 --eval-every 1$' asked
check 'the peer, in its own seconds' grep -qxF '| PyTorch Adam, all weights | `--train all` |  | 96.0 ± 0.0 % | 0.100 ± 0.000 | 50 s |' README.md
check 'nothing of HiZOO without its program' sh -c '! grep -q HiZOO README.md'
check 'what was there is gone' sh -c '! grep -qx old README.md'
check 'the other section stays' grep -qxF '| MeZO |  | 5 | 6 | 7 | 8 |' README.md
check 'the chart is XML' "$python" -c 'import xml.dom.minidom as x; x.parse("methods.svg")'

cp methods.svg first.svg
table --parts --only 'MeZO, signs' --write .
[ "$code" -eq 0 ] || complain "exit code $code of what is crossed"
check 'means of each part' grep -qxF \
  '| MeZO, signs | `--update sign` | 90.5 ± 0.7 %, 0.350 | 90.5 ± 0.7 %, 0.350 | 90.5 ± 0.7 %, 0.350 | 90.5 ± 0.7 %, 0.550 |' README.md
[ "$(sed '1,/methods-parts:begin/d' README.md | sed -n 's/^| \([MF][^|]*\) |.*/\1/p' | tr '\n' ';')" = 'MeZO;MeZO, signs;FZOO;' ] ||
  complain 'other rows of the crossed methods, or another order'
check 'no chart of what is crossed' cmp methods.svg first.svg

table --only 'No such'
[ "$code" -eq 1 ] || complain "exit code $code of no method"
check 'no method' grep -qxF "methods.py: no method's name begins with No such" err.txt
finish
