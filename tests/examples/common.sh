# SPDX-License-Identifier: Apache-2.0
# For the scripts beside this one: usage of each: test_NAME.sh PROGRAM EXAMPLES_DIR EMPTY_DIR
set -u
program=$1
model=$2/models/tiny-roberta
data=$2/data/sms-spam.tsv
rm -rf "$3" && mkdir -p "$3" && cd "$3" || exit 1
failures=0

# Under sanitizers and emulators, which make a forward pass some hundred times as long, a few examples have to do.
many=600 some=60 shots=32 batch=16 tokens=64 sampled=30
if [ -n "${POCKETLLM_TEST_FEW:-}" ]; then
  many=40 some=12 shots=8 batch=4 tokens=24 sampled=2
fi

# Says what is wrong, with what the program wrote last.
complain() {
  failures=$((failures + 1))
  echo "FAILED: $*"
  echo "  stdout: $(head -n 3 out.txt)"
  echo "  stderr: $(head -n 3 err.txt)"
}

# Runs the program; what it writes goes to out.txt and err.txt, its exit code to `code`.
run() {
  "$program" "$@" >out.txt 2>err.txt
  code=$?
}

# The program with the shipped model and messages, and further options.
classify() {
  run --model "$model" --data "$data" --text-column SMS --label-column Label \
    --label-words ham=personal,spam=commercial --template 'This is a {mask} message: {text}' \
    --max-tokens "$tokens" "$@"
}

# expect_error CODE TEXT: the last run ended with CODE and a single line on stderr that has TEXT in it.
expect_error() {
  [ "$code" -eq "$1" ] || complain "exit code $code instead of $1 ($2)"
  [ "$(wc -l <err.txt)" -eq 1 ] || complain "not one line ($2)"
  grep -qF -- "$2" err.txt || complain "not \"$2\""
}

# expect_early_error CODE TEXT: the same, before anything was written to stdout.
expect_early_error() {
  expect_error "$1" "$2"
  [ ! -s out.txt ] || complain "something on stdout ($2)"
}

# expect_success TEXT: the last run went well, with nothing on stderr, and wrote TEXT.
expect_success() {
  [ "$code" -eq 0 ] || complain "exit code $code ($1)"
  [ ! -s err.txt ] || complain "something on stderr ($1)"
  grep -qF -- "$1" out.txt || complain "not \"$1\""
}

# check WHAT COMMAND...: the command succeeds.
check() {
  what=$1
  shift
  "$@" >/dev/null 2>&1 || complain "$what"
}

finish() {
  [ "$failures" -eq 0 ] && echo "all passed"
  exit "$((failures != 0))"
}
