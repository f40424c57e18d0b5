# SPDX-License-Identifier: Apache-2.0
"""What the scripts that measure share: programs that print JSON, tables, and sections of a Markdown file."""
import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

HERE = Path(__file__).resolve().parent


def fail(message: str) -> NoReturn:
    sys.exit(f"{Path(sys.argv[0]).name}: {message}")


def run_json(command: list[str], options: str) -> dict:
    """What a program prints. Ends this one, with a line that says why, when it fails; `options` name the program."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        fail(f"{command[0]}: {error.strerror}; see {options}")
    if done.returncode != 0:
        last = (done.stderr.strip() or "nothing on stderr").splitlines()[-1]
        fail(f"{' '.join(command)} failed ({done.returncode}): {last}")
    return json.loads(done.stdout)


def table(columns: list[str], rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in [columns, ["---"] * len(columns), *rows])


def parts(readme: Path, name: str) -> tuple[str, str, str]:
    """A Markdown file in three: <!-- name:begin --> and what is before it, the section, and what begins with its end."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    try:
        head, has_begin, rest = readme.read_text(encoding="utf-8").partition(begin)
    except OSError as error:
        fail(f"{readme}: {error.strerror}")
    section, has_end, tail = rest.partition(end)
    if not has_begin or not has_end:
        fail(f"{readme}: has no {begin} with {end} behind it")
    return head + begin, section, end + tail


def put_section(readme: Path, name: str, section: str) -> None:
    """Puts it between the markers. What else is in the file is read only now, since measuring may have taken an hour."""
    before, _, behind = parts(readme, name)
    readme.write_text(f"{before}\n\n{section}\n\n{behind}", encoding="utf-8")


def rows_of(section: str) -> list[list[str]]:
    """The cells of the tables in a part of a Markdown file, without their heads."""
    cells = [[cell.strip() for cell in line.strip("|").split("|")]
             for line in section.splitlines() if line.startswith("|")]  # fmt: skip
    heads = {i + offset for i, row in enumerate(cells) if set(row) == {"---"} for offset in (-1, 0)}
    return [row for i, row in enumerate(cells) if i not in heads]


def add_write(parser: argparse.ArgumentParser, what: str) -> None:
    """--write [DIR]: None where it is not given."""
    parser.add_argument("--write", nargs="?", const=HERE, type=Path, metavar="DIR",
                        help=f"put the {what} into README.md of DIR (default: beside this script)")  # fmt: skip


def positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f'"{text}" is not a positive whole number')
    return int(text)
