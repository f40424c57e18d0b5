#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes data/methods.json and .safetensors: 20 steps of each zeroth-order method in PyTorch, given our z.

    pip install torch transformers
    python make_methods_golden.py

Model, examples and batches are those of make_mezo_golden.py, some tensors of one layer are trained, in float64 from
the float32 weights of the file. The methods are written here as their papers have them, with buffers where they have
buffers, and not as the library does it:

    two-point    slope = (L(theta + eps z) - L(theta - eps z)) / 2 eps
    multi-point  the mean of n of these
    one-sided    the mean of n (L(theta + eps z) - L(theta)) / eps
    curved       the mean of n slopes, each divided by the curvature along its direction
    line-search  to the least of the losses at some points of a line
    three-point  HiZOO's (arXiv 2402.15173): z / sqrt(D), and D <- (1 - a) D + a |L+ + L- - 2 L| D z^2 / 2 eps^2
    fzoo         (l_i - l_0) / (n sigma), l_0 the mean of the l_i when centred (arXiv 2506.09034, without 1 / eps)
    momentum     m <- g + beta m, over all steps: the library's is as long as the run
    adam         torch's, with eps outside of the root and the bias corrected; `history` steps cut the moments off
    sign         the slopes' signs
    smallest     z of weights above a magnitude is 0 (arXiv 2402.15751)
    layers       z of layers that are not chosen is 0
    sphere       z divided by its length over all trained weights, times the root of their number
    clip         slopes no larger than that
