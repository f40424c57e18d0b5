# SPDX-License-Identifier: Apache-2.0
# What is written when a run goes well, and when the disk is full.
. "$(dirname "$0")/common.sh"

# --steps 0 only evaluates.
classify --steps 0 --k-shot 4 --test-size "$many" --predictions p.jsonl
expect_success 'predictions in  p.jsonl'
[ "$(grep -c '^result ' out.txt)" -eq 1 ] || complain 'not one result'
[ -z "$(grep -E '^(before|after|step|training)' out.txt)" ] || complain 'something was trained'
[ "$(wc -l <p.jsonl)" -eq "$many" ] || complain "not $many predictions"
number='-?[0-9]+(\.[0-9]+)?(e-?[0-9]+)?'
line="^\{\"label\":\"(ham|spam)\",\"predicted\":\"(ham|spam)\",\"scores\":\{\"ham\":$number,\"spam\":$number\},\"fields\":\{\"SMS\":\".*\"\}\}\$"
[ "$(grep -cE "$line" p.jsonl)" -eq "$many" ] || complain 'a prediction is not as expected'
[ "$(grep -c '^{"label":"ham"' p.jsonl)" -eq $((many / 2)) ] || complain 'not half of them are ham'
# Every line is JSON to a reader that is strict, the program's own.
run --model "$model" --data p.jsonl --test-data p.jsonl --text-column predicted --label-column label \
  --label-words ham=personal,spam=commercial --template 'This is a {mask} message: {text}' --steps 0
expect_success "$many to test on"
[ -z "$(grep 'none twice' out.txt)" ] || complain 'test data that were trained on are not none twice'
right=$(grep -cE '"label":"(ham|spam)","predicted":"\1"' p.jsonl)
expected=$(awk "BEGIN { printf \"%.1f\", 100 * $right / $many }")
classify --steps 0 --k-shot 4 --test-size "$many"
expect_success "result   accuracy $expected %"

# All results at once, in both formats of figures, overwriting what was there.
for kind in csv jsonl; do
  echo old | tee "m.$kind" curve.svg p.jsonl >/dev/null
  classify --steps 3 --k-shot 8 --test-size 20 --batch 4 --eval-every 2 --learning-rate 1e-4 --out model \
    --metrics "m.$kind" --plot curve.svg --predictions p.jsonl
  expect_success 'model in        model'
  for text in 'all trained' 'none twice' 'step 3/3' 'peak memory' "figures in      m.$kind" 'curves in       curve.svg' \
    'step 2  accuracy' 'label \ predicted'; do
    expect_success "$text"
  done
  check 'a picture' grep -q '</svg>' curve.svg
  [ "$(wc -l <p.jsonl)" -eq 20 ] || complain 'not 20 predictions'
done
[ "$(wc -l <m.csv)" -eq 7 ] || complain 'not a header, evaluations at 0, 2 and 3, and three steps'
[ "$(wc -l <m.jsonl)" -eq 6 ] || complain 'not three evaluations and three steps'
check 'a model' test -s model/model.safetensors
check 'the tokenizer' cmp model/merges.txt "$model/merges.txt"

# What --train does not name keeps its bits.
classify --steps 1 --k-shot 8 --test-size 20 --train '*.bias,*LayerNorm*' --out biases
expect_success ' million weights, 0.0'

# The last one of an option given twice counts.
classify --steps 5 --steps 0 --k-shot 4 --test-size 20
expect_success 'result '

# A disk that is full costs the file, not the training.
if [ -w /dev/full ]; then
  classify --steps 2 --k-shot 4 --test-size 20 --predictions /dev/full --out kept
  expect_error 1 '/dev/full: cannot be written (No space left on device)'
  check 'the model is saved before' test -s kept/model.safetensors
  ln -s /dev/full full.csv
  classify --steps 2 --k-shot 4 --test-size 20 --metrics full.csv --out kept2
  expect_error 1 'full.csv: cannot be written (No space left on device)'
fi
finish
