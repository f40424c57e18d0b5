#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes data/bert_<case>/: small random BERT models and what `transformers` computes with them.

    pip install torch transformers
    python make_bert_golden.py

The files are those of make_roberta_golden.py, with `token_type_ids` beside the ids (every second sequence is a
pair). A model without a head has no labels; its `<name>.logits` [batch, hidden] are the means of the last hidden states over
the tokens of each sequence.
"""
import numpy as np
import torch
from safetensors.torch import save_file
from torch.nn.functional import cross_entropy
from transformers import BertConfig, BertForMaskedLM, BertForSequenceClassification, BertModel
from transformers.utils import logging

from make_roberta_golden import HERE, fnv1a, prompt_loss, randomize, write_json

LENGTHS = [8, 3, 9, 5, 12]
SHAPE = dict(hidden_size=24, num_attention_heads=3, num_hidden_layers=2, intermediate_size=48, vocab_size=90,
             max_position_embeddings=12)
CASES = {
    "bert_masked": (BertForMaskedLM, SHAPE),
    # nothing a multiple of a vector, three token types, a decoder of its own
    "bert_untied": (BertForMaskedLM, dict(hidden_size=30, num_attention_heads=5, num_hidden_layers=1, intermediate_size=37,
                                          vocab_size=71, max_position_embeddings=13, type_vocab_size=3,
                                          tie_word_embeddings=False, layer_norm_eps=1e-3)),
    "bert_classifier": (BertForSequenceClassification, SHAPE | dict(num_labels=3)),
    "bert_headless": (BertModel, SHAPE),
}  # fmt: skip


def make_batch(config: BertConfig, rng: np.random.Generator) -> dict:
    """Random words with one mask, the vocabulary's last id; padding on the right."""
    shape = (len(LENGTHS), max(LENGTHS))
    mask_id = config.vocab_size - 1
    batch = {"input_ids": np.full(shape, config.pad_token_id), "token_type_ids": np.zeros(shape, int),
             "attention_mask": np.zeros(shape, int), "labels": rng.integers(3, size=len(LENGTHS))}  # fmt: skip
    masks = [int(rng.integers(1, length)) for length in LENGTHS]
    for i, length in enumerate(LENGTHS):
        batch["input_ids"][i, :length] = rng.integers(1, mask_id, size=length)
        batch["input_ids"][i, masks[i]] = mask_id
        batch["attention_mask"][i, :length] = 1
        if i % 2 == 0:
            batch["token_type_ids"][i, length // 2 : length] = config.type_vocab_size - 1
    batch["input_ids"][0, 1 if masks[0] != 1 else 2] = config.pad_token_id  # inside a sequence it has a position
    return {name: array.tolist() for name, array in batch.items()} | {"mask_positions": masks}


def make_case(name: str, kind: type, shape: dict) -> None:
    folder = HERE / "data" / name
    model = randomize(kind(BertConfig(**shape, attn_implementation="eager")), name)
    model.save_pretrained(folder)
    model.double()
    rng = np.random.default_rng(fnv1a(name))
    batch = {"name": "batch"} | make_batch(model.config, rng)
    inputs = {key: torch.tensor(batch[key]) for key in ("input_ids", "token_type_ids", "attention_mask")}
    mask = inputs["attention_mask"]
    with torch.no_grad():
        result = model(**inputs, output_hidden_states=True)
    if kind is BertModel:
        logits = (result.last_hidden_state * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
    elif kind is BertForSequenceClassification:
        logits = result.logits
        batch["loss"] = cross_entropy(logits, torch.tensor(batch["labels"])).item()
    else:
        batch["label_words"] = rng.choice(np.arange(4, model.config.vocab_size - 1), 3, replace=False).tolist()
        batch["loss"] = prompt_loss(result.logits, batch).item()
        logits = result.logits * mask[..., None]
    tensors = {f"batch.hidden_states.{i}": s * mask[..., None] for i, s in enumerate(result.hidden_states)}
    tensors |= {"batch.logits": logits}
    write_json(folder / "golden.json", {"note": "computed in float64; padded positions hold zeros", "batches": [batch]})
    save_file({key: array.float().contiguous() for key, array in tensors.items()}, folder / "golden.safetensors")


if __name__ == "__main__":
    logging.disable_progress_bar()
    for case, (kind, shape) in CASES.items():
        make_case(case, kind, shape)
