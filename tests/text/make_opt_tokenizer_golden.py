#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes data/opt_golden.json: ids that `transformers` gives texts with the tokenizer of examples/models/tiny-opt.

    pip install transformers
    python make_opt_tokenizer_golden.py
"""
import json
import pathlib

from transformers import AutoTokenizer

HERE = pathlib.Path(__file__).resolve().parent
TEXTS = ["", " ", "Hello", " Hello", "Are you there?\nYes.", "I'll call u @ 5, ok?  lol", "déjà vu, naïve — \u201cquoted\u201d", "£5.00!!!",
         "a</s>b", "<mask> <pad>", "日本語", "\U0001f600 ok", "trailing space ", "\t tabs\t\tand\n\nlines"]  # fmt: skip


def main() -> None:
    tokenizer = AutoTokenizer.from_pretrained(HERE.parent.parent / "examples/models/tiny-opt")
    cases = [json.dumps({"text": text, "framed": tokenizer(text).input_ids}) for text in TEXTS]
    (HERE / "data/opt_golden.json").write_text('{"cases": [\n' + ",\n".join(cases) + "\n]}\n")


if __name__ == "__main__":
    main()
