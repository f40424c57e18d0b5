#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes include/pocketllm/text/unicode_tables.hpp and bert_tables.hpp, and checks the former against `tokenizers`.

    pip install unicodedata2==16.0.0 tokenizers==0.23.3
    python make_unicode_tables.py            write the headers
    python make_unicode_tables.py --check    compare the classes with tokenizers' over all code points

The version is the one that `tokenizers` 0.23 has: its regular expressions (Oniguruma) agree with Unicode
16.0.0 on every code point, and differ from 15.1 and from 17.0. BERT's normalizer in the same package goes by several
older versions at once, so its tables are made by asking it about every code point.
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


def rows(numbers):
    """Numbers as lines of C++."""
    lines, line = [], "   "
    for number in numbers:
        text = f" {number:#x},"
        if len(line) + len(text) > 110:
            lines.append(line)
            line = "   "
        line += text
    return "\n".join([*lines, line])


def write():
    changes = [(c << 3) | bits(c) for c in range(0x110000) if c == 0 or bits(c) != bits(c - 1)]
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
{rows(changes)}
}};
// clang-format on

}} // namespace pocketllm::text::detail
""")
    print(f"{HEADER}: {len(changes)} entries, Unicode {unicode.unidata_version}")


class BertSteps:
    """What BertNormalizer and BertPreTokenizer of `tokenizers` do to single code points."""

    def __init__(self):
        from tokenizers import normalizers, pre_tokenizers

        def step(name):
            off = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
            return normalizers.BertNormalizer(**off | {name: True}).normalize_str

        self.code_points = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
        self.strip, self.cut = step("strip_accents"), pre_tokenizers.BertPreTokenizer().pre_tokenize_str
        clean, space, lower = step("clean_text"), step("handle_chinese_chars"), step("lowercase")
        self.lower = {c: lower(chr(c)) for c in self.code_points if lower(chr(c)) != chr(c)}
        self.stripped = {c: self.strip(chr(c)) for c in self.code_points if self.strip(chr(c)) != chr(c)}
        self.classes = {c: self.class_of(c, clean(chr(c)), space(chr(c))) for c in self.code_points}

    def class_of(self, c, cleaned, spaced):
        """The numbers of BertClass in bert_normalizer.hpp."""
        kinds = [cleaned == "", cleaned == " ", spaced != chr(c), len(self.cut(f"a{chr(c)}b")) == 3, self.stripped.get(c) == ""]
        assert sum(kinds) <= 1, hex(c)
        kind = kinds.index(True) + 1 if any(kinds) else 0
        return 6 if kind == 5 and unicode.combining(chr(c)) == 0 else kind

    def orders(self):
        """{code point: combining class} of the marks that stay, where the package sorts them as Unicode does."""
        found = {c: unicode.combining(chr(c)) for c in self.code_points if self.stripped.get(c) != "" and unicode.combining(chr(c))}
        probes = [0x1B44, 0x1D165, 0x302E]  # marks of classes 9, 216 and 224 that stay
        texts = {c: [f"a{chr(c)}{chr(p)}" for p in probes] + [f"a{chr(p)}{chr(c)}" for p in probes] for c in found}
        return {c: k for c, k in found.items() if all(self.strip(t) == unicode.normalize("NFD", t) for t in texts[c])}


def pack(c, text):
    """A code point and the one or two that it becomes."""
    first, second = ord(text[0]), ord(text[1]) if len(text) > 1 else 0
    return c | first << 21 | second << 42


def decompositions(steps):
    """Packed; what becomes more than two code points is given by its first step, as Unicode does."""
    packed = []
    for c, text in steps.stripped.items():
        if text == "" or 0xAC00 <= c < 0xAC00 + 11172:  # Hangul syllables are arithmetic
            continue
        if len(text) > 2:
            text = "".join(chr(int(x, 16)) for x in unicode.decomposition(chr(c)).split())
        assert 1 <= len(text) <= 2 and (len(text) == 1 or ord(text[1]) not in steps.stripped), hex(c)
        packed.append(pack(c, text))
    return packed


def lower_runs(steps):
    """Runs [first, last] of every `step`-th code point with one difference: first, last, step, difference mod 2^21."""
    single = {c: ord(text) - c for c, text in steps.lower.items() if c != 0x130}
    assert steps.lower[0x130] == "i\u0307" and all(len(steps.lower[c]) == 1 for c in single)
    runs = []
    for c, difference in sorted(single.items()):
        run = next((r for r in reversed(runs[-2:]) if r[3] == difference and c - r[1] in (1, 2) and r[2] in (0, c - r[1])), None)
        if run:
            run[1], run[2] = c, c - run[1]
        else:
            runs.append([c, c, 0, difference])
    return [x for first, last, step, difference in runs for x in (first, last, max(step, 1), difference % (1 << 21))]


def write_bert():
    import tokenizers

    steps = BertSteps()
    codes = steps.code_points
    kinds = steps.classes
    changes = [(c << 3) | kinds[c] for i, c in enumerate(codes) if i == 0 or kinds[c] != kinds[codes[i - 1]]]
    folded = decompositions(steps)
    orders = [(c << 8) | k for c, k in sorted(steps.orders().items())]
    lower = lower_runs(steps)
    header = HEADER.with_name("bert_tables.hpp")
    header.write_text(f"""// SPDX-License-Identifier: Apache-2.0
// What BERT's normalizer does to characters, as `tokenizers` {tokenizers.__version__} has it. Made by
// tests/text/make_unicode_tables.py.
#pragma once

#include <array>
#include <cstdint>

namespace pocketllm::text::detail {{

// clang-format off
/// One entry for each code point whose class differs from that of the one before, in rising order: the code
/// point, shifted left by 3, and the number of its BertClass.
inline constexpr std::array<std::uint32_t, {len(changes)}> bert_changes{{
{rows(changes)}
}};

/// Canonical decompositions without the accents that are stripped, in rising order: code point, and from bits 21
/// and 42 the one or two that it becomes. The first of two may have a decomposition itself.
inline constexpr std::array<std::uint64_t, {len(folded)}> bert_decompositions{{
{rows(folded)}
}};

/// Combining marks that stay, in rising order: code point, shifted left by 8, and its canonical combining class.
inline constexpr std::array<std::uint32_t, {len(orders)}> bert_mark_orders{{
{rows(orders)}
}};

/// Lower case: of every `step`-th code point from `first` to `last` it is `difference` (modulo 2^21) behind it. Four
/// numbers a run, in rising order of `first`.
inline constexpr std::array<std::uint32_t, {len(lower)}> bert_lower_runs{{
{rows(lower)}
}};
// clang-format on

}} // namespace pocketllm::text::detail
""")
    print(f"{header}: {len(changes)} + {len(folded)} + {len(orders)} + {len(lower)} entries")


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
    if "--check" in sys.argv[1:]:
        check()
    else:
        write()
        write_bert()
