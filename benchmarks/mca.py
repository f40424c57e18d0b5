#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What compilers make of the innermost loops of products on AArch64, of floats (fmla) and of codes (sdot): instructions,
accesses of the stack, and how near they come to two of those a cycle, by llvm-mca's models of processors.

  benchmarks/mca.py            a table; needs llvm-mca (Debian: llvm-19)
  benchmarks/mca.py --check    fails if a loop touches the stack or multiplies too often; ends with 77 if there is no
                               compiler for AArch64
"""
import argparse
import itertools
import os
import re
import shutil
import subprocess
import sys
import tempfile

SOURCE = """#include <pocketllm/simd/code_tile.hpp>
#include <pocketllm/simd/tile.hpp>
template void pocketllm::simd::multiply_block<xsimd::neon64>(pocketllm::simd::BlockArguments const&, std::size_t);
template void pocketllm::simd::multiply_codes<xsimd::neon64>(pocketllm::simd::CodeArguments const&, std::size_t);
"""
# What a tile multiplies with, and the function that it is.
TILES = {"fmla": "run_tile", "sdot": "run_dotprod_tile"}
COMPILERS = ["aarch64-linux-gnu-g++", "clang++ --target=aarch64-linux-gnu"]
OBJDUMP = "aarch64-linux-gnu-objdump"
# By rows and vectors: those that fill the registers (TileShape<neon64>). A pass has 4 elements of depth.
FULL_TILES = [(6, 4), (8, 3), (12, 2), (24, 1)]
UNROLLED = 4
# LLVM models the Cortex-A76, A78 and X1 as a Cortex-A57, which has one pipe for them. The Neoverse N1 is the A76 for
# servers, the V1 the X1, the N2 the A710.
PROCESSORS = ["neoverse-n1", "neoverse-n2", "neoverse-v1", "cortex-a57", "cortex-a55"]
PIPES = 2


def disassemble(compiler, include, flags):
    """{function: [(address, instruction)]} of the tiles."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = os.path.join(folder, "tile.cpp"), os.path.join(folder, "tile.o")
        with open(source, "w", encoding="utf-8") as file:
            file.write(SOURCE)
        subprocess.run([*compiler.split(), "-std=c++20", *flags, "-I", include, "-c", source, "-o", target],
                       check=True)
        text = subprocess.run([OBJDUMP, "-d", "-C", "--no-show-raw-insn", target], check=True, capture_output=True,
                              text=True).stdout
    functions, code = {}, []
    for line in text.splitlines():
        if head := re.match(r"[0-9a-f]+ <(.*)>:$", line):
            code = functions.setdefault(head[1], [])
        elif instruction := re.match(r"\s+([0-9a-f]+):\s+(.*)$", line):
            code.append((int(instruction[1], 16), re.sub(r"\s*//.*", "", instruction[2])))
    return functions


def tile_of(function):
    """(its function, rows, vectors) of a tile, or None."""
    match = re.search(r"(\w+)<xsimd::neon64, (\d+)ul((?:, \d+ul)+)>\(", function)
    return match and (match[1], int(match[2]), match[3].count(","))


def main_loop(code, instruction, multiplications):
    """The shortest loop with at least so many of an instruction."""
    loops = []
    for address, last in code:
        jump = re.match(r"(?:b|b\.\w+|cbz|cbnz|tbz|tbnz)\s+(?:.*,\s*)?([0-9a-f]+) <", last)
        if jump and int(jump[1], 16) <= address:
            body = [text for at, text in code if int(jump[1], 16) <= at <= address]
            if count(body, instruction) >= multiplications:
                loops.append(body)
    return min(loops, key=len, default=[])


def count(loop, mnemonic):
    return sum(instruction.startswith(mnemonic) for instruction in loop)


def on_stack(instruction):
    return re.search(r"\[sp\b", instruction) is not None


def cycles(loop, processor, mca):
    """Cycles of a pass, by llvm-mca."""
    text = "\n".join(re.sub(r"[0-9a-f]+ <.*", ".", instruction) for instruction in loop)
    passes = 200
    report = subprocess.run([mca, "-mtriple=aarch64", f"-mcpu={processor}", "-mattr=+dotprod",
                             f"-iterations={passes}"], input=text,
                            check=True, capture_output=True, text=True).stdout
    return int(re.search(r"Total Cycles:\s+(\d+)", report)[1]) / passes


def find_mca():
    candidates = ["llvm-mca", *(f"llvm-mca-{version}" for version in range(30, 13, -1))]
    return next(filter(None, map(shutil.which, candidates[1:] + candidates[:1])), None)


def compiles(compiler):
    """Whether the compiler is there and finds the headers of AArch64."""
    probe = [*compiler.split(), "-std=c++20", "-x", "c++", "-fsyntax-only", "-"]
    try:
        return subprocess.run(probe, input="#include <array>\n#include <arm_neon.h>\n", text=True,
                              stderr=subprocess.DEVNULL).returncode == 0
    except FileNotFoundError:
        return False


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only count, and fail on what should not be")
    parser.add_argument("--compiler", action="append", help=f"with its options (default: {COMPILERS})")
    parser.add_argument("--flags", default="-O3", help="of the compilers (default: -O3)")
    parser.add_argument("--processor", action="append", help=f"for llvm-mca (default: {PROCESSORS})")
    parser.add_argument("--mca", default=find_mca(), help="the program (default: the newest llvm-mca)")
    options = parser.parse_args()
    here = os.path.dirname(os.path.abspath(__file__))
    compilers = [c for c in options.compiler or COMPILERS if compiles(c)]
    if not compilers or not shutil.which(OBJDUMP):
        print("mca.py: no compiler for AArch64; cmake/install-deps.sh installs one")
        return 77
    if not options.check and options.mca is None:
        sys.exit("mca.py: no llvm-mca; install LLVM's tools (Debian: apt-get install llvm-19), or give --check")
    processors = [] if options.check else options.processor or PROCESSORS
    print("| compiler | multiplies with | rows x vectors | instructions | of them that | loads | on the stack |",
          *(f"{processor} |" for processor in processors))
    print("|---|---|---|---|---|---|---|" + "---|" * len(processors))
    faults = 0
    for compiler in compilers:
        functions = disassemble(compiler, os.path.join(here, "..", "include"), options.flags.split())
        tiles = {tile_of(name): code for name, code in functions.items() if tile_of(name)}
        for (mnemonic, function), (rows, vectors) in itertools.product(TILES.items(), FULL_TILES):
            expected = rows * vectors * UNROLLED
            loop = main_loop(tiles.get((function, rows, vectors), []), mnemonic, expected)
            multiplications, stack = count(loop, mnemonic), sum(map(on_stack, loop))
            faults += multiplications != expected or stack != 0
            shares = [expected / PIPES / cycles(loop, processor, options.mca) for processor in processors]
            print(f"| {compiler.split()[0]} | {mnemonic} | {rows} x {vectors} | {len(loop)} | {multiplications} |",
                  f"{count(loop, 'ld')} | {stack} |", *(f"{share:.2f} |" for share in shares))
    if faults:
        print(f"mca.py: {faults} loops touch the stack, or do not multiply once for each row, vector and element")
    return int(faults != 0)


if __name__ == "__main__":
    sys.exit(main())