"""
import dataclasses
import math
import pathlib
import re

import numpy as np
import torch
from safetensors.torch import save_file
from transformers.utils import logging

import make_mezo_golden
from make_mezo_golden import decays, load_model, loss_of, make_examples, trained_weights
from reference_noise import gaussian, low_rank, rademacher, shared_seed, step_seed, write_json

HERE = pathlib.Path(__file__).resolve().parent
STEPS = 20


@dataclasses.dataclass
class Method:
    name: str
    estimator: str
    update: str
    learning_rate: float
    perturbation: str = "gaussian"
    directions: int = 1
    centred: bool = False
    shared: int = 1
    at_start: int = 0
    growth: int = 0
    history: int = STEPS
    weight_decay: float = 0.0
    beta: float = 0.9
    beta2: float = 0.99
    floor: float = 1e-8
    rank: int = 3
    epsilon: float = 1e-2
    run_seed: int = 11
    smallest: float = 0.0
    layers: int = 0
    sphere: bool = False
    clip: float = 0.0
    curvature_floor: float = 1.0
    longest: float = 1.0
    smoothing: float = 0.0

    def directions_of(self, step: int) -> int:
        if self.at_start == 0 or step >= self.growth:
            return self.directions
        return int(self.at_start + (self.directions - self.at_start) * step / self.growth)

    def z(self, seed: int, name: str, shape: tuple[int, ...]) -> np.ndarray:
        if self.perturbation == "low-rank":
            return low_rank(seed, name, shape, self.rank)
        return {"gaussian": gaussian, "rademacher": rademacher}[self.perturbation](seed, name, shape)


METHODS = [
    Method("growing", "multi-point", "sgd", 2e-4, directions=4, at_start=2, growth=10, weight_decay=0.1),
    Method("one-sided", "one-sided", "momentum", 3e-5, directions=2, weight_decay=0.1),
    Method("fzoo", "fzoo", "sgd", 5e-4, "rademacher", directions=4),
    Method("fzoo-centred", "fzoo", "adam", 2e-4, directions=3, centred=True, history=6, weight_decay=0.1),
    Method("low-rank", "two-point", "momentum", 3e-5, "low-rank", shared=5, history=4),
    Method("sign", "multi-point", "sign", 1e-4, directions=2),
    Method("curved", "curved", "sgd", 0.2, directions=2, longest=5e-3),
    Method("line-search", "line-search", "sgd", 0.5, "rademacher", directions=3, epsilon=1e-3),
    Method("sparse", "two-point", "sgd", 2e-4, smallest=0.7),
    Method("blocks", "multi-point", "momentum", 3e-5, layers=1, directions=2, shared=3),
    Method("sphere", "two-point", "sgd", 2e-4, sphere=True, clip=2.0),
    Method("hizoo", "three-point", "hizoo", 2e-4, smoothing=0.02),
]  # fmt: skip


def slopes_of(method: Method, losses: list[float]) -> list[float]:
    if method.estimator in ("two-point", "multi-point"):
        n = len(losses) // 2
        return [(losses[2 * k] - losses[2 * k + 1]) / (2 * method.epsilon * n) for k in range(n)]
    if method.estimator == "one-sided":
        return [(loss - losses[0]) / (method.epsilon * (len(losses) - 1)) for loss in losses[1:]]
    if method.estimator == "three-point":
        return [(losses[0] - losses[1]) / (2 * method.epsilon)]
    if method.estimator == "curved":
        pairs = list(zip(losses[1::2], losses[2::2]))
        ways = [(a - b) / (2 * method.epsilon) / max(abs(a + b - 2 * losses[0]) / method.epsilon**2,
                                                     method.curvature_floor) for a, b in pairs]  # fmt: skip
        return [max(-method.longest, min(method.longest, way)) / len(pairs) for way in ways]
    if method.estimator == "line-search":
        far = [0.0] + [sign * method.epsilon * 2**k for k in range(method.directions) for sign in (1, -1)]
        return [-far[int(np.argmin(losses))]]
    points = losses if method.centred else losses[1:]
    base = sum(points) / len(points) if method.centred else losses[0]
    return [(loss - base) / (len(points) * float(np.std(points, ddof=1))) for loss in points]


def coefficients_of(method: Method, n: int) -> list[tuple[int | None, float]]:
    """The points: which direction (none for theta itself), how far."""
    eps = method.epsilon
    pairs = [(k, sign * eps) for k in range(n) for sign in (1, -1)]
    if method.estimator in ("two-point", "multi-point"):
        return pairs
    if method.estimator == "three-point":
        return [*pairs, (None, 0.0)]
    if method.estimator == "curved":
        return [(None, 0.0), *pairs]
    if method.estimator == "line-search":
        return [(None, 0.0), *[(0, sign * eps * 2**k) for k in range(n) for sign in (1, -1)]]
    base = [] if method.estimator == "fzoo" and method.centred else [(None, 0.0)]
    return base + [(k, eps) for k in range(n)]


def change_of(method: Method, gradients: list[torch.Tensor]) -> torch.Tensor:
    """What is subtracted, times the rate, given the gradients of all steps so far, the last one at the end."""
    recent = gradients[-method.history :][::-1]
    if method.update == "momentum":
        return sum(method.beta**i * g for i, g in enumerate(recent))
    if method.update == "adam":
        first = sum(method.beta**i * g for i, g in enumerate(recent)) / sum(method.beta**i for i in range(len(recent)))
        second = sum(method.beta2**i * g * g for i, g in enumerate(recent))
        second = second / sum(method.beta2**i for i in range(len(recent)))
        return first / (second.sqrt() + method.floor)
    return gradients[-1]


def block_of(name: str) -> int | None:
    """Embeddings are block 0, layer i is block i + 1, and a head is none."""
    layer = re.search(r"\.layer\.(\d+)\.", name)
    return int(layer[1]) + 1 if layer else 0 if "embeddings" in name else None


def is_chosen(method: Method, name: str, seed: int, trained: list[str]) -> bool:
    """Whether a tensor has noise of that seed."""
    if method.layers == 0 or block_of(name) is None:
        return True
    blocks = {block_of(other) for other in trained} - {None}
    return block_of(name) in sorted(blocks, key=lambda block: step_seed(seed >> 32, block))[: method.layers]


def directions(method: Method, seeds: list[int], weights: dict, start: dict) -> list[dict]:
    """z of each seed, for the weights as they are."""
    noise = []
    for seed in seeds:
        z = {name: torch.from_numpy(method.z(seed, name, tuple(w.shape))).double() for name, w in weights.items()}
        for name, w in weights.items():
            if method.smallest:
                magnitudes = start[name].abs().flatten().sort().values
                threshold = magnitudes[math.ceil(float(np.float32(method.smallest)) * magnitudes.numel()) - 1]
                z[name] *= w.float().abs() <= threshold.float()
            z[name] *= is_chosen(method, name, seed, list(weights))
        if method.sphere:
            length = math.sqrt(sum((each**2).sum().item() for each in z.values()))
            z = {name: each * math.sqrt(sum(w.numel() for w in z.values())) / length for name, each in z.items()}
        noise.append(z)
    return noise


@torch.no_grad()
def train(method: Method, run: make_mezo_golden.Run, examples: dict, batches: list[list[int]]) -> tuple[list, dict]:
    model = load_model(run).eval().double()
    weights = trained_weights(model, run)
    gradients: dict[str, list[torch.Tensor]] = {name: [] for name in weights}
    start = {name: w.clone() for name, w in weights.items()}
    hessian = {name: torch.ones_like(w) for name, w in weights.items()}
    found = []
    for step in range(STEPS):
        n, most = method.directions_of(step), max(method.directions, method.at_start)
        if method.estimator == "line-search":
            most = 1
        seeds = [shared_seed(method.run_seed, method.shared, step, most, k) for k in range(most)]
        noise = directions(method, seeds, weights, start)
        unscaled = noise[0]
        if method.estimator == "three-point":
            noise = [{name: z / hessian[name].sqrt() for name, z in unscaled.items()}]
        before = {name: w.clone() for name, w in weights.items()}
        shared = {"label_words": examples["label_words"]}
        batch = {key: [v[i] for i in batches[step]] for key, v in examples.items() if key not in shared} | shared
        losses = []
        for k, far in coefficients_of(method, n):
            for name, w in weights.items():
                w.copy_(before[name] + (far * noise[k][name] if k is not None else 0.0))
            losses.append(loss_of(model, batch).item())
        slopes = slopes_of(method, losses)
        used = np.sign(slopes).tolist() if method.update == "sign" else slopes
        if method.clip:
            used = [max(-method.clip, min(method.clip, slope)) for slope in used]
        curvature = abs(losses[0] + losses[1] - 2 * losses[-1]) / (2 * method.epsilon**2)
        for name, w in weights.items():
            gradients[name].append(sum(s * z[name] for s, z in zip(used, noise)))
            decay = method.weight_decay if decays(name) else 0.0
            w.copy_(before[name] - method.learning_rate * (change_of(method, gradients[name]) + decay * before[name]))
            if method.estimator == "three-point":
                grown = curvature * hessian[name] * unscaled[name] ** 2
                hessian[name] = (1 - method.smoothing) * hessian[name] + method.smoothing * grown
        found.append({"batch": batches[step], "losses": losses, "slopes": slopes})
    return found, {name: w.detach().float().contiguous() for name, w in weights.items()}


def main() -> None:
    logging.disable_progress_bar()
    trained = ["roberta.encoder.layer.0.output.*", "roberta.encoder.layer.1.attention.*", "lm_head.*"]
    run = dataclasses.replace(make_mezo_golden.RUNS[1], trained=trained)
    examples, batches = make_examples(run)
    content = {"model": run.model, "trained": run.trained, "examples": examples, "methods": []}
    tensors = {}
    for method in METHODS:
        found, weights = train(method, run, examples, batches)
        content["methods"].append(dataclasses.asdict(method) | {"steps": found})
        tensors |= {f"{method.name}/{name}": w for name, w in weights.items()}
        print(method.name, found[0]["losses"][0], found[-1]["losses"][0])
    write_json(HERE / "data/methods.json", content)
    save_file(tensors, HERE / "data/methods.safetensors")


if __name__ == "__main__":
    main()
