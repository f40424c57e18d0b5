#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes data/<case>/: small random RoBERTa models and what `transformers` computes with them.

    pip install torch transformers
    python make_roberta_golden.py

A case has config.json and model.safetensors (float32, as save_pretrained writes them) and

- golden.json: the inputs. Each entry of `batches` has a `name`, padded `input_ids` and `attention_mask`
  [batch, tokens], `labels` [batch], `label_words` (token ids, masked language models only) and `loss`: the mean
  over the batch of the cross-entropy of softmax over the label words' logits at `mask_positions`, or over the
  class logits.
- golden.safetensors: `<name>.hidden_states.<i>` [batch, tokens, hidden], before layer i and behind the last one, and
  `<name>.logits` [batch, tokens, vocabulary] or [batch, labels]. Computed in float64, stored in float32.
  Padded positions hold zeros and mean nothing.
"""
import dataclasses
import math
import pathlib
import sys

import numpy as np
import torch
from safetensors.torch import save_file
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel, RobertaConfig, RobertaForMaskedLM, RobertaForSequenceClassification
from transformers.utils import logging

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "random"))
from reference_noise import fnv1a, gaussian, write_json  # noqa: E402


@dataclasses.dataclass
class Rows:
    """One batch to make."""

    lengths: list[int]
    pad_left: bool = False
    pad_inside: bool = False  # a padding id in the middle of the first row that is not masked: it has no position


@dataclasses.dataclass
class Case:
    name: str
    batches: list[Rows]
    shape: dict
    labels: int = 0  # outputs of a classification head; 0 for a masked language model


SEVEN = [8, 3, 9, 5, 4, 7, 6]
CASES = [
    Case("tied", [Rows([11]), Rows([10, 3, 9, 12, 6, 4, 8])],
         dict(hidden_size=32, num_attention_heads=4, num_hidden_layers=3, intermediate_size=64, vocab_size=101,
              max_position_embeddings=20)),
    Case("untied", [Rows([8]), Rows(SEVEN, pad_left=True)],
         dict(hidden_size=48, num_attention_heads=3, num_hidden_layers=2, intermediate_size=100, vocab_size=131,
              max_position_embeddings=20, tie_word_embeddings=False)),
    # nothing a multiple of a vector; padding id, LayerNorm epsilon and token types unlike the usual ones
    Case("odd", [Rows([5], pad_inside=True), Rows(SEVEN)],
         dict(hidden_size=30, num_attention_heads=5, num_hidden_layers=2, intermediate_size=37, vocab_size=89,
              max_position_embeddings=15, tie_word_embeddings=False, pad_token_id=3, type_vocab_size=2,
              layer_norm_eps=1e-3)),
    # heads of 64 as in the real models; a sequence that uses all positions
    Case("wide", [Rows([60])],
         dict(hidden_size=128, num_attention_heads=2, num_hidden_layers=1, intermediate_size=128, vocab_size=200,
              max_position_embeddings=62)),
    Case("classifier", [Rows([6]), Rows(SEVEN)],
         dict(hidden_size=32, num_attention_heads=4, num_hidden_layers=2, intermediate_size=64, vocab_size=101,
              max_position_embeddings=20), labels=3),
]  # fmt: skip


def make_model(case: Case) -> PreTrainedModel:
    usual = dict(type_vocab_size=1, layer_norm_eps=1e-5, pad_token_id=1, attn_implementation="eager")
    if case.labels:
        model = RobertaForSequenceClassification(RobertaConfig(**usual | case.shape, num_labels=case.labels))
    else:
        model = RobertaForMaskedLM(RobertaConfig(**usual | case.shape))
    return randomize(model, case.name)


def randomize(model: PreTrainedModel, seed: str) -> PreTrainedModel:
    """Makes all weights random, biases and LayerNorm too, and large enough that every part matters."""
    for name, weight in model.named_parameters():
        z = gaussian(2026, f"{seed}/{name}", tuple(weight.shape))
        if "embeddings" in name and weight.ndim == 2:
            z *= 0.6
        elif weight.ndim == 2:
            z *= 1.2 / math.sqrt(weight.shape[1])  # 1 keeps the variance; 1.2 makes attention less even
        else:
            z = (1.0 if "norm.weight" in name.lower() else 0.0) + 0.25 * z
        weight.data = torch.from_numpy(z).float()
    return model.eval()


def make_batch(rows: Rows, config: RobertaConfig, labels: int, rng: np.random.Generator) -> dict:
    """<s> words </s> with one mask, whose id is the vocabulary's last as in the real models."""
    width, mask_id = max(rows.lengths), config.vocab_size - 1
    shape = (len(rows.lengths), width)
    batch = {
        "input_ids": np.full(shape, config.pad_token_id),
        "attention_mask": np.zeros(shape, int),
        "labels": rng.integers(labels, size=len(rows.lengths)),
    }
    masks = []
    for i, length in enumerate(rows.lengths):
        start = width - length if rows.pad_left else 0
        tokens = rng.integers(4, mask_id, size=length)
        tokens[0], tokens[-1] = config.bos_token_id, config.eos_token_id
        masks.append(start + int(rng.integers(1, length - 1)))
        batch["input_ids"][i, start : start + length] = tokens
        batch["input_ids"][i, masks[-1]] = mask_id
        batch["attention_mask"][i, start : start + length] = 1
    if rows.pad_inside:
        batch["input_ids"][0, 1 if masks[0] != 1 else 2] = config.pad_token_id
    return {name: array.tolist() for name, array in batch.items()} | {"mask_positions": masks}


