# SPDX-License-Identifier: Apache-2.0
# finetune_causal on answers to questions: those that it writes, and what is made of them.
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/causal.sh"

# Answers: written ones are compared with the expected ones, and what is printed is what their texts make.
for word in red blue green who what where when black white home; do
  for number in one two three; do
    printf '{"question":"%s %s?","answer":"It is me, \\"%s\\"."}\n' "$word" "$number" "$word"
  done
done >pairs.jsonl
steps=60
[ -z "${POCKETLLM_TEST_FEW:-}" ] || steps=2
answer_questions pairs.jsonl --model "$opt" --test-size 12 --write-answers 9 --batch 8 --steps "$steps" \
  --learning-rate 5e-4 --predictions q.jsonl --metrics q.csv --out answered --eval-every "$((steps / 2))"
expect_success 'the answer is predicted'
expect_success 'answers  the first 9 questions of the test are answered, in at most '
check 'it learns' [ "$(sed -n 's/^after .*loss //p' out.txt)" != "$(sed -n 's/^before .*loss //p' out.txt)" ]
[ "$(wc -l <q.jsonl)" -eq 12 ] || complain 'not twelve predictions'
[ "$(grep -c '"generated":' q.jsonl)" -eq 9 ] || complain 'not nine answers'
[ "$(result_of after | sed 's/  perplexity .*//')" = "$(rate_answers q.jsonl)" ] ||
  complain "$(result_of after) instead of $(rate_answers q.jsonl)"
check 'columns' sh -c 'head -n 1 q.csv | grep -q ",macro_f1,exact_match,answer_f1$"'
[ "$(tail -n 1 q.csv | awk -F, '{ printf "exact match %.1f %%  F1 %.1f %%\n", 100 * $8, 100 * $9 }')" = \
  "$(rate_answers q.jsonl)" ] || complain "$(tail -n 1 q.csv) instead of $(rate_answers q.jsonl)"
[ "$(awk -F, 'NF != 9 || ($2 == "") != ($9 != "")' q.csv | wc -l)" -eq 1 ] || complain 'not figures of evaluations alone'

# The same questions with what was written as the answers, of one of them a word less: the share that matches is known.
sed -n 's/.*"generated":\("\([^"\\]\|\\.\)*"\),.*"question":\("[^"]*"\).*/{"question":\3,"answer":\1}/p' q.jsonl |
  sed 's/"answer":" */"answer":"/' >tests.jsonl
[ "$(wc -l <tests.jsonl)" -eq 9 ] || complain 'not nine questions'
sed -i.old '2s/"answer":"[^ "]*/"answer":"else/' tests.jsonl
answer_questions pairs.jsonl --model answered --test-data tests.jsonl --steps 0 --sample-tokens 0 --predictions t.jsonl
expect_success 'answers  all 9 questions of the test are answered'
[ "$(result_of result | sed 's/  perplexity .*//')" = "$(rate_answers t.jsonl)" ] ||
  complain "$(result_of result) instead of $(rate_answers t.jsonl)"
if [ "$steps" -eq 60 ]; then
  check 'some are right, not all' grep -q '^result   exact match [1-9][0-9]*\.[0-9] %  F1 [1-9]' out.txt
  check 'not all are right' grep -q '"exact_match":0.0' t.jsonl
fi

# No answers, no figures of them; adapters and storages write answers as well.
answer_questions pairs.jsonl --model "$opt" --test-size 2 --steps 0 --write-answers 0 --predictions q.jsonl --metrics q.csv
check 'nothing is written' sh -c '! grep -q "exact match\|answers " out.txt && ! grep -q generated q.jsonl'
check 'the columns of ever' sh -c 'head -n 1 q.csv | grep -q ",macro_f1$"'
for adapter in lora prefix; do
  answer_questions pairs.jsonl --model "$opt" --test-size 2 --steps 1 --batch 2 --adapter "$adapter" --storage i8 \
    --learning-rate 1e-3 --predictions q.jsonl
  expect_success '  perplexity '
  [ "$(result_of after | sed 's/  perplexity .*//')" = "$(rate_answers q.jsonl)" ] || complain "$adapter: $(result_of after)"
done

# What is written can be trained itself: the first loss is 1 - the mean that an evaluation of the same questions finds.
for loss in exact-match answer-f1; do
  for adapter in none prefix; do
    answer_questions tests.jsonl --model answered --test-data tests.jsonl --steps 1 --batch 9 --loss "$loss" \
      --epsilon 1e-6 --learning-rate 1e-9 --adapter "$adapter" --metrics q.csv --threads 1
    expect_success '  perplexity '
    awk -F, -v column="$([ "$loss" = exact-match ] && echo 8 || echo 9)" -v some="$([ "$steps$adapter" = 60none ] && echo 1)" '
      $1 == 0 { before = $column } $1 == 1 && $2 != "" { loss = $2 }
      END { d = 1 - before - loss; exit !(before >= 0.1 * some && before != "" && d < 1e-6 && d > -1e-6) }' q.csv ||
      complain "$loss of $adapter: $(cat q.csv)"
  done
done
answer_questions pairs.jsonl --model "$opt" --test-size 4 --steps 2 --batch 4 --loss answer-f1 --epsilon 1e-2 \
  --learning-rate 1e-3 --train '*.layers.3.*' --journal run.journal --out trained --storage f16
expect_success 'training took'
check 'in the journal' grep -qa '"loss": "answer-f1"' run.journal
finish
