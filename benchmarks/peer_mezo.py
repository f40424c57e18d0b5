#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The step that bench_step measures, in PyTorch: MeZO in place, on random weights of the same sizes.

    peer_mezo.py --model roberta-large --dtype bf16 --json peer.json

MeZO (arXiv 2305.17333, algorithm 1) as its authors' code runs it: the weights are moved to W + eps z, to W - eps z
and back by three sweeps, and a fourth one updates them; each sweep makes z anew from the step's seed, a tensor at a
time. Sweeps are done in place, attention by PyTorch's fused kernel, and RoBERTa's head is computed for the masked tokens
and the two label words alone, as bench_step does; of an OPT every next token is predicted. Needs torch and transformers.
"""
import argparse
import json
import os
import platform
import resource
import statistics
import sys
import time

import torch
import transformers

NAMES = {  # (layers, width, heads, feed-forward, vocabulary, positions), as in step_model.hpp
    "roberta-large": (24, 1024, 16, 4096, 50265, 514),
    "roberta-base": (12, 768, 12, 3072, 50265, 514),
    "tiny": (4, 256, 4, 1024, 8192, 258),
}
OPT_NAMES = {"opt-1.3b": (24, 2048, 32, 8192), "opt-125m": (12, 768, 12, 3072)}  # the vocabulary is OPT's
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def status_bytes(field: str) -> int:
    """A field of Linux' /proc/self/status in bytes; 0 where there is none."""
    try:
        with open("/proc/self/status", encoding="utf-8") as lines:
            return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(field + ":")), 0)
    except OSError:
        return 0


def peak_rss_bytes() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return status_bytes("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def processor_name() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next(line.split(": ", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration, IndexError):
        return platform.processor() or platform.machine()


def is_opt(name: str) -> bool:
    if name in NAMES or name in OPT_NAMES:
        return name in OPT_NAMES
    return transformers.AutoConfig.from_pretrained(name).model_type == "opt"


def make_model(name: str, dtype: torch.dtype) -> transformers.PreTrainedModel:
    """A model of the named sizes, or that of a directory. Its weights are made in `dtype`: a copy in float32 would
    count to the peak of memory."""
    kind = transformers.OPTForCausalLM if is_opt(name) else transformers.RobertaForMaskedLM
    if name in OPT_NAMES:
        layers, width, heads, feed_forward = OPT_NAMES[name]
        config = transformers.OPTConfig(num_hidden_layers=layers, hidden_size=width, num_attention_heads=heads,
                                        ffn_dim=feed_forward, word_embed_proj_dim=width)  # fmt: skip
    elif name in NAMES:
        layers, width, heads, feed_forward, vocabulary, positions = NAMES[name]
        config = transformers.RobertaConfig(
            num_hidden_layers=layers, hidden_size=width, num_attention_heads=heads, intermediate_size=feed_forward,
            vocab_size=vocabulary, max_position_embeddings=positions, type_vocab_size=1, layer_norm_eps=1e-5)
    else:
        return kind.from_pretrained(name, dtype=dtype).eval()
    standard = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        return kind(config).eval()
    finally:
        torch.set_default_dtype(standard)


class CausalTask:
    """The cross-entropy of all next tokens of random ones: `tokens` are read, and the one behind each is predicted."""

    def __init__(self, config: transformers.OPTConfig, batch: int, tokens: int) -> None:
        ids = torch.randint(0, config.vocab_size, (batch, tokens + 1), generator=torch.Generator().manual_seed(0))
        self.ids, self.next = ids[:, :-1], ids[:, 1:].reshape(-1)

    @torch.inference_mode()
    def __call__(self, model: transformers.OPTForCausalLM) -> float:
        logits = model(input_ids=self.ids, use_cache=False).logits
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), self.next).item()


class Task:
    """The cross-entropy of two label words at a mask, on random tokens: mean over the batch."""

    def __init__(self, config: transformers.RobertaConfig, batch: int, tokens: int) -> None:
        first = config.pad_token_id + 1  # padding would not be attended to
        self.ids = torch.randint(first, config.vocab_size, (batch, tokens), generator=torch.Generator().manual_seed(0))
        self.mask = tokens // 2
        self.words = torch.tensor([first, config.vocab_size - 1])
        self.labels = torch.arange(batch) % 2

    @torch.inference_mode()
    def __call__(self, model: transformers.RobertaForMaskedLM) -> float:
        head = model.lm_head
        hidden = model.roberta(input_ids=self.ids).last_hidden_state[:, self.mask]
        hidden = head.layer_norm(torch.nn.functional.gelu(head.dense(hidden)))
        scores = torch.nn.functional.linear(hidden, head.decoder.weight[self.words], head.bias[self.words])
        return torch.nn.functional.cross_entropy(scores.float(), self.labels).item()


