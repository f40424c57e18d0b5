#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# test_android.sh JAVAC JAVA SOURCE_DIR MODEL_DIR WORK_DIR; run in the folder of libpocketllm_training.so
set -eu
javac=$1 java=$2 source=$3 model=$4 work=$5
rm -rf "$work" && mkdir -p "$work"
cp -R "$model" "$work/model"
"$javac" -d "$work" "$source/org/pocketllm/Training.java"
"$java" -cp "$work" org.pocketllm.Training "$PWD/libpocketllm_training.so" "$work/model" >"$work/out.txt"
grep -q '^step 3 loss [0-9]' "$work/out.txt"
grep -q '^end [0-9]* null$' "$work/out.txt"
grep -q '^end 0 /nowhere: no such directory' "$work/out.txt"
[ -s "$work/model-tuned/model.safetensors" ]
