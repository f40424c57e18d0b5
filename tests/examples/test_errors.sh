# SPDX-License-Identifier: Apache-2.0
# What a user may get wrong: each is one line that says what to do, before anything else is written.
. "$(dirname "$0")/common.sh"

# The command line: exit code 2.
run
expect_early_error 2 '--model is required'
classify --nothing 3
expect_early_error 2 '--nothing is not known; --help lists the options'
classify --steps 1 stray
expect_early_error 2 'stray is not known'
classify --steps
expect_early_error 2 '--steps'
classify --k-shot 0
expect_early_error 2 '--k-shot: 0 is too small; give at least 1'
classify --steps -1
expect_early_error 2 '--steps: -1 is too small; give at least 0'
for text in abc 1.5 '' 1e3 '3 '; do
  classify --steps "$text"
  expect_early_error 2 "--steps: \"$text\" is not a whole number"
done
classify --steps 99999999999999999999
expect_early_error 2 '--steps: 99999999999999999999 is too large'
classify --threads 5000
expect_early_error 2 '--threads: 5000 is too large; give at most 1024'
for rate in 0 -1 nan inf 1e60 1e-60 1e-4x; do
  classify --learning-rate "$rate"
  expect_early_error 2 "--learning-rate: \"$rate\" is not a positive number"
done
classify --epsilon 0
expect_early_error 2 '--epsilon: "0" is not a positive number'
classify --weight-decay -0.1
expect_early_error 2 '--weight-decay: "-0.1" is not a number from 0'
classify --schedule exponential
expect_early_error 2 '--schedule: exponential not in {constant,linear,cosine}'
classify --storage f64
expect_early_error 2 '--storage: f64 not in {f32,f16,bf16}'
classify --seed -1
expect_early_error 2 '--seed: -1 is too small'

# The model.
options="--text-column SMS --label-column Label --label-words ham=personal,spam=commercial"
with_model() {
  # shellcheck disable=SC2086 # several words
  run --model "$1" --data "$data" $options --template 'This is a {mask} message: {text}'
}
with_model nowhere
expect_early_error 1 'nowhere: no such directory; expected a directory with config.json'
cp -R "$model" damaged && chmod -R u+w damaged
rm damaged/merges.txt
with_model damaged
expect_early_error 1 'damaged: vocab.json is there but merges.txt is missing; copy merges.txt'
cp "$model/merges.txt" damaged
head -c 5000000 "$model/model.safetensors" >damaged/model.safetensors
with_model damaged
expect_early_error 1 'the file is truncated or damaged, fetch it again'
sed 's/"model_type": *"roberta"/"model_type": "gpt2"/' "$model/config.json" >damaged/config.json
with_model damaged
expect_early_error 1 'damaged/config.json: model_type is "gpt2"; supported are "bert" and "roberta"'
with_model "$model/config.json"
expect_early_error 1 'is not a directory; expected a directory with config.json'

# Data, labels and template.
with_words() {
  run --model "$model" --data "$data" --text-column SMS --label-column Label --label-words "$1" \
    --template 'This is a {mask} message: {text}'
}
run --model "$model" --data "$data" --label-words ham=personal,spam=commercial
expect_early_error 1 'no column "text"; choose one that the header has: Label, SMS'
classify --data nofile.tsv
expect_early_error 1 'nofile.tsv: cannot be read'
printf 'Label\tSMS\nham\thello\neggs\tgood morning\n' >eggs.tsv
classify --data eggs.tsv
expect_early_error 1 'eggs.tsv:3: label "eggs" is not one of: ham, spam'
with_words ham=personal,spam=unbelievably
expect_early_error 1 'label word "unbelievably" is 3 tokens (" unbelie" "v" "ably"); choose a word that is one token'
with_words ham=personal
expect_early_error 1 'at least two label words, not 1'
with_words ham,spam=commercial
expect_early_error 1 '--label-words: "ham" is not label=word; write e.g.'
with_words ham=personal,spam=personal
expect_early_error 1 'label word "personal" stands for two classes'
with_words ham=personal,ham=commercial
expect_early_error 1 '"ham" is named twice'
classify --template 'This is a message: {text}'
expect_early_error 1 'no {mask}; write {mask} where'
classify --template '{text} It was {mask}{mask}.'
expect_early_error 1 'the template has 2 masks; write {mask} once'
classify --template 'This is a {mask} message: {title}' --k-shot 4
expect_early_error 1 '--template: {title} is no text column; the columns are: SMS, text'
classify --template 'This is a {mask} message' --k-shot 4
expect_early_error 1 '--template: no text column in it; write {text}'
classify --max-tokens 4
expect_early_error 1 'more than the 4 allowed; shorten the template or allow more tokens'
classify --k-shot 100000
expect_early_error 1 'of the 100000 wanted for training; ask for fewer'
classify --test-size 100000
expect_early_error 1 'of the 50000 wanted for testing; ask for fewer'
classify --test-size 1
expect_early_error 1 '--test-size 1 is fewer than one example for each of 2 classes'
classify --k-shot 4 --train 'nothing*'
expect_early_error 1 'no tensor of the model matches "nothing*"; patterns are names'

# Results that cannot be written, found before the training.
mkdir thesis && echo words >thesis/chapter1.txt
classify --k-shot 4 --out thesis
expect_early_error 1 '--out thesis: holds something else than a model'
check 'thesis is untouched' test -s thesis/chapter1.txt
classify --k-shot 4 --out eggs.tsv
expect_early_error 1 '--out eggs.tsv: is not a directory; choose another name'
classify --k-shot 4 --out .
expect_early_error 1 '--out .: is the current directory'
classify --k-shot 4 --out eggs.tsv/model
expect_early_error 1 'eggs.tsv'
cp -R "$model" nested && chmod -R u+w nested && mkdir nested/runs
classify --k-shot 4 --out nested
expect_early_error 1 '--out nested: has a directory runs'
for option in --metrics --plot --predictions; do
  classify --k-shot 4 "$option" no/where.csv
  expect_early_error 1 "$option no/where.csv: there is no directory no; create it first"
  classify --k-shot 4 "$option" thesis
  expect_early_error 1 "$option thesis: is a directory; name a file"
  classify --k-shot 4 "$option" damaged/file.csv --out damaged
  expect_early_error 1 "$option damaged/file.csv: is in the directory of --out"
done
classify --k-shot 4 --metrics figures.txt
expect_early_error 1 'figures.txt: unknown kind of log; name it .csv or .jsonl'
if [ "$(id -u)" -ne 0 ]; then # who may write everywhere
  mkdir locked && chmod 555 locked
  classify --k-shot 4 --plot locked/curve.svg
  expect_early_error 1 '--plot locked/curve.svg: no permission to write locked'
  classify --k-shot 4 --out locked/model
  expect_early_error 1 'locked: cannot be written to'
fi
finish
