#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes data/*.journal: short runs on the shipped model in each storage, along each kind of direction, with the digest
# of their weights at the end. Usage, in the project's folder: make_journals.sh FINETUNE_CLASSIFIER
set -eu
for storage in f32 f16 bf16; do
  for perturbation in gaussian rademacher low-rank; do
    [ "$storage-$perturbation" = bf16-low-rank ] && continue
    journal=tests/examples/data/$storage-$perturbation.journal
    rm -f "$journal"
    "$1" --model examples/models/tiny-roberta --data examples/data/sms-spam.tsv --text-column SMS \
      --label-column Label --label-words ham=personal,spam=commercial \
      --template 'This is a {mask} message: {text}' --k-shot 16 --batch 4 --max-tokens 24 --test-size 2 \
      --steps 12 --learning-rate 1e-4 --schedule cosine --weight-decay 0.01 --storage "$storage" \
      --perturbation "$perturbation" --shared-steps 5 --journal "$journal" >/dev/null
  done
done
