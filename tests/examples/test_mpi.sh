# SPDX-License-Identifier: Apache-2.0
# Four MPI processes write the journal of one that accumulates the same four micro-batches, to the last byte.
. "$(dirname "$0")/common.sh"
alone=$(dirname "$program")/finetune_classifier
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
mpi_program=$program

# team N FURTHER...: N processes of one thread.
team() {
  count=$1
  shift
  program=mpirun classify_with "$count" "$@"
}
classify_with() {
  processes=$1
  shift
  "$program" -n "$processes" "$mpi_program" --model "$model" --data "$data" --text-column SMS --label-column Label \
    --label-words ham=personal,spam=commercial --template 'This is a {mask} message: {text}' \
    --max-tokens 24 --k-shot 16 --test-size 12 --batch 4 --learning-rate 1e-4 --steps 8 --threads 1 "$@" \
    >out.txt 2>err.txt
  code=$?
}
one() {
  program=$alone classify --max-tokens 24 --k-shot 16 --test-size 12 --batch 4 --learning-rate 1e-4 --steps 8 \
    --threads 1 "$@"
}

one --micro-batches 4 --journal one.journal --out one
expect_success 'journal in      one.journal'
team 4 --journal four.journal --out four
expect_success 'journal in      four.journal'
[ "$(grep -c '^model in' out.txt)" -eq 1 ] || complain 'not one process speaks'
check 'the same journal from four processes' cmp one.journal four.journal
check 'the same model' cmp one/model.safetensors four/model.safetensors
team 2 --micro-batches 2 --journal two.journal
check 'the same journal from two processes with two micro-batches' cmp one.journal two.journal

# An OPT, which chooses between the words as continuations.
opt=$(dirname "$model")/tiny-opt
choice='{text} This was {mask}'
one --model "$opt" --template "$choice" --micro-batches 2 --journal opt.journal --out opt
expect_success 'journal in      opt.journal'
team 2 --model "$opt" --template "$choice" --journal opt_two.journal --out opt_two
expect_success 'journal in      opt_two.journal'
check 'the same journal of an OPT from two processes' cmp opt.journal opt_two.journal
check 'the same OPT' cmp opt/model.safetensors opt_two/model.safetensors

# Four processes go on with what was torn.
head -c "$(($(wc -c <four.journal) - 240))" four.journal >torn.journal
team 4 --journal torn.journal --resume
expect_success 'were not written in full'
check 'the same journal from a torn one' cmp one.journal torn.journal
team 4 --journal four.journal
[ "$code" -ne 0 ] || complain 'a journal that is there is overwritten'
grep -q 'is there already' err.txt || complain 'no reason'
finish
