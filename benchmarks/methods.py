#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Zeroth-order methods side by side on the same task: accuracy and loss against forward passes and seconds.

    methods.py --finetune-classifier build/release/examples/finetune_classifier \\
      --hizoo build/release/benchmarks/bench_hizoo --python VENV/bin/python --write

The task is that of the demo: the shipped RoBERTa and SMS data, 256 of each class to train on in batches of 16, 600
balanced messages held out, each seed another choice of both. A forward pass is one of a batch, a probe's counted too;
those of a new head on vectors that are made once are not counted; their seconds are, which are those of one core. With
--python, an interpreter that has torch, Adam with back-propagation trains a head and the whole model on the same
messages (peer_adam.py), as the ceiling. With --sst2 the task is SST-2 and tested on its dev set. --write puts the table
into README.md beside this script, between <!-- methods:begin --> and <!-- methods:end -->, and the curves into
methods.svg; with --sst2 these names begin with methods-sst2. --parts crosses the methods with what they can train, all
at the rate that a probe finds, and makes one table of that, methods-parts, without curves; rows that a run with --only
does not have stay.
"""
import argparse
import csv
import os
import statistics
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path

import minilm_table
from reporting import HERE, add_write, fail, parts, positive, put_section, rows_of, run_json, table
from step_chart import STYLE, text

EXAMPLES = HERE.parent / "examples"
MODEL, BATCH, SHOTS = EXAMPLES / "models/tiny-roberta", 16, 256


@dataclass(frozen=True)
class Method:
    name: str
    options: str
    points: int  # forward passes of a step
    before: int = 0  # forward passes before the first step


PROBE = 8 * 9  # forward passes: 8 batches, 4 directions both ways and the weights themselves
FZOO = "--estimator fzoo --perturbation rademacher --schedule linear"
TOP_LAYER = "--train *.layer.3.*,lm_head.*"
METHODS = [
    Method("MeZO", "--learning-rate 1e-4", 2),
    Method("MeZO, probed rate", "", 2, PROBE),
    Method("MeZO, falling rate", "--learning-rate 2e-4 --schedule linear", 2),
    Method("MeZO, momentum", "--update momentum --learning-rate 2e-5 --schedule linear", 2),
    Method("MeZO, Adam", "--update adam --learning-rate 1e-3 --schedule linear", 2),
    Method("LOZO", "--perturbation low-rank --learning-rate 1e-4 --schedule linear", 2),
    Method("FZOO", f"{FZOO} --learning-rate 8e-3", 8),
    Method("FZOO, momentum", f"{FZOO} --update momentum --history 10 --learning-rate 1.5e-3", 8),
    Method("FZOO, Adam", f"{FZOO} --update adam --history 8 --learning-rate 1e-3", 8),
    Method("FZOO, sparse", f"{FZOO} --smallest 0.75 --learning-rate 8e-3", 8),
    Method("FZOO, two layers at a time", f"{FZOO} --layers 2 --shared-steps 5 --learning-rate 8e-3", 8),
    Method("FZOO, probed rate", "--method fzoo", 8, PROBE),
    Method("curved", "--estimator curved --perturbation rademacher --learning-rate 0.2 --schedule linear", 9),
    Method("line search", "--estimator line-search --learning-rate 0.2 --schedule linear", 9),
    Method("HiZOO", "--learning-rate 2e-4 --smoothing 1e-6", 3),
    Method("MeZO, top layer", f"--learning-rate 1.5e-3 --schedule linear {TOP_LAYER}", 2),
    Method("FZOO, top layer", f"{FZOO} --learning-rate 2e-2 {TOP_LAYER}", 8),
    Method("FZOO, top layer, probed rate", f"--method fzoo {TOP_LAYER}", 8, PROBE),
    Method("FZOO, two top layers", f"{FZOO} --learning-rate 2e-2 --train *.layer.2.*,*.layer.3.*,lm_head.*", 8),
    Method("MeZO, LoRA", "--adapter lora --learning-rate 1e-3 --schedule linear", 2),
    Method("FZOO, LoRA", f"{FZOO} --adapter lora --learning-rate 3e-2", 8),
    Method("FZOO, LoRA, probed rate", "--method fzoo --adapter lora", 8, PROBE),
    Method("MeZO, prefix", "--adapter prefix --epsilon 1e-1 --learning-rate 1 --schedule linear", 2),
    Method("FZOO, prefix", f"{FZOO} --adapter prefix --epsilon 1e-1 --learning-rate 1", 8),
    Method("FZOO, prefix, probed rate", "--method fzoo --adapter prefix --epsilon 1e-1", 8, PROBE),
    Method("a new head", "--head-steps 3000", 0, 2 * SHOTS // BATCH),
    Method("a new head, longer", "--head-steps 10000", 0, 2 * SHOTS // BATCH),
    Method("PyTorch Adam, head", "--train head", 0),
    Method("PyTorch Adam, all weights", "--train all", 0),
]  # fmt: skip
# To be crossed with what they can train, at the rate that a probe finds.
CROSSED = [
    Method("MeZO", "", 2, PROBE),
    Method("MeZO, momentum", "--update momentum", 2, PROBE),
    Method("MeZO, Adam", "--update adam", 2, PROBE),
    Method("MeZO, signs", "--update sign", 2, PROBE),
    Method("LOZO", "--method lozo", 2, PROBE),
    Method("FZOO", "--method fzoo", 8, PROBE),
    Method("FZOO, momentum", "--method fzoo --update momentum --history 10", 8, PROBE),
    Method("FZOO, Adam", "--method fzoo --update adam --history 8", 8, PROBE),
    Method("FZOO, sparse", "--method fzoo --smallest 0.75", 8, PROBE),
    Method("curved", "--estimator curved --perturbation rademacher", 9, PROBE),
    Method("line search", "--estimator line-search", 9, PROBE),
]  # fmt: skip
PARTS = {"top layer": TOP_LAYER, "the prompt's head": "--train lm_head.*", "LoRA": "--adapter lora",
         "prefix": "--adapter prefix --epsilon 1e-1"}  # fmt: skip
PROMPTS = {"SMS": ["--template", "This is a {mask} message: {text}", "--label-words", "ham=personal,spam=commercial"],
           "SST-2": ["--template", "{text} It was {mask}.", "--label-words", "0=terrible,1=great"]}  # fmt: skip


@dataclass(frozen=True)
class Curve:
    """Of one seed: forward passes, loss and accuracy on the held-out messages."""
    forwards: list[int]
    losses: list[float]
    accuracies: list[float]
    seconds: list[float]


def adam(o: argparse.Namespace, method: Method, shared: list) -> Curve:
    figures = run_json([str(word) for word in [o.python, HERE / "peer_adam.py", *shared, *method.options.split()]],
                       "--python")  # fmt: skip
    return Curve([0], [figures["loss"]], [100 * figures["accuracy"]], [figures["seconds"]])


def own(o: argparse.Namespace, method: Method, shared: list, metrics: Path) -> Curve:
    steps = (o.forwards - method.before) // method.points if method.points else 0
    program = o.hizoo if is_hizoo(method) else o.finetune_classifier
    command = [program, *shared, "--metrics", metrics, *(PROMPTS[o.task] if method.points else []),
               *method.options.split(), "--steps", steps, *(["--eval-every", max(1, steps // 8)] if steps else [])]
    with (metrics.parent / "errors").open("w+", encoding="utf-8") as errors:
        process = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL, stderr=errors)
        _, status, used = os.wait4(process.pid, 0)  # its own time, whatever else runs on the machine
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            errors.seek(0)
            fail(f"{method.name}: {errors.read().strip()}")
    with metrics.open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["eval_loss"]]
    of_processor = (used.ru_utime + used.ru_stime) / float(rows[-1]["seconds"])
    return Curve([method.before + int(row["step"]) * method.points for row in rows],
                 [float(row["eval_loss"]) for row in rows], [100 * float(row["accuracy"]) for row in rows],
                 [float(row["seconds"]) * of_processor for row in rows])  # fmt: skip


def run(o: argparse.Namespace, method: Method, seed: int) -> Curve:
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / "train.tsv", Path(folder) / "test.tsv"]
        for file, rows in zip(files, minilm_table.split(o, o.task, SHOTS, seed)):
            minilm_table.write(file, rows)
        shared = ["--model", MODEL, "--data", files[0], "--test-data", files[1], "--batch", BATCH, "--max-tokens", 64,
                  "--threads", 1, "--seed", seed]
        curve = adam(o, method, shared) if is_peer(method) else own(o, method, shared, Path(folder) / "metrics.csv")
    print(f"{method.name}, seed {seed}: {curve.losses[-1]:.3f}, {curve.accuracies[-1]:.1f} %", file=sys.stderr)
    return curve


def is_peer(method: Method) -> bool:
    return method.name.startswith("PyTorch")


def is_hizoo(method: Method) -> bool:
    return method.name.startswith("HiZOO")


def can_run(o: argparse.Namespace, method: Method) -> bool:
    needed = o.python if is_peer(method) else o.hizoo if is_hizoo(method) else True
    return bool(needed) and method.name.startswith(tuple(o.only))


def spread(values: list[float], digits: int) -> str:
    mean = f"{statistics.mean(values):.{digits}f}"
    return f"{mean} ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else mean


def figures(method: Method, curves: list[Curve]) -> list[str]:
    return [method.name, f"`{method.options}`" if method.options else "",
            "" if is_peer(method) else str(curves[0].forwards[-1]),
            spread([curve.accuracies[-1] for curve in curves], 1) + " %",
            spread([curve.losses[-1] for curve in curves], 3),
            f"{statistics.mean(curve.seconds[-1] for curve in curves):.0f} s"]


def crossed_figures(method: Method, curves: dict[str, list[Curve]]) -> list[str]:
    def cell(of: list[Curve]) -> str:
        loss = statistics.mean(curve.losses[-1] for curve in of)
        return f"{spread([curve.accuracies[-1] for curve in of], 1)} %, {loss:.3f}"

    return [method.name, f"`{method.options}`" if method.options else "",
            *(cell(curves[f"{method.name}, {part}"]) for part in PARTS)]  # fmt: skip


WIDTH, PANEL, LEFT, TOP, RIGHT, GAP = 780, 340, 60, 60, 250, 60  # pixels
COLOURS = ["#0969da", "#bf3989", "#1a7f37", "#9a6700", "#8250df", "#cf222e", "#1b7c83", "#6e7781", "#953800", "#0a3069",
           "#57606a", "#bc4c00", "#116329", "#a475f9", "#db61a2", "#4ac26b", "#d4a72c", "#218bff", "#fa4549", "#24292f",
           "#8c959f", "#6639ba", "#7d4e00", "#3fb950", "#ff8182", "#54aeff", "#bf8700", "#2da44e",
           "#6f42c1"]  # fmt: skip


def means(of: list[list[float]]) -> list[float]:
    return [statistics.mean(values) for values in zip(*of)]


Lines = dict[str, tuple[list[float], list[float]]]  # x and losses of each method


def panel(top: float, what: str, lines: Lines, colours: dict[str, str]) -> list[str]:
    """Losses against something; a method without steps is a point."""
    most = max(x[-1] for x, _ in lines.values())
    low, high = min(min(y) for _, y in lines.values()) * 0.9, max(max(y) for _, y in lines.values())

    def place(x: float, loss: float) -> tuple[float, float]:
        return LEFT + (WIDTH - LEFT - RIGHT) * x / most, top + PANEL * (high - loss) / (high - low)

    parts = [text(LEFT, top + PANEL + 40, what, "note")]
    for tick in range(6):
        x, y = place(most * tick / 5, low + (high - low) * tick / 5)
        parts += [text(x, top + PANEL + 20, f"{most * tick / 5:.0f}", "note", "middle"),
                  text(LEFT - 8, y + 4, f"{low + (high - low) * tick / 5:.2f}", "note", "end")]
    for name, (xs, losses) in lines.items():
        points = [place(x, loss) for x, loss in zip(xs, losses)]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colours[name]}" stroke-width="2"/>')
        parts.append(f'<circle cx="{points[-1][0]:.1f}" cy="{points[-1][1]:.1f}" r="3" fill="{colours[name]}"/>')
    return parts


def chart(task: str, curves: dict[str, list[Curve]]) -> str:
    """Mean losses against forward passes, and below against seconds, where back-propagation is beside them."""
    losses = {name: means([curve.losses for curve in of]) for name, of in curves.items()}
    seconds = {name: (means([curve.seconds for curve in of]), losses[name]) for name, of in curves.items()}
    forwards = {name: (of[0].forwards, losses[name]) for name, of in curves.items() if of[0].forwards[-1] > 0}
    colours = dict(zip(curves, cycle(COLOURS)))
    parts = [text(16, 28, f"{task}: loss on held-out texts against forward passes and seconds", "title"),
             text(16, 48, "mean of the seeds; lower is better", "note")]
    for row, name in enumerate(curves):
        parts.append(f'<rect x="{WIDTH - RIGHT + 20}" y="{TOP + 20 * row - 10}" width="12" height="12" '
                     f'fill="{colours[name]}"/>')  # fmt: skip
        parts.append(text(WIDTH - RIGHT + 38, TOP + 20 * row, name))
    if forwards:
        parts += panel(TOP, "forward passes of a batch", forwards, colours)
    parts += panel(TOP + PANEL + GAP, "seconds of one core", seconds, colours)
    height = TOP + 2 * (PANEL + GAP)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img"><style>{STYLE}</style>'
    return "\n".join([head, *parts, "</svg>"]) + "\n"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Zeroth-order methods side by side on the demo's task.")
    parser.add_argument("--finetune-classifier", required=True, metavar="PATH", help="the program")
    parser.add_argument("--hizoo", metavar="PATH", help="bench_hizoo, for HiZOO beside them")
    parser.add_argument("--python", metavar="PATH", help="an interpreter with torch, for Adam beside them")
    parser.add_argument("--sst2", type=Path, nargs=2, metavar="FILE", help="SST-2's train and dev files: the task")
    parser.add_argument("--forwards", type=positive, default=1000, metavar="N", help="of each run (default: 1000)")
    parser.add_argument("--seeds", type=positive, default=3, metavar="N", help="(default: 3)")
    parser.add_argument("--jobs", type=positive, default=1, metavar="N", help="runs at a time, of one thread each")
    parser.add_argument("--only", nargs="+", default=[""], metavar="WORD", help="methods whose names begin so")
    parser.add_argument("--parts", action="store_true", help="methods crossed with what they can train")
    add_write(parser, "table and a chart")
    o = parser.parse_args()
    o.sms, o.task = EXAMPLES / "data/sms-spam.tsv", "SST-2" if o.sst2 else "SMS"
    o.section = "methods" + ("-sst2" if o.sst2 else "") + ("-parts" if o.parts else "")
    return o


def measure(o: argparse.Namespace, methods: list[Method]) -> dict[str, list[Curve]]:
    with ThreadPoolExecutor(o.jobs) as pool:
        jobs = {method.name: [pool.submit(run, o, method, seed) for seed in range(o.seeds)] for method in methods}
        return {name: [job.result() for job in of] for name, of in jobs.items()}


def measured(o: argparse.Namespace, chosen: list[Method]) -> tuple[str, dict[str, list[Curve]]]:
    """A table, and the curves that belong to it."""
    curves = measure(o, chosen)
    return table(["method", "options", "forward passes", "accuracy", "loss", "time"],
                 [figures(method, curves[method.name]) for method in chosen]), curves  # fmt: skip


def crossed(o: argparse.Namespace, chosen: list[Method]) -> str:
    """The table of methods and parts, with the rows of other methods that README.md has."""
    curves = measure(o, [replace(method, name=f"{method.name}, {part}", options=f"{method.options} {options}")
                         for method in chosen for part, options in PARTS.items()])  # fmt: skip
    before = rows_of(parts(o.write / "README.md", o.section)[1]) if o.write else []
    rows = {row[0]: row for row in [*before, *(crossed_figures(method, curves) for method in chosen)]}
    return table(["method", "options", *PARTS], [rows[method.name] for method in CROSSED if method.name in rows])


def main() -> None:
    o = parse()
    if o.write:
        parts(o.write / "README.md", o.section)  # to fail before an hour of work
    chosen = [method for method in (CROSSED if o.parts else METHODS) if can_run(o, method)]
    if not chosen:
        fail(f"no method's name begins with {' or '.join(o.only)}")
    section, curves = (crossed(o, chosen), {}) if o.parts else measured(o, chosen)
    print(section)
    if o.write:
        put_section(o.write / "README.md", o.section, section)
    if o.write and curves:
        (o.write / f"{o.section}.svg").write_text(chart(o.task, curves), encoding="utf-8")


if __name__ == "__main__":
    main()
