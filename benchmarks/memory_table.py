#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs bench_step on OPT-1.3B in every storage, and prints a table of its memory.

    memory_table.py --bench-step build/release/benchmarks/bench_step --write

Weights are random; those of the row "in the file" are written to --scratch first (2.6 GB), by bench_step, and removed
at the end. --write puts the table into README.md beside this script, between <!-- memory:begin --> and
<!-- memory:end -->. Resident memory is the peak; private and dirty is what the system can neither share nor drop, behind
the last step.
"""
import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from reporting import add_write, parts, positive, put_section, run_json, table


# what is trained, storage, adapter, whether the weights lie in a file, activations in products with weights of codes
ROWS = [("all weights", "f32", "none", False, "f32"), ("all weights", "f16", "none", False, "f32"),
        ("LoRA", "f16", "lora", False, "f32"), ("LoRA", "f16", "lora", True, "f32"),
        ("prefix", "f16", "prefix", True, "f32"), ("LoRA", "i8", "lora", False, "f32"),
        ("LoRA", "i8", "lora", False, "i8"), ("LoRA", "i4", "lora", False, "f32"),
        ("LoRA", "i4", "lora", False, "i8")]  # fmt: skip


def gigabytes(value: float) -> str:
    return f"{value / 1e9:.2f} GB" if value >= 1e9 else f"{value / 1e6:.0f} MB"


def seconds(value: float) -> str:
    return f"{value:.1f} s"


def main() -> None:
    parser = argparse.ArgumentParser(description="Memory and time of a training step by storage and adapter.")
    parser.add_argument("--bench-step", required=True, metavar="PATH", help="the program")
    parser.add_argument("--model", default="opt-1.3b", metavar="NAME", help="of an OPT (default: %(default)s)")
    parser.add_argument("--batch", default=8, type=positive, metavar="B", help="sequences (default: 8)")
    parser.add_argument("--tokens", default=64, type=positive, metavar="T", help="of each (default: 64)")
    parser.add_argument("--steps", default=2, type=positive, metavar="S", help="of each run (default: 2)")
    parser.add_argument("--scratch", default=None, metavar="DIR", help="for the file (default: the system's)")
    add_write(parser, "table")
    options = parser.parse_args()
    if options.write:
        parts(options.write / "README.md", "memory")  # to fail before minutes of work

    rows, last = [], {}
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        for trained, storage, adapter, in_file, activations in ROWS:
            shape = ["--batch", options.batch, "--tokens", options.tokens, "--steps", options.steps,
                     "--storage", storage, "--activations", activations, "--json", "-"]  # fmt: skip
            model = options.model
            if in_file:
                model = Path(folder) / storage
                if not model.exists():
                    subprocess.run([options.bench_step, "--model", options.model, "--storage", storage,
                                    "--write-model", model], check=True)  # fmt: skip
            command = [options.bench_step, "--model", model, "--adapter", adapter, *shape]
            last = run_json([str(word) for word in command], "--bench-step")
            rows.append([trained, storage + (", in the file" if in_file else ""), activations,
                         gigabytes(last["weights_bytes"]),
                         gigabytes(last["peak_rss_bytes"]), gigabytes(last["private_dirty_bytes"]),
                         seconds(last["forward_seconds"]), seconds(last["step_seconds"]),
                         f"{last['step_over_forwards']:.2f}"])  # fmt: skip
            print("  ".join(rows[-1]), file=sys.stderr, flush=True)
    section = (f"{options.model} ({last['parameters'] / 1e6:.0f} million weights), Gaussian directions, batches of "
               f"{options.batch} x {options.tokens} tokens, the loss over all tokens, {last['threads']} threads of "
               f"{last['processor']}.\n\n"
               + table(["trained", "weights as", "activations as", "weights", "peak, resident", "private and dirty",
                        "one forward", "step", "step / 2 forwards"], rows))  # fmt: skip
    print(section)
    if options.write:
        put_section(options.write / "README.md", "memory", section)


if __name__ == "__main__":
    main()
