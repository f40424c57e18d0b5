#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes data/opt_<case>/: small random OPT models and what `transformers` computes with them.

    pip install torch transformers
    python make_opt_golden.py

A case has config.json and model.safetensors (float32, as save_pretrained writes them) and

- golden.json: the inputs. Each entry of `batches` has a `name`, padded `input_ids` and `attention_mask` [batch, tokens],
  `loss`, the mean of -ln p over all tokens behind the first of each row, `candidates`, token ids that may follow every
  row, `scores` [batch, candidates], the mean of ln p over a candidate's tokens, `labels` [batch] and `choice_loss`, the
  mean cross-entropy of softmax over the scores. `generation` has prompts and the tokens that greedy decoding adds.
- golden.safetensors: `<name>.hidden_states.<i>` [batch, tokens, width], before layer i and, as the last one, what the head
  sees, and `<name>.logits` [batch, tokens, vocabulary]. Computed in float64, stored in float32. Padded positions hold zeros
  and mean nothing.
"""
import dataclasses
import math
import pathlib
import sys

import numpy as np
import torch
from safetensors.torch import save_file
from torch.nn.functional import cross_entropy, log_softmax
from transformers import OPTConfig, OPTForCausalLM
from transformers.utils import logging

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "random"))
from reference_noise import fnv1a, gaussian, write_json  # noqa: E402


@dataclasses.dataclass
class Rows:
    """One batch to make."""

    lengths: list[int]
    pad_left: bool = False


@dataclasses.dataclass
class Case:
    name: str
    batches: list[Rows]
    shape: dict


CASES = [
    Case("pre", [Rows([11]), Rows([9, 3, 7, 12, 5]), Rows([4, 8, 3], pad_left=True)],
         dict(hidden_size=32, num_attention_heads=4, num_hidden_layers=3, ffn_dim=64, vocab_size=101,
              max_position_embeddings=20)),
    # as OPT-350m: LayerNorm behind each part, none at the end, narrower words; nothing a multiple of a vector
    Case("post", [Rows([6]), Rows([8, 3, 9, 5], pad_left=True)],
         dict(hidden_size=30, num_attention_heads=5, num_hidden_layers=2, ffn_dim=37, vocab_size=89,
              max_position_embeddings=15, do_layer_norm_before=False, word_embed_proj_dim=23)),
    # what the rest of the keys says; a vocabulary of more than one block, a head of its own
    Case("bare", [Rows([4, 3])],
         dict(hidden_size=8, num_attention_heads=2, num_hidden_layers=2, ffn_dim=16, vocab_size=1050,
              max_position_embeddings=12, enable_bias=False, layer_norm_elementwise_affine=False,
              _remove_final_layer_norm=True, tie_word_embeddings=False)),
]  # fmt: skip


def make_model(case: Case) -> OPTForCausalLM:
    """A model whose weights are all random, biases and LayerNorm too, and large enough that every part matters."""
    # eager attention takes softmax in float32
    usual = dict(word_embed_proj_dim=case.shape["hidden_size"], attn_implementation="sdpa")
    model = OPTForCausalLM(OPTConfig(**usual | case.shape))
    for name, weight in model.named_parameters():
        z = gaussian(2026, f"opt_{case.name}/{name}", tuple(weight.shape))
        if "embed_" in name:
            z *= 0.6
        elif weight.ndim == 2:
            z *= 1.2 / math.sqrt(weight.shape[1])  # 1 keeps the variance; 1.2 makes attention less even
        else:
            z = (1.0 if "norm.weight" in name else 0.0) + 0.25 * z
        weight.data = torch.from_numpy(z).float()
    return model.eval()


def make_batch(rows: Rows, config: OPTConfig, rng: np.random.Generator) -> dict:
    """</s> words"""
    width = max(rows.lengths)
    ids, mask = np.full((len(rows.lengths), width), config.pad_token_id), np.zeros((len(rows.lengths), width), int)
    for i, length in enumerate(rows.lengths):
        start = width - length if rows.pad_left else 0
        ids[i, start : start + length] = [config.bos_token_id, *rng.integers(4, config.vocab_size, size=length - 1)]
        mask[i, start : start + length] = 1
    candidates = [rng.integers(4, config.vocab_size, size=n).tolist() for n in (1, 3, 2)]
    return {
        "input_ids": ids.tolist(),
        "attention_mask": mask.tolist(),
        "candidates": candidates,
        "labels": rng.integers(len(candidates), size=len(ids)).tolist(),
    }


def candidate_scores(model: OPTForCausalLM, batch: dict) -> torch.Tensor:
    """The mean of ln p over a candidate's tokens, each candidate behind each row, one after the other."""
    scores = []
    for row, mask in zip(batch["input_ids"], batch["attention_mask"]):
        prompt = [i for i, m in zip(row, mask) if m]
        for candidate in batch["candidates"]:
            ids = torch.tensor([prompt + candidate])
            log_p = log_softmax(model(input_ids=ids).logits[0], -1)[len(prompt) - 1 : -1]
            scores.append(log_p[torch.arange(len(candidate)), candidate].mean())
    return torch.stack(scores).reshape(len(batch["labels"]), -1)


@torch.no_grad()
def make_case(case: Case) -> None:
    folder = HERE / "data" / f"opt_{case.name}"
    model = make_model(case)
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink()
    model.double()
    rng = np.random.default_rng(fnv1a(case.name))
    tensors: dict[str, torch.Tensor] = {}
    batches = []
    for number, rows in enumerate(case.batches):
        batch = {"name": f"batch_{number}"} | make_batch(rows, model.config, rng)
        ids, mask = torch.tensor(batch["input_ids"]), torch.tensor(batch["attention_mask"])
        result = model(input_ids=ids, attention_mask=mask, output_hidden_states=True)
        last = model.model(input_ids=ids, attention_mask=mask).last_hidden_state
        wanted = (mask[:, 1:] * mask[:, :-1]).bool()
        batch["loss"] = cross_entropy(result.logits[:, :-1][wanted], ids[:, 1:][wanted]).item()
        scores = candidate_scores(model, batch)
        batch |= {"scores": scores.tolist(), "choice_loss": cross_entropy(scores, torch.tensor(batch["labels"])).item()}
        states = [*result.hidden_states[:-1], last]
        for name, array in {**{f"hidden_states.{i}": s for i, s in enumerate(states)}, "logits": result.logits}.items():
            array = array.masked_fill(mask[..., None] == 0, 0.0)
            assert array.isfinite().all()
            tensors[f"{batch['name']}.{name}"] = array.float().contiguous()
        batches.append(batch)
    generation = []
    for length in (1, 2, 5):
        prompt = [model.config.bos_token_id, *rng.integers(4, model.config.vocab_size, size=length - 1).tolist()]
        ids = model.generate(torch.tensor([prompt]), max_new_tokens=6, do_sample=False)[0].tolist()
        generation.append({"prompt": prompt, "added": ids[length:]})
    note = "computed in float64; positions with attention_mask 0 hold zeros and mean nothing"
    write_json(folder / "golden.json", {"note": note, "batches": batches, "generation": generation})
    save_file(tensors, folder / "golden.safetensors")


def main() -> None:
    logging.disable_progress_bar()
    for case in CASES:
        make_case(case)


if __name__ == "__main__":
    main()
