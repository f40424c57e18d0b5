# SPDX-License-Identifier: Apache-2.0
# Embeddings of a RoBERTa without its head: one line a text, similar to itself, from arguments or the standard input.
. "$(dirname "$0")/common.sh"

run --model "$model" 'hello' 'good morning'
expect_success ' '
[ "$(wc -l <out.txt)" -eq 2 ] || complain 'not a line for each text'
[ "$(head -n 1 out.txt | wc -w)" -eq 256 ] || complain 'not 256 numbers'
cp out.txt arguments.txt
printf 'hello\ngood morning\n' >texts.txt
"$program" --model "$model" <texts.txt >out.txt || complain 'the standard input is not read'
check 'the same from the standard input' cmp out.txt arguments.txt
run --model "$model" --similarity 'hello' 'hello' 'a wholly different thing'
expect_success '1.0000'
[ "$(tail -n 1 out.txt)" != 1.0000 ] || complain 'other texts are the same'
run --model "$model" --similarity 'hello'
expect_error 1 '--similarity compares two texts or more'
run --model nowhere hello
expect_error 1 'nowhere'
finish
