#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes include/pocketllm/text/unicode_tables.hpp, and checks it against the package `tokenizers`.

    pip install unicodedata2==16.0.0 tokenizers
    python make_unicode_tables.py            write the header
    python make_unicode_tables.py --check    compare the classes with tokenizers' over all code points

The version is the one that `tokenizers` 0.23 has: its regular expressions (Oniguruma) agree with Unicode
16.0.0 on every code point, and differ from 15.1 and from 17.0.
"""
import pathlib
import sys

import unicodedata2 as unicode

HEADER = pathlib.Path(__file__).resolve().parents[2] / "include/pocketllm/text/unicode_tables.hpp"
OTHER, LETTER, NUMBER, SPACE, WORD = 0, 1, 2, 3, 4
# The property White_Space (PropList.txt), and the letters in circles and squares of Other_Alphabetic that
# are symbols by category: unicodedata2 has neither property.
WHITE_SPACE = {*range(0x09, 0x0E), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000}
ENCLOSED_LETTERS = {*range(0x24B6, 0x24EA), *range(0x1F130, 0x1F14A), *range(0x1F150, 0x1F16A), *range(0x1F170, 0x1F18A)}
JOINERS = {0x200C, 0x200D}


def bits(code_point):
    category = unicode.category(chr(code_point))
    kind = LETTER if category[0] == "L" else NUMBER if category[0] == "N" else SPACE if code_point in WHITE_SPACE else OTHER
    word = category[0] in "LM" or category in ("Nd", "Nl", "Pc") or code_point in ENCLOSED_LETTERS | JOINERS
    return kind | (WORD if word else 0)


def write():
    changes = [(c << 3) | bits(c) for c in range(0x110000) if c == 0 or bits(c) != bits(c - 1)]
    lines, line = [], "   "
    for change in changes:
        text = f" {change:#x},"
        if len(line) + len(text) > 110:
            lines.append(line)
            line = "   "
        line += text
    lines.append(line)
    HEADER.write_text(f"""// SPDX-License-Identifier: Apache-2.0
// Unicode {unicode.unidata_version}: where the class of characters changes. Made by tests/text/make_unicode_tables.py.
#pragma once

#include <array>
#include <cstdint>

namespace pocketllm::text::detail {{

/// One entry for each code point whose class differs from that of the one before, in rising order: the code
/// point, shifted left by 3; bit 2 set if it may be part of a word; bits 0-1: 0 other, 1 letter, 2 number, 3 white space.
// clang-format off
inline constexpr std::array<std::uint32_t, {len(changes)}> unicode_changes{{
""" + "\n".join(lines) + """
};
// clang-format on

} // namespace pocketllm::text::detail
""")
    print(f"{HEADER}: {len(changes)} entries, Unicode {unicode.unidata_version}")


def check():
    import tokenizers
    from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers

    code_points = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    everything = "".join(map(chr, code_points))
    for pattern, kind in ((r"\p{L}+", LETTER), (r"\p{N}+", NUMBER), (r"\s+", SPACE)):
        pieces = pre_tokenizers.Split(Regex(pattern), "removed", invert=True).pre_tokenize_str(everything)
        theirs = {ord(c) for piece, _ in pieces for c in piece}
        ours = {c for c in code_points if bits(c) & 3 == kind}
        assert ours == theirs, f"{pattern}: {len(ours ^ theirs)} code points differ"
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.add_tokens([AddedToken("<q>", single_word=True)])
    token = tokenizer.token_to_id("<q>")
    wrong = [c for c in code_points if (token not in tokenizer.encode(chr(c) + "<q>").ids) != bool(bits(c) & WORD)]
    assert not wrong, f"word characters: {len(wrong)} code points differ, first {wrong[0]:#x}"
    print(f"identical to tokenizers {tokenizers.__version__} over {len(code_points)} code points")


if __name__ == "__main__":
    check() if "--check" in sys.argv[1:] else write()
