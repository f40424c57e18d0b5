#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How long a compiler takes for the umbrella header alone and for each of the examples, with the flags of a build.

    compile_time.py --build build/release --write

Seconds of the processor, the least of --repeat times. --write puts the table into README.md beside this script, between
<!-- compile:begin --> and <!-- compile:end -->.
"""
import argparse
import json
import resource
import shlex
import subprocess
import tempfile
from pathlib import Path

from reporting import HERE, add_write, fail, parts, positive, put_section, table

EXAMPLES = HERE.parent / "examples"
WITH_UMBRELLA = EXAMPLES / "custom_loop.cpp"  # whose flags the umbrella alone is compiled with


def commands(build: Path) -> dict[Path, list[str]]:
    """Each source under examples/, and how it is compiled: of programs that share one, for the first."""
    file = build / "compile_commands.json"
    try:
        entries = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        fail(f"{file}: {error.strerror}; configure with the preset release")
    found = {Path(entry["file"]): shlex.split(entry["command"]) for entry in reversed(entries)
             if Path(entry["file"]).parent == EXAMPLES}  # fmt: skip
    if WITH_UMBRELLA not in found:
        fail(f"{file}: the examples are not built there")
    return dict(sorted(found.items()))


def seconds(command: list[str], source: Path, target: Path, build: Path) -> float:
    """Of the compiler, which reads `source` in place of the command's last word and writes to `target` alone."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([*command[:-1], str(source), "-o", str(target)], cwd=build, check=False, capture_output=True,
                          text=True)  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        fail(f"{source}: {done.stderr.strip()}")
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description="Seconds to compile the umbrella header and the examples.")
    parser.add_argument("--build", type=Path, required=True, metavar="FOLDER", help="a build with the preset release")
    parser.add_argument("--repeat", type=positive, default=3, metavar="N", help="times (default: 3)")
    add_write(parser, "table")
    o = parser.parse_args()
    if o.write:
        parts(o.write / "README.md", "compile")  # to fail before minutes of work
    found = commands(o.build)
    compiler = subprocess.run([found[WITH_UMBRELLA][0], "--version"], capture_output=True, text=True,
                              check=True).stdout.splitlines()[0]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        umbrella = Path(folder) / "umbrella.cpp"
        umbrella.write_text("#include <pocketllm/pocketllm.hpp>\n", encoding="utf-8")
        programs = [("`pocketllm.hpp` alone", umbrella, found[WITH_UMBRELLA])]
        programs += [(source.name, source, command) for source, command in found.items()]
        rows = [[name, f"{min(seconds(command, source, Path(folder) / 'out.o', o.build) for _ in range(o.repeat)):.1f}"]
                for name, source, command in programs]  # fmt: skip
    section = f"{compiler}:\n\n{table(['source', 'seconds'], rows)}"
    print(section)
    if o.write:
        put_section(o.write / "README.md", "compile", section)


if __name__ == "__main__":
    main()
