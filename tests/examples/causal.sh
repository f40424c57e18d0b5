# SPDX-License-Identifier: Apache-2.0
# For the tests of finetune_causal, behind common.sh: it with the shipped OPT and the messages as texts.
opt=$(dirname "$model")/tiny-opt
generate=$(dirname "$program")/generate
classifier=$(dirname "$program")/finetune_classifier

# Texts of one's own; further options.
write_texts() {
  run --model "$opt" --data "$data" --text-column SMS --where Label=ham --max-tokens "$tokens" --batch "$batch" \
    --train-size 60 --test-size "$some" --learning-rate 1e-4 "$@"
}

# What was printed for $1 ("before", "after", "result").
result_of() {
  sed -n "s/^$1  *//p" out.txt
}
