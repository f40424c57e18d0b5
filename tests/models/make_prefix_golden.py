#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes data/<case>/prefix.*: what `peft` computes with a random prefix before an encoder of the same folder.

    pip install torch transformers peft
    python make_prefix_golden.py                # makes the files
    python make_prefix_golden.py BASE DIR       # loads the prefix of DIR onto the masked language model of BASE

prefix.json is a batch as in golden.json: sequences of those there that leave positions for the prefix. `loss` is that
of the label words at the masks. prefix.safetensors has `prompt_embeddings` [tokens, layers * 2 * hidden] and `logits`
[batch, tokens, vocabulary], computed in float64; padded positions hold zeros and mean nothing.

A masked language model has no task of its own in `peft`: that of feature extraction calls the model as it is. Token
types, which `peft` ignores under a prefix, are left out.
"""
import json
import sys

import torch
from peft import PeftModel, PrefixTuningConfig, get_peft_model
from safetensors.torch import save_file
from transformers import AutoModelForMaskedLM
from transformers.utils import logging

from make_roberta_golden import HERE, gaussian, prompt_loss, write_json

CASES = {"odd": [("batch_1", 0), ("batch_7", 0), ("batch_7", 1), ("batch_7", 5)],
         "bert_masked": [("batch", 0), ("batch", 1), ("batch", 2)]}  # fmt: skip
TOKENS = 3
OF_SEQUENCES = {"input_ids": "pad", "attention_mask": 0, "labels": None, "mask_positions": None}


def choose(batches: list, chosen: list, pad: int) -> dict:
    """The chosen sequences as one batch as wide as the longest."""
    named = {batch["name"]: batch for batch in batches}
    width = max(sum(named[name]["attention_mask"][i]) for name, i in chosen)
    result = {"label_words": batches[-1]["label_words"]}
    for key, fill in OF_SEQUENCES.items():
        rows = [named[name][key][i] for name, i in chosen]
        fill = pad if fill == "pad" else fill
        result[key] = rows if fill is None else [(row + [fill] * width)[:width] for row in rows]
    return result


def make(name: str, chosen: list) -> None:
    folder = HERE / "data" / name
    base = AutoModelForMaskedLM.from_pretrained(folder, attn_implementation="eager")
    batch = choose(json.loads((folder / "golden.json").read_text())["batches"], chosen, base.config.pad_token_id)
    model = get_peft_model(base, PrefixTuningConfig(task_type="FEATURE_EXTRACTION", num_virtual_tokens=TOKENS)).eval()
    (prefix,) = (weight for weight in model.parameters() if weight.requires_grad)
    prefix.data = torch.from_numpy(gaussian(2026, f"{name}/prefix", tuple(prefix.shape))).float()
    model.double()
    inputs = {key: torch.tensor(batch[key]) for key in ("input_ids", "attention_mask")}
    with torch.no_grad():
        logits = model(**inputs).logits
    batch["loss"] = prompt_loss(logits, batch).item()
    write_json(folder / "prefix.json", batch)
    logits = logits * inputs["attention_mask"][..., None]
    save_file({"prompt_embeddings": prefix.detach().float().contiguous(), "logits": logits.float().contiguous()},
              folder / "prefix.safetensors")  # fmt: skip


def show(base: str, directory: str) -> None:
    model = PeftModel.from_pretrained(AutoModelForMaskedLM.from_pretrained(base), directory).eval()
    with torch.no_grad():
        print(model(input_ids=torch.tensor([[0, 5, 6, 7, 2]])).logits[0, 2, :5])
    print(sum(weight.numel() for weight in model.prompt_encoder.parameters()), "numbers of a prefix")


if __name__ == "__main__":
    logging.disable_progress_bar()
    if len(sys.argv) > 1:
        show(*sys.argv[1:])
    else:
        for case, sequences in CASES.items():
            make(case, sequences)
