#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes data/mezo_<run>.json and .safetensors: 50 steps of MeZO (arXiv 2305.17333) in PyTorch, given our z.

    pip install torch transformers
    python make_mezo_golden.py            write the files
    python make_mezo_golden.py --check    print how far the same runs in float32 are from those files

The models are tests/models/data/tied and opt_pre. At step t, with seed_t = step_seed(run_seed, t), lr_t and batch t,

    plus  = loss(theta + epsilon z(seed_t)),  minus = loss(theta - epsilon z(seed_t))
    slope = (plus - minus) / (2 epsilon)
    theta <- theta - lr_t (slope z(seed_t) + weight_decay theta), weight_decay = 0 on biases and LayerNorm

for the trained tensors, in float64 from the float32 weights of the file. The JSON has the examples, the four of
them in each step's batch, and what each step found; the safetensors file the trained tensors at the end, under the
names that they have in model.safetensors and that their noise is made from.
"""
import dataclasses
import fnmatch
import json
import pathlib
import sys
from collections.abc import Callable

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch.nn.functional import cross_entropy
from transformers import AutoConfig, OPTForCausalLM, PreTrainedModel, RobertaForMaskedLM
from transformers.utils import logging

HERE = pathlib.Path(__file__).resolve().parent
TESTS = HERE.parent
sys.path += [str(TESTS / "random"), str(TESTS / "models")]
import make_opt_golden  # noqa: E402
from make_roberta_golden import Rows, make_batch, prompt_loss  # noqa: E402
from reference_noise import gaussian, rademacher, step_seed, write_json  # noqa: E402

LENGTHS = [9, 5, 12, 3, 7, 10, 4, 8, 6, 11, 5, 9]  # of the examples
BATCH = 4


@dataclasses.dataclass
class Run:
    perturbation: str
    run_seed: int
    learning_rate: float
    schedule: str  # constant, or linear: learning_rate (1 - t / steps)
    weight_decay: float
    trained: list[str]  # patterns of names
    epsilon: float = 1e-3
    steps: int = 50
    model: str = "models/data/tied"

    @property
    def file(self) -> pathlib.Path:
        return HERE / f"data/mezo_{self.perturbation if self.model.endswith('tied') else 'opt'}"

    def rate(self, step: int) -> float:
        return self.learning_rate * (1 - step / self.steps if self.schedule == "linear" else 1)


RUNS = [
    Run("gaussian", 42, 2e-5, "constant", 0.1, ["*"]),
    Run("rademacher", 2**63 + 5, 5e-5, "linear", 0.0, ["roberta.encoder.layer.1.*", "lm_head.*"]),
    Run("gaussian", 7, 2e-5, "constant", 0.1, ["*.layers.1.*", "*.embed_tokens.*", "model.decoder.final_layer_norm.*"],
        model="models/data/opt_pre"),
]  # fmt: skip
NOISE: dict[str, Callable[[int, str, tuple[int, ...]], np.ndarray]] = {"gaussian": gaussian, "rademacher": rademacher}


def trained_weights(model: PreTrainedModel, run: Run) -> dict[str, torch.nn.Parameter]:
    """By their names in the file; a tied tensor comes once."""
    named = dict(model.named_parameters())
    assert set(named) == set(load_file(TESTS / run.model / "model.safetensors"))
    return {name: w for name, w in named.items() if any(fnmatch.fnmatchcase(name, p) for p in run.trained)}


def load_model(run: Run) -> PreTrainedModel:
    kind = OPTForCausalLM if "opt" in run.model else RobertaForMaskedLM
    return kind.from_pretrained(TESTS / run.model, attn_implementation="sdpa" if "opt" in run.model else "eager")


def loss_of(model: PreTrainedModel, batch: dict) -> torch.Tensor:
    """Of a masked prompt, or of all tokens behind the first of each row."""
    ids, mask = torch.tensor(batch["input_ids"]), torch.tensor(batch["attention_mask"])
    logits = model(input_ids=ids, attention_mask=mask).logits
    if "mask_positions" in batch:
        return prompt_loss(logits, batch)
    wanted = mask[:, 1:].bool()
    return cross_entropy(logits[:, :-1][wanted], ids[:, 1:][wanted])


def decays(name: str) -> bool:
    return not name.endswith(".bias") and "norm" not in name.lower()


@torch.no_grad()
def train(run: Run, examples: dict, batches: list[list[int]], dtype: torch.dtype) -> tuple[list, dict]:
    """What each step found, and the trained weights at the end."""
    model = load_model(run).eval().to(dtype)
    weights = trained_weights(model, run)
    found = []
    for step in range(run.steps):
        seed = step_seed(run.run_seed, step)
        noise = NOISE[run.perturbation]
        z = {name: torch.from_numpy(noise(seed, name, tuple(w.shape))).to(dtype) for name, w in weights.items()}
        before = {name: w.clone() for name, w in weights.items()}
        shared = {key: examples[key] for key in ("label_words",) if key in examples}
        batch = {key: [v[i] for i in batches[step]] for key, v in examples.items() if key not in shared} | shared

        def loss_at(scale: float) -> float:
            for name, w in weights.items():
                w.copy_(before[name] + scale * z[name])
            return loss_of(model, batch).item()

        plus, minus = loss_at(run.epsilon), loss_at(-run.epsilon)
        slope, rate = (plus - minus) / (2 * run.epsilon), run.rate(step)
        for name, w in weights.items():
            decay = run.weight_decay if decays(name) else 0.0
            w.copy_(before[name] - rate * (slope * z[name] + decay * before[name]))
        found.append({"seed": seed, "rate": rate, "plus": plus, "minus": minus, "slope": slope})
    return found, {name: w.detach().float().contiguous() for name, w in weights.items()}


def make_examples(run: Run) -> tuple[dict, list[list[int]]]:
    """Twelve examples, padded, and which four of them each step sees: all twelve in a new order every three steps."""
    config = AutoConfig.from_pretrained(TESTS / run.model)
    rng = np.random.default_rng(50)
    if "opt" in run.model:
        examples = make_opt_golden.make_batch(make_opt_golden.Rows(LENGTHS), config, rng)
        del examples["candidates"]
    else:
        examples = make_batch(Rows(LENGTHS), config, 3, rng)
        examples["label_words"] = rng.choice(np.arange(4, config.vocab_size - 1), 3, replace=False).tolist()
    order = np.concatenate([rng.permutation(len(LENGTHS)) for _ in range(100)])
    return examples, order.reshape(-1, BATCH).tolist()


def check(run: Run, examples: dict, batches: list[list[int]]) -> None:
    """How far float32 is from the files, relative to each tensor's norm and largest element; how far they moved."""
    found, weights = train(run, examples, batches, torch.float32)
    expected = json.loads(run.file.with_suffix(".json").read_text())["steps"]
    final = load_file(run.file.with_suffix(".safetensors"))
    start = load_file(TESTS / run.model / "model.safetensors")
    loss = max(abs(f[k] / e[k] - 1) for f, e in zip(found, expected) for k in ("plus", "minus"))
    slope = max(abs(f["slope"] - e["slope"]) for f, e in zip(found, expected)) / max(abs(e["slope"]) for e in expected)
    norm = max((weights[n] - w).norm() / w.norm() for n, w in final.items())
    largest = max((weights[n] - w).abs().max() / w.abs().max() for n, w in final.items())
    moved = [((w - start[n]).norm() / start[n].norm()).item() for n, w in final.items()]
    print(f"{run.file.name}: losses {expected[0]['plus']:.3f} .. {expected[-1]['plus']:.3f}, weights moved by "
          f"{min(moved):.1e} to {max(moved):.1e}; float32 is off by: losses {loss:.1e}, slopes {slope:.1e} of the "
          f"largest, weights {norm:.1e} (norm), {largest:.1e} (largest element)")  # fmt: skip


def main() -> None:
    logging.disable_progress_bar()
    for run in RUNS:
        examples, batches = make_examples(run)
        if "--check" in sys.argv:
            check(run, examples, batches)
            continue
        found, weights = train(run, examples, batches[: run.steps], torch.float64)
        steps = [{"batch": batch} | step for batch, step in zip(batches, found)]
        content = {"model": run.model} | dataclasses.asdict(run) | {"examples": examples, "steps": steps}
        write_json(run.file.with_suffix(".json"), content)
        save_file(weights, run.file.with_suffix(".safetensors"))


if __name__ == "__main__":
    main()
