# SPDX-License-Identifier: Apache-2.0
# minilm_table.py with stand-ins for finetune_classifier and PyTorch: means over the seeds are in the table, rows that
# this run does not have stay, and no text is trained or tested on twice.
. "$(dirname "$0")/../examples/common.sh"
script=$4/minilm_table.py
program=$5

cat >tuner <<'END'
#!/bin/sh
# 90, 91, ... % by the seed, and all that it was asked for
echo "$*" >>asked
while [ $# -gt 0 ]; do
  case $1 in
  --data) sed 1d "$2" | sort >trained ;;
  --test-data) sed 1d "$2" | sort >tested ;;
  --seed) seed=$2 ;;
  esac
  shift
done
[ "$seed" -lt 2 ] || { echo 'tuner: out of luck' >&2; exit 1; }
sort trained tested | uniq -d >>both
wc -l <trained >>sizes
wc -l <tested >>sizes
echo 'before   accuracy 50.0 %  macro-F1 50.0 %  loss 0.7'
echo "after    accuracy 9$seed.0 %  macro-F1 90.0 %  loss 0.2"
echo "peak memory     $((100 + seed)) MB"
END
cat >peer <<'END'
#!/bin/sh
echo '{"accuracy": 0.985, "seconds": 7.4, "peak_rss_bytes": 1500000000}'
END
chmod +x tuner peer
cat >README.md <<'END'
before
<!-- minilm:begin -->

| data | a class | method | accuracy | time | peak memory |
| --- | --- | --- | --- | --- | --- |
| SMS | 4 | PyTorch Adam, head | 97.0 % | 1 s | 900 MB |
| SMS | 4 | head alone | 11.1 % | 1 s | 1 MB |
| SMS | 4 | class means, no step | 92.3 % ± 0.5 | 3 s | 131 MB |
| SMS | 4 | what no longer is | 1.0 % | 3 s | 131 MB |

<!-- minilm:end -->
behind
END
{
  echo 'label	text'
  awk 'BEGIN { for (i = 0; i < 310; ++i) { print "ham\thello " i; print "spam\tbuy " i; print "ham\thello 0" } }'
} >sms.tsv

table() {
  run "$script" --finetune-classifier ./tuner --python ./peer --model mini --sms sms.tsv --shots 4 "$@"
}
table --seeds 2 --only 'head alone' 'PyTorch Adam, all' --write .
[ "$code" -eq 0 ] || complain "exit code $code"
check 'the mean of the seeds, and the most memory' grep -qE '^\| SMS \| 4 \| head alone \| 90.5 % ± 0.7 \| [0-9]+ s \| 101 MB \|$' README.md
check 'the peer' grep -qxF '| SMS | 4 | PyTorch Adam, all weights | 98.5 % ± 0.0 | 7 s | 1500 MB |' README.md
[ "$(sed -n 's/^| SMS | 4 | \([^|]*\) |.*/\1/p' README.md | tr '\n' ';')" = \
  'class means, no step;head alone;PyTorch Adam, head;PyTorch Adam, all weights;' ] || complain 'other rows, or another order'
[ "$(sed -n '1p;$p' README.md | tr '\n' ' ')" = 'before behind ' ] || complain 'the rest of the page has changed'
[ ! -s both ] || complain 'a text comes twice, or is tested and trained on'
[ "$(tr -d ' ' <sizes | tr '\n' ' ')" = '8 600 8 600 ' ] || complain "other sizes: $(tr '\n' ' ' <sizes)"
check 'the head is trained' grep -q -- '--seed 1 --head-steps 10000 .*--steps 0$' asked

table --seeds 3 --only 'head alone'
[ "$code" -eq 1 ] || complain "exit code $code of a program that fails"
check 'why it failed' grep -qxF 'minilm_table.py: ./tuner: tuner: out of luck' err.txt
run "$script" --finetune-classifier ./tuner --model mini
expect_early_error 1 'minilm_table.py: no data; give --sms or --sst2'
finish