class Mezo:
    def __init__(self, model: transformers.PreTrainedModel, epsilon: float = 1e-3, rate: float = 1e-6) -> None:
        self.model, self.epsilon, self.rate = model, epsilon, rate
        self.parameters = list(model.parameters())  # a tied one once

    @torch.inference_mode()
    def move(self, seed: int, distance: float) -> None:
        """W <- W + distance z(seed)"""
        torch.manual_seed(seed)
        for weight in self.parameters:
            z = torch.normal(mean=0.0, std=1.0, size=weight.size(), dtype=weight.dtype)
            weight.data.add_(z, alpha=distance)

    def step(self, task: Task, seed: int) -> dict[str, float]:
        """One step. Returns the seconds of its parts, and the loss."""
        times = [time.perf_counter()]

        def done() -> None:
            times.append(time.perf_counter())

        self.move(seed, self.epsilon)
        done()
        plus = task(self.model)
        done()
        self.move(seed, -2 * self.epsilon)
        done()
        minus = task(self.model)
        done()
        self.move(seed, self.epsilon)
        done()
        self.move(seed, -self.rate * (plus - minus) / (2 * self.epsilon))
        done()
        parts = [after - before for before, after in zip(times, times[1:])]
        return {"step": times[-1] - times[0], "perturb": parts[0] + parts[2] + parts[4], "update": parts[5],
                "loss": plus}


def forward_operations(config: transformers.PretrainedConfig, batch: int, tokens: int) -> float:
    """Two for each multiply-add of linear layers and attention, the last layer for all tokens."""
    width = config.hidden_size
    if config.model_type == "opt":
        layer = 4 * width * width + 2 * width * config.ffn_dim + (tokens + 1) * width
        return 2.0 * batch * tokens * (config.num_hidden_layers * layer + width * config.vocab_size)
    linear = 4 * width * width + 2 * width * config.intermediate_size
    attention = 2 * tokens * width
    head = width * width + 2 * width
    return 2.0 * batch * (tokens * config.num_hidden_layers * (linear + attention) + head)


def measure(options: argparse.Namespace) -> dict[str, object]:
    torch.set_num_threads(options.threads or os.cpu_count() or 1)
    imports = status_bytes("VmRSS")
    model = make_model(options.model, DTYPES[options.dtype])
    kind = CausalTask if model.config.model_type == "opt" else Task
    task = kind(model.config, options.batch, options.tokens)
    mezo = Mezo(model)
    forwards, steps = [], []
    for step in range(options.steps + 1):  # by turns; the first of each warms up and does not count
        begin = time.perf_counter()
        task(model)
        forwards.append(time.perf_counter() - begin)
        steps.append(mezo.step(task, step))
    forward = statistics.median(forwards[1:])
    seconds = {key: statistics.median(step[key] for step in steps[1:]) for key in ("step", "perturb", "update")}
    return {
        "program": "peer_mezo.py", "model": options.model, "storage": options.dtype, "perturbation": "gaussian",
        "points": 2, "batch": options.batch, "tokens": options.tokens, "threads": torch.get_num_threads(),
        "steps": options.steps, "processor": processor_name(), "torch": torch.__version__,
        "transformers": transformers.__version__, "parameters": sum(w.numel() for w in mezo.parameters),
        "weights_bytes": sum(w.numel() * w.element_size() for w in mezo.parameters),
        "imports_rss_bytes": imports, "peak_rss_bytes": peak_rss_bytes(), "forward_seconds": forward,
        "step_seconds": seconds["step"], "perturb_seconds": seconds["perturb"], "update_seconds": seconds["update"],
        "step_over_forwards": seconds["step"] / (2 * forward),
        "gflops": 2 * forward_operations(model.config, options.batch, options.tokens) / seconds["step"] * 1e-9,
        "loss": steps[-1]["loss"],
    }


def whole_number(least: int):
    """A type for argparse: a whole number of at least that."""
    def parse(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f'"{text}" is not a whole number from {least}')
        return int(text)
    return parse


def main() -> None:
    parser = argparse.ArgumentParser(description="A training step of MeZO in PyTorch, measured as bench_step does.")
    parser.add_argument("--model", default="roberta-large", metavar="NAME|DIR",
                        help=", ".join([*NAMES, *OPT_NAMES]) + ", or a directory (default: %(default)s)")
    parser.add_argument("--dtype", default="fp32", choices=DTYPES,
                        help="of weights and arithmetic (default: %(default)s)")
    parser.add_argument("--batch", default=8, type=whole_number(1), metavar="B", help="sequences (default: 8)")
    parser.add_argument("--tokens", default=64, type=whole_number(1), metavar="T", help="of each (default: 64)")
    parser.add_argument("--threads", default=0, type=whole_number(0), metavar="N",
                        help="0 for as many as the machine has")
    parser.add_argument("--steps", default=5, type=whole_number(1), metavar="S",
                        help="that count, behind one that warms up (default: 5)")
    parser.add_argument("--json", default="-", metavar="FILE", help="where the figures go (default: stdout)")
    options = parser.parse_args()
    if options.model not in [*NAMES, *OPT_NAMES] and not os.path.isdir(options.model):
        parser.error(f"--model {options.model}: is no directory; give one, or {', '.join([*NAMES, *OPT_NAMES])}")
    longest = NAMES[options.model][5] - 2 if options.model in NAMES else options.tokens
    if options.tokens > longest:
        parser.error(f"--tokens {options.tokens}: the model has positions for {longest}")
    text = json.dumps(measure(options), indent=2) + "\n"
    if options.json == "-":
        sys.stdout.write(text)
    else:
        with open(options.json, "w", encoding="utf-8") as file:
            file.write(text)


if __name__ == "__main__":
    main()
