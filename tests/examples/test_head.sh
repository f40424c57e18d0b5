# SPDX-License-Identifier: Apache-2.0
# Without label words: a head on the encoder, for the labels of the data. Saved, it is gone on with.
. "$(dirname "$0")/common.sh"

tune() {
  run --data "$data" --text-column SMS --label-column Label --k-shot 8 --test-size 20 --batch 4 "$@"
}
result_of() {
  sed -n "s/^$1  *//p" out.txt
}

tune --model "$model" --head-steps 50 --steps 2 --learning-rate 1e-6 --out tuned
expect_success '2 classes on the mean of the tokens, new  (ham, spam)'
after=$(result_of after)
tune --model tuned --steps 0
expect_success 'as it was saved'
[ "$(result_of result)" = "$after" ] || complain "$(result_of result) instead of $after"
tune --model "$model" --pooling cls --steps 0
expect_error 1 'classifier.dense.weight'
run --model tuned --data "$data" --text-column SMS --label-column Label --label-words ham=personal,spam=commercial
expect_error 1 'this RoBERTa has no masked-language-model head; leave --label-words out'
finish
