#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs bench_step and peer_mezo.py by turns and prints a table of medians.

    compare.py --bench-step build/release/benchmarks/bench_step --python VENV/bin/python --write

By turns, since a machine grows slower while it grows hot: each round runs every variant once, every second round in
the opposite order. --write puts the table into README.md beside this script, between <!-- compare:begin --> and
<!-- compare:end -->, and a chart into step.svg; with --section NAME between <!-- NAME:begin --> and <!-- NAME:end -->
and into NAME.svg, for another model beside the first:

    compare.py ... --model opt-1.3b --bits 32 --write --section opt

The standard library suffices; the interpreter that --python names needs torch and transformers.
"""
import argparse
import json
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path

from reporting import HERE, add_write, parts, positive, put_section, run_json, table
from step_chart import Bar, chart


@dataclass(frozen=True)
class Variant:
    ours: bool
    storage: str
    perturbation: str = "gaussian"  # the only one that PyTorch's MeZO has

    @property
    def name(self) -> str:
        return "pocketllm" if self.ours else "PyTorch"

    @property
    def bits(self) -> str:
        return self.storage.strip("bfp")

    def command(self, options: argparse.Namespace) -> list[str]:
        shape = ["--model", options.model, "--batch", options.batch, "--tokens", options.tokens,
                 "--threads", options.threads, "--steps", options.steps, "--json", "-"]
        own = [options.bench_step, "--storage", self.storage, "--perturbation", self.perturbation]
        peer = [options.python, HERE / "peer_mezo.py", "--dtype", self.storage]
        return [str(word) for word in (own if self.ours else peer) + shape]


VARIANTS = [Variant(True, "f32"), Variant(False, "fp32"), Variant(True, "f32", "rademacher"),
            Variant(True, "f16"), Variant(False, "bf16"), Variant(True, "f16", "rademacher")]


def run_all(options: argparse.Namespace) -> dict[Variant, list[dict]]:
    variants = [variant for variant in VARIANTS if options.bits in ("all", variant.bits)]
    runs: dict[Variant, list[dict]] = {variant: [] for variant in variants}
    for turn in range(options.rounds):
        for variant in variants if turn % 2 == 0 else reversed(variants):
            figures = run_json(variant.command(options), "--bench-step and --python")
            runs[variant].append(figures)
            print(f"round {turn + 1}  {variant.name:<10}{variant.storage:<5}{variant.perturbation:<11}"
                  f"{seconds(figures['step_seconds'])}", file=sys.stderr, flush=True)
    return runs


def medians(runs: list[dict]) -> dict:
    """Of each figure the median over the rounds; settings as they are."""
    first = runs[0]
    middle = {key: statistics.median(each[key] for each in runs) for key, value in first.items()
              if isinstance(value, float) or key.endswith("_bytes")}
    middle["step_over_forwards"] = middle["step_seconds"] / (first["points"] * middle["forward_seconds"])
    return {**first, **middle}


def seconds(value: float) -> str:
    return f"{value:.2f} s" if value >= 1 else f"{1000 * value:.{0 if value >= 0.1 else 1}f} ms"


def gigabytes(value: float) -> str:
    return f"{value / 1e9:.2f} GB" if value >= 1e8 else f"{value / 1e6:.0f} MB"


def peers(results: dict[Variant, dict]) -> list[Variant]:
    return [variant for variant in results if not variant.ours]


def results_table(results: dict[Variant, dict]) -> str:
    columns = ["", "weights", "directions", "one forward", "step", "step / 2 forwards", "update", "peak memory"]
    columns += [f"times as fast as PyTorch {peer.storage}" for peer in peers(results)]
    rows = []
    for variant, r in results.items():
        speeds = [f"{results[peer]['step_seconds'] / r['step_seconds']:.2f}" for peer in peers(results)]
        rows.append([variant.name, variant.storage, variant.perturbation.capitalize(), seconds(r["forward_seconds"]),
                     seconds(r["step_seconds"]), f"{r['step_over_forwards']:.2f}", seconds(r["update_seconds"]),
                     gigabytes(r["peak_rss_bytes"]), *speeds])
    return table(columns, rows)


def conditions(results: dict[Variant, dict], rounds: int) -> str:
    ours = next(r for variant, r in results.items() if variant.ours)
    peer = results[peers(results)[0]]
    threads = f"{ours['threads']} thread" + ("s" if ours["threads"] != 1 else "")
    return (f"{ours['model']} ({ours['parameters'] / 1e6:.1f} million weights, all trained), batches of "
            f"{ours['batch']} x {ours['tokens']} tokens, {threads} of {ours['processor']}. Medians of {rounds} rounds "
            f"of {ours['steps']} steps. pocketllm by {ours['compiler']}; PyTorch {peer['torch']}, transformers "
            f"{peer['transformers']}, whose imports take {gigabytes(peer['imports_rss_bytes'])} of the memory.")


def step_chart(results: dict[Variant, dict]) -> str:
    bars = [Bar(f"{variant.name} {variant.storage}, {variant.perturbation.capitalize()}", variant.ours,
                r["step_seconds"], 2 * r["forward_seconds"], seconds(r["step_seconds"]))
            for variant, r in sorted(results.items(), key=lambda item: -item[1]["step_seconds"])]
    any_run = next(iter(results.values()))
    return chart(f"A step of {Path(any_run['model']).name}, {any_run['batch']} x {any_run['tokens']} tokens", bars)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compares a training step of pocketllm with one of PyTorch.")
    parser.add_argument("--bench-step", required=True, metavar="PATH", help="the program")
    parser.add_argument("--python", default=sys.executable, metavar="PATH",
                        help="an interpreter that has torch and transformers (default: this one)")
    parser.add_argument("--model", default="roberta-large", metavar="NAME|DIR",
                        help="a name or directory that both programs know (default: %(default)s)")
    parser.add_argument("--bits", default="all", choices=("all", "32", "16"),
                        help="only weights of so many bits (default: all)")
    parser.add_argument("--batch", default=8, type=positive, metavar="B", help="sequences (default: 8)")
    parser.add_argument("--tokens", default=64, type=positive, metavar="T", help="of each (default: 64)")
    parser.add_argument("--threads", default="0", metavar="N", help="0 for as many as the machine has (default)")
    parser.add_argument("--steps", default=3, type=positive, metavar="S", help="of each run (default: 3)")
    parser.add_argument("--rounds", default=3, type=positive, metavar="R", help="runs of each variant (default: 3)")
    parser.add_argument("--json", metavar="FILE", help="also write the figures of every run")
    add_write(parser, "table and a chart")
    parser.add_argument("--section", default="compare", metavar="NAME", help="of README.md (default: %(default)s)")
    return parser.parse_args()


def main() -> None:
    options = parse()
    if options.write:
        parts(options.write / "README.md", options.section)  # to fail before minutes of work
    runs = run_all(options)
    if options.json:
        every = [figures for each in runs.values() for figures in each]
        Path(options.json).write_text(json.dumps(every, indent=2) + "\n", encoding="utf-8")
    results = {variant: medians(each) for variant, each in runs.items()}
    section = conditions(results, options.rounds) + "\n\n" + results_table(results)
    print(section)
    if options.write:
        picture = "step.svg" if options.section == "compare" else f"{options.section}.svg"
        image = f"![Seconds of a step by program, weights and directions]({picture})"
        put_section(options.write / "README.md", options.section, f"{image}\n\n{section}")
        (options.write / picture).write_text(step_chart(results), encoding="utf-8")


if __name__ == "__main__":
    main()
