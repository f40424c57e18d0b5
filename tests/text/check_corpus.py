#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares the ids of every line of text files with those of PyPI's `tokenizers`.

    pip install tokenizers
    python check_corpus.py ENCODE_LINES TOKENIZER_DIRECTORY FILE...

ENCODE_LINES is the program made of encode_lines.cpp; the directory holds vocab.json and merges.txt with RoBERTa's
special tokens, vocab.txt of an uncased BERT, or tokenizer.json. Exit code 1 if a line differs.
"""
import json
import pathlib
import subprocess
import sys

from tokenizers import AddedToken, BertWordPieceTokenizer, Tokenizer, models, pre_tokenizers


def load(directory):
    directory = pathlib.Path(directory)
    if (directory / "tokenizer.json").exists():
        tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return tokenizer
    if (directory / "vocab.txt").exists():
        return BertWordPieceTokenizer(str(directory / "vocab.txt"))
    tokenizer = Tokenizer(models.BPE.from_file(str(directory / "vocab.json"), str(directory / "merges.txt")))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    vocabulary = json.loads((directory / "vocab.json").read_text(encoding="utf-8"))
    special = [AddedToken(t, lstrip=t == "<mask>", special=True) for t in ("<s>", "<pad>", "</s>", "<unk>", "<mask>")]
    tokenizer.add_special_tokens([t for t in special if t.content in vocabulary])
    return tokenizer


def main(program, directory, *files):
    tokenizer = load(directory)
    different = 0
    for file in files:
        lines = pathlib.Path(file).read_bytes().split(b"\n")
        if lines[-1] == b"":
            lines.pop()
        output = subprocess.run([program, directory, file], check=True, capture_output=True, text=True).stdout
        ours = [[int(word) for word in line.split()] for line in output.split("\n")[:-1]]
        texts = [line.decode("utf-8", errors="replace") for line in lines]
        theirs = [e.ids for e in tokenizer.encode_batch(texts, add_special_tokens=False)]
        wrong = [i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b]
        for i in wrong[:5]:
            print(f"{file}:{i + 1}: {texts[i]!r}\n  ours   {ours[i]}\n  theirs {theirs[i]}")
        missing = len(lines) - len(ours)
        different += len(wrong) + abs(missing)
        print(f"{file}: {len(lines)} lines, {sum(map(len, theirs))} tokens, {len(wrong)} lines differ, {missing} missing")
    return 1 if different else 0


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