def prompt_loss(logits: torch.Tensor, batch: dict) -> torch.Tensor:
    """MeZO's objective: cross-entropy over the label words alone at the mask of each row."""
    at_mask = logits[torch.arange(len(logits)), batch["mask_positions"]]
    return cross_entropy(at_mask[:, batch["label_words"]], torch.tensor(batch["labels"]))


def make_case(case: Case) -> None:
    folder = HERE / "data" / case.name
    model = make_model(case)
    model.save_pretrained(folder)
    model.double()
    rng = np.random.default_rng(fnv1a(case.name))
    tensors: dict[str, torch.Tensor] = {}
    batches = []
    for rows in case.batches:
        batch = {"name": f"batch_{len(rows.lengths)}"} | make_batch(rows, model.config, case.labels or 3, rng)
        ids, mask = torch.tensor(batch["input_ids"]), torch.tensor(batch["attention_mask"])
        with torch.no_grad():
            result = model(input_ids=ids, attention_mask=mask, output_hidden_states=True)
        logits = result.logits
        if case.labels:
            del batch["mask_positions"]
            loss = cross_entropy(logits, torch.tensor(batch["labels"]))
        else:
            batch["label_words"] = rng.choice(np.arange(4, model.config.vocab_size - 1), 3, replace=False).tolist()
            loss = prompt_loss(logits, batch)
            logits = logits * mask[..., None]
        states = [state * mask[..., None] for state in result.hidden_states]
        for name, array in {**{f"hidden_states.{i}": s for i, s in enumerate(states)}, "logits": logits}.items():
            assert array.isfinite().all()
            tensors[f"{batch['name']}.{name}"] = array.float().contiguous()
        batches.append(batch | {"loss": loss.item()})
    note = "computed in float64; positions with attention_mask 0 hold zeros and mean nothing"
    ids = {"pad_id": model.config.pad_token_id, "mask_id": model.config.vocab_size - 1}
    write_json(folder / "golden.json", {"note": note} | (ids if not case.labels else {}) | {"batches": batches})
    save_file(tensors, folder / "golden.safetensors")


def main() -> None:
    logging.disable_progress_bar()
    for case in CASES:
        make_case(case)


if __name__ == "__main__":
    main()
