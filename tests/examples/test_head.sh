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

# A run that puts a new head on is replayed from the encoder and the head's start, which the run keeps.
for pooling in mean saved; do
  base=$model
  [ "$pooling" = mean ] || base=tuned
  tune --model "$base" --head-steps 20 --steps 3 --learning-rate 1e-5 --journal "$pooling.journal" --out "$pooling"
  expect_success 'journal in'
  weights=$(result_of weights)
  tune --model "$base" --head-steps 20 --steps 3 --learning-rate 1e-5 --journal "$pooling.journal" --resume
  [ "$(result_of weights)" = "$weights" ] || complain 'other weights after --resume'
  tune=$program program=$(dirname "$program")/replay
  run --model "$base" --journal "$pooling.journal" --verify --out again
  expect_success "verified $weights"
  cmp -s "$pooling/model.safetensors" again/model.safetensors || complain "other weights ($pooling)"
  cmp -s "$pooling/config.json" again/config.json || complain "another config.json ($pooling)"
  program=$tune
done
[ -f saved.journal.head.safetensors ] && complain 'the start of a head that was not new'
tune --model again --steps 0
expect_success 'as it was saved'
program=$(dirname "$program")/replay
mv mean.journal.head.safetensors moved
run --model "$model" --journal mean.journal --verify
expect_early_error 1 'mean.journal: the run put a new head on the model, whose start is in mean.journal.head.safetensors, which is not there'
run --model "$model" --journal mean.journal --verify --head moved
expect_success 'verified blake3:'
run --model "$model" --journal mean.journal --head "$model/model.safetensors"
expect_early_error 1 'has no classifier.weight of this model'
finish
