# SPDX-License-Identifier: Apache-2.0
# What a user of finetune_causal may get wrong: one line that says what to do.
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/causal.sh"

run
expect_early_error 2 '--model is required'
write_texts --adapter lorry
expect_early_error 2 '--adapter: lorry not in {none,lora,prefix}'
write_texts --model "$model"
expect_early_error 1 'config.json: model_type is "roberta"; supported is "opt"'
write_texts --where ham
expect_early_error 1 '--where: "ham" is not COLUMN=VALUE; write e.g. Label=ham'
write_texts --where Label=eggs
expect_early_error 1 'no row has Label=eggs'
write_texts --test-size 100000
expect_early_error 1 'leaves none to train on; ask for fewer'
write_texts --train-size 100000
expect_early_error 1 'of the 100000 wanted for training; ask for fewer'
write_texts --template '{title}'
expect_early_error 1 'no value for {title}'
write_texts --template '{text}{mask}'
expect_early_error 1 '{mask} is for masked language models'
write_texts --adapter prefix --prefix-tokens 256
expect_early_error 1 '--prefix-tokens 256: the model has positions for 256'
write_texts --adapter prefix --train '*.bias'
expect_early_error 1 'only the prefix is trained'
write_texts --min-tokens 1000
expect_early_error 1 'no text of 1000 tokens or more'
write_texts --label-words ham=a --label-column Label
expect_early_error 1 'a choice needs at least two candidates, not 1'
echo words >notes.txt
run --model "$opt" --data notes.txt --answer x
expect_early_error 1 'notes.txt: is one text; --answer and --where need a table'
run --model "$opt" --data notes.txt --max-tokens 8 --overlap 8
expect_early_error 1 'windows of 8 tokens with an overlap of 8 leave nothing to predict; make them longer'

write_texts --loss answer-f1
expect_early_error 1 '--loss answer-f1: is of answers that the model writes to questions; give --answer, or train on'
write_texts --label-words ham=a,spam=b --label-column Label --loss exact-match
expect_early_error 1 '--loss exact-match: is of answers'
write_texts --loss f1
expect_early_error 2 '--loss: f1 not in {cross-entropy,exact-match,answer-f1}'
answer_questions "$data" --model "$opt" --loss answer-f1 --answer ''
expect_early_error 1 '--loss answer-f1: is of answers'

write_texts --norm-steps 5 --adapter lora
expect_early_error 1 '--norm-steps: is for the weights of a model (--adapter none) and the tokens of texts or answers'
write_texts --norm-steps 5 --label-words ham=a,spam=b --label-column Label
expect_early_error 1 '--norm-steps: is for the weights'
write_texts --norm-steps 5 --journal run.journal
expect_early_error 1 '--norm-steps: a journal could not replay them; write a model by --norm-steps 5 --steps 0 --out DIR'
write_texts --norm-steps -1
expect_early_error 2 '--norm-steps'
write_texts --norm-rate 0.1
expect_early_error 1 '--norm-rate: is of --norm-steps, and there are none'
# What a step of the norm takes, all 60 texts at once, is counted: an evaluation alone fits.
write_texts --steps 0 --storage f32 --memory-budget 28
expect_success 'of 28 MB allowed'
write_texts --steps 0 --storage f32 --memory-budget 28 --norm-steps 5 --batch 60
expect_early_error 1 '--memory-budget: the weights take 21 MB as f32 and the activations at least'
write_texts --norm-steps 5 --norm-rate 1e38
expect_error 1 'of the last norm: the loss is not a finite number; try a tenth of the rate'

write_texts --storage i8
expect_early_error 1 'weights of 8 bits are a base that stays as it is; train an adapter'
write_texts --merge
expect_early_error 1 '--merge: there is nothing to merge without --adapter lora'
write_texts --adapter lora --lora-targets '*.query'
expect_early_error 1 'no linear layer of the model matches "*.query"'

# A prefix takes no model's place.
cp -R "$opt" kept && chmod -R u+w kept
write_texts --adapter prefix --out kept
expect_early_error 1 '--out kept: holds something else than an adapter'
check 'the model is there' test -s kept/model.safetensors
sed 's/"relu"/"gelu"/' "$opt/config.json" >kept/config.json
write_texts --model kept
expect_early_error 1 'activation_function is "gelu"; supported is "relu"'

program=$classifier
run --model "$opt" --data "$data" --text-column SMS --label-column Label --label-words ham=a,spam=b \
  --template 'This is a {mask} message: {text}'
expect_early_error 1 '--template: a column behind {mask}; an OPT reads from left to right'
program=$generate
run --model "$opt" --prompt x --adapter nowhere
expect_error 1 'nowhere/adapter_config.json'
run --model "$opt" --prompt x --top-p 2
expect_early_error 2 '--top-p'
finish
