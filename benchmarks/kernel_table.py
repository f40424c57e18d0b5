#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs bench_kernels and prints its figures as tables.

    kernel_table.py --bench-kernels build/release/benchmarks/bench_kernels --write

Of the repetitions of each benchmark the best one counts, since other programs only ever take time away; they are
taken in random order, so that a minute in which the machine is slow does not slow one benchmark alone. --write puts
the tables into README.md beside this script, between <!-- kernels:begin --> and <!-- kernels:end -->. The standard
library suffices.
"""
import argparse
import json
import re
from pathlib import Path

from reporting import add_write, fail, parts, positive, put_section, run_json, table

RATES = ["of_peak", "items_per_second", "bytes_per_second"]  # each benchmark has one of them that its table shows
KINDS = ["plain", "rademacher", "gaussian"]
NOISES = ["Rademacher", "Gaussian"]
NAME = re.compile(r"(\w+)(?:<([^>]*)>)?(?:/tokens:(\d+)/in:(\d+)/out:(\d+))?$")

Shape = tuple[int, ...]  # tokens, in, out; empty where a benchmark has none
Best = dict[tuple[str, str, Shape], float]  # by benchmark, template arguments and shape


def best_of(report: dict) -> Best:
    best: Best = {}
    for run in report["benchmarks"]:
        name = NAME.match(run["run_name"])
        rate = next((rate for rate in RATES if rate in run), None)
        if run["run_type"] != "iteration" or not name or not rate:  # means and the like are no iterations
            continue
        arguments = re.sub(r"\w+::| ", "", name[2] or "")
        key = name[1], arguments, tuple(int(size) for size in name.groups()[2:] if size)
        best[key] = max(best.get(key, 0.0), run[rate])
    return best


def products(best: Best, columns: dict[str, tuple[str, str]]) -> str:
    """Shares of the peak, a row for each shape; without the columns that were not measured."""
    there = {title: key for title, key in columns.items() if any(measured[:2] == key for measured in best)}
    shapes = sorted({measured[2] for measured in best if measured[:2] in there.values()},
                    key=lambda shape: (-shape[0], *shape[1:]))
    rows = [[*(str(size) for size in shape), *(number(best.get((*key, shape)), 1.0) for key in there.values())]
            for shape in shapes]
    return table(["tokens", "in", "out", *there], rows)


def sweeps(best: Best) -> str:
    """Noise alone, and the update by how the weights are stored."""
    rows = [["noise, 10^9 elements/s", *(number(best.get(("noise", noise, ())), 1e9) for noise in NOISES)]]
    for storage in ["float", "f16", "bf16"]:
        rates = [best.get(("update", f"{storage},{noise}", ())) for noise in NOISES]
        rows.append([f"update of {'f32' if storage == 'float' else storage}, GB/s", *(number(r, 1e9) for r in rates)])
    return table(["", *NOISES], rows)


def number(value: "float | None", unit: float) -> str:
    return "" if value is None else f"{value / unit:.2f}"


def conditions(context: dict, options: argparse.Namespace) -> str:
    libraries = f"Eigen {context['Eigen']}" + (f", OpenBLAS {context['OpenBLAS']}" if "OpenBLAS" in context else "")
    times = f"{options.repetitions} repetition" + ("s" if options.repetitions != 1 else "")
    return (f"One thread of {context['processor']}, whose peak is {context['peak of one core']}; by "
            f"{context['compiler']}, {libraries}. The best of {times} of {options.min_time} s.")


def section(report: dict, options: argparse.Namespace) -> str:
    best = best_of(report)
    if not best:
        fail("bench_kernels has measured nothing")
    others = {"Eigen": ("product_eigen", ""), "OpenBLAS": ("product_openblas", "")}
    ours = {storage: {kind if kind == "plain" else kind.capitalize(): (f"product_{kind}", storage) for kind in KINDS}
            for storage in ["float", "f16"]}
    return "\n\n".join([conditions(report["context"], options),
                        "Products, as a share of the peak; f32 weights:", products(best, others | ours["float"]),
                        "f16 weights:", products(best, ours["f16"]),
                        "Noise and the update:", sweeps(best)])


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Prints the figures of bench_kernels as tables.")
    parser.add_argument("--bench-kernels", required=True, metavar="PATH", help="the program")
    parser.add_argument("--repetitions", default=5, type=positive, metavar="N", help="of each benchmark (default: 5)")
    parser.add_argument("--min-time", default=0.2, type=float, metavar="S",
                        help="seconds that a repetition takes at least (default: 0.2)")
    parser.add_argument("--json", metavar="FILE", help="also write what bench_kernels prints")
    add_write(parser, "tables")
    return parser.parse_args()


def main() -> None:
    options = parse()
    if options.write:
        parts(options.write / "README.md", "kernels")  # to fail before minutes of work
    command = [options.bench_kernels, "--benchmark_format=json", f"--benchmark_repetitions={options.repetitions}",
               f"--benchmark_min_time={options.min_time}", "--benchmark_enable_random_interleaving=true"]
    report = run_json(command, "--bench-kernels")
    if options.json:
        Path(options.json).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    tables = section(report, options)
    print(tables)
    if options.write:
        put_section(options.write / "README.md", "kernels", tables)


if __name__ == "__main__":
    main()
