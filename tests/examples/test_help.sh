# SPDX-License-Identifier: Apache-2.0
# --help names every option, with its default, within 80 columns.
. "$(dirname "$0")/common.sh"

for flag in --help -h; do
  run "$flag"
  expect_success 'Fine-tunes a language model'
done
for option in --model --data --test-data --text-column --label-column --template --label-words --pooling --head-start --head-steps --head-rate --head-decay --k-shot \
  --test-size --max-tokens --steps --batch --learning-rate --epsilon --schedule --warm-up --weight-decay \
  --adapter --lora-rank --lora-alpha --lora-targets --prefix-tokens --prefix-from --perturbation --train --seed --group-by-length --storage --cache --cache-dir --threads --out --metrics --plot --predictions \
  --eval-every --micro-batches --journal --resume --accept-damage --snapshot-every --snapshots --memory-budget --help; do
  [ "$(grep -cE "^  (-h,)?$option( |\$)" out.txt)" -eq 1 ] || complain "$option is not listed once"
done
[ "$(grep -c '(required)' out.txt)" -eq 2 ] || complain 'not two required options'
expect_success '(default: auto)'
expect_success '(default: {text} It was {mask}.)'
[ -z "$(grep -E '.{81}' out.txt)" ] || complain 'a line is wider than 80 columns'
[ -z "$(grep -E ' $' out.txt)" ] || complain 'a line ends in a space'
finish
