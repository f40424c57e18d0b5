#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes a small WordPiece tokenizer and what the package `tokenizers` gives for hard cases.

    pip install tokenizers==0.23.3
    python make_wordpiece_golden.py     writes data/wordpiece/: vocab.txt, tokenizer.json, golden.json

The texts are those of make_tokenizer_golden.py and some more. `code_points` of a variant is a hash of the words that it
makes of every code point between two letters: FNV-1a over the words, each followed by a zero byte.
"""
import json

from make_tokenizer_golden import DATA, SENTENCES, hard_cases
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
VARIANTS = {  # of the normalizer
    "uncased": {},
    "cased": {"lowercase": False},
    "accents": {"strip_accents": False},
    "stripped": {"lowercase": False, "strip_accents": True},
    "raw": {"clean_text": False, "handle_chinese_chars": False},
}
MORE = {
    "masks": "[MASK] a[MASK]b [mask] [CLS]x[SEP] [PAD] [UNK] [ MASK ]",
    "accents": "déjà-vu ÅNGSTRÖM naïve façade Ñandú Đorđe ŁÓDŹ ø æ",
    "accents decomposed": "de\u0301ja\u0300 A\u030angstro\u0308m",
    "case": "ŠŤÁSTNÝ İstanbul ISTANBUL ıspanak Straße STRASSE ΣΊΣΥΦΟΣ ΤΈΛΟΣ ǅ Ǆ Ω K Å",
    "marks in order": "a\u302e\u1b44b\U0001d165\u302e\u1b44 \u302e\u0323\u1b44 \u302e\u0301\u1b44 \u302e\u0345\u1b44 \u302e\u093a\u1b44",
    "musical": "\U0001d15e\U0001d160 \U0001d1bb\U0001d1c0",
    "hangul": "한국어 각 갂 힣 ᄀᄀ",
    "indic": "কো কৌ ொ ோ ൌ ೋ ෞ ආ",
    "cjk mixed": "abc漢字def 豈更 \U00020000x\U0002f800 ㄅ カタカナ ｶﾀｶﾅ",
    "word of 100": "a" * 100 + " " + "b" * 101 + " " + "é" * 100 + "é",
    "punctuation of all kinds": "a_b «c» “d” e‐f g…h ¿i? j·k $5 +1 <x> ^ ` | ~ § © ¶ ﹏ ＿ ！",
    "contractions": "I don't think it's we've they're I'm 'twas o'clock",
    "line ends": "a\r\nb\tc\x0bd\x0ce\x85f\u2028g",
    "removed": "a\u200db a\u00adb a\ufeffb a\ufffdb a\x00b \u200b x\u2060y",
}


def fnv1a(data: bytes, value: int = 0xCBF29CE484222325) -> int:
    for byte in data:
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return value


def words(tokenizer: Tokenizer, text: str) -> list[str]:
    return [word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(tokenizer.normalizer.normalize_str(text))]


def code_points(tokenizer: Tokenizer) -> str:
    value = fnv1a(b"")
    for c in range(0x110000):
        if not 0xD800 <= c < 0xE000:
            value = fnv1a(b"".join(word.encode() + b"\0" for word in words(tokenizer, f"a{chr(c)}b")), value)
    return f"{value:016x}"


def train() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(vocab_size=560, show_progress=False, special_tokens=SPECIAL)
    more = [text for name, text in MORE.items() if name not in ("word of 100", "case")]
    tokenizer.train_from_iterator(SENTENCES * 3 + more + ["TheWeIBr" * 2], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return tokenizer


def main() -> None:
    folder = DATA / "wordpiece"
    folder.mkdir(exist_ok=True)
    root = json.loads(train().to_str())
    vocabulary = dict(sorted(root["model"]["vocab"].items(), key=lambda item: item[1]))
    root["model"]["vocab"] = vocabulary
    (folder / "tokenizer.json").write_text(json.dumps(root, ensure_ascii=False, separators=(",", ":")) + "\n")
    (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in vocabulary))
    tokenizers = {}
    for name, change in VARIANTS.items():
        variant = json.loads(json.dumps(root))
        variant["normalizer"] |= change
        tokenizers[name] = Tokenizer.from_str(json.dumps(variant))
    cases = []
    for name, data in hard_cases() + [(name, text.encode()) for name, text in MORE.items()]:
        text = data.decode("utf-8", errors="replace")
        case = {"name": name, "hex": data.hex()}
        for variant, tokenizer in tokenizers.items():
            case[variant] = tokenizer.encode(text, add_special_tokens=False).ids
        case["decoded"] = tokenizers["uncased"].decode(case["uncased"], skip_special_tokens=False)
        case["decoded_plain"] = tokenizers["uncased"].decode(case["uncased"], skip_special_tokens=True)
        cases.append(case)
    pair = tokenizers["uncased"].encode("The ferry", "was late.")
    golden = {
        "variants": {n: {"normalizer": VARIANTS[n], "code_points": code_points(t)} for n, t in tokenizers.items()},
        "pair": {"ids": pair.ids, "types": pair.type_ids},
    }
    lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases)
    text = json.dumps(golden, indent=1)[:-2] + ',\n "cases": [\n' + lines + "\n]}\n"
    (folder / "golden.json").write_text(text)


if __name__ == "__main__":
    main()
