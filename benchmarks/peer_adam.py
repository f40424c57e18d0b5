#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The classifier that finetune_classifier trains, by back-propagation and Adam in PyTorch.

    peer_adam.py --model DIR --data train.tsv --test-data test.tsv --train all

A linear layer on the mean of the tokens of a sentence encoder. `--train head` makes the vectors of all texts once and
trains the layer on them; `--train all` trains the encoder too. Files have a header and the columns label and text.
Prints JSON. Needs torch and transformers.
"""
import argparse
import json
import resource
import time

import torch
from transformers import AutoModel, AutoTokenizer


def read(path: str) -> tuple[list[str], list[str]]:
    with open(path, encoding="utf-8") as lines:
        rows = [line.rstrip("\n").split("\t") for line in lines][1:]
    return [row[1] for row in rows], [row[0] for row in rows]


def means(model, batch: dict) -> torch.Tensor:
    mask = batch["attention_mask"][..., None].float()
    return (model(**batch).last_hidden_state * mask).sum(1) / mask.sum(1)


def main() -> None:
    parser = argparse.ArgumentParser(description="Classification by Adam, for minilm_table.py and methods.py.")
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--test-data", required=True)
    parser.add_argument("--train", choices=["head", "all"], default="all")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--rate", type=float, default=5e-5, help="of the encoder; the head has 1e-2")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0)
    o = parser.parse_args()
    torch.manual_seed(o.seed)
    if o.threads:
        torch.set_num_threads(o.threads)
    tokenizer, model = AutoTokenizer.from_pretrained(o.model), AutoModel.from_pretrained(o.model).float().eval()
    (texts, labels), (test_texts, test_labels) = read(o.data), read(o.test_data)
    names = sorted(set(labels))
    y, test_y = (torch.tensor([names.index(label) for label in each]) for each in (labels, test_labels))
    head = torch.nn.Linear(model.config.hidden_size, len(names))
    loss_of = torch.nn.functional.cross_entropy

    def encode(chosen: list[str]) -> dict:
        return dict(tokenizer(chosen, padding=True, truncation=True, max_length=o.max_tokens, return_tensors="pt"))

    def vectors(chosen: list[str]) -> torch.Tensor:
        with torch.no_grad():
            return torch.cat([means(model, encode(chosen[i : i + o.batch])) for i in range(0, len(chosen), o.batch)])

    began = time.perf_counter()
    groups = [{"params": head.parameters(), "lr": 1e-2}]
    if o.train == "all":
        groups.append({"params": model.parameters(), "lr": o.rate})
    adam = torch.optim.Adam(groups)
    if o.train == "head":
        features = vectors(texts)
        for _ in range(1000):
            adam.zero_grad()
            (loss_of(head(features), y) + 1e-4 * head.weight.square().sum()).backward()
            adam.step()
    else:
        for _ in range(o.epochs):
            for chosen in torch.randperm(len(texts)).split(o.batch):
                adam.zero_grad()
                loss_of(head(means(model, encode([texts[i] for i in chosen]))), y[chosen]).backward()
                adam.step()
    seconds = time.perf_counter() - began
    with torch.no_grad():
        scores = head(vectors(test_texts))
        accuracy, loss = (scores.argmax(1) == test_y).float().mean().item(), loss_of(scores, test_y).item()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"accuracy": accuracy, "loss": loss, "seconds": seconds, "peak_rss_bytes": peak}))


if __name__ == "__main__":
    main()
