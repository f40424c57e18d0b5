#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the small tokenizer of the tests and the ids that the package `tokenizers` gives for hard cases.

    pip install tokenizers==0.23.3
    python make_tokenizer_golden.py     writes data/vocab.json, merges.txt, tokenizer.json, golden.json
"""
import json
import pathlib

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

DATA = pathlib.Path(__file__).resolve().parent / "data"

SENTENCES = """
The baker's daughter said she'd rather walk to the harbour than wait for the ferry.
We've counted 1200 lanterns along the river, and they're all made of paper and wire.
It wasn't a great film, but the music was wonderful and the ending made me smile.
Please reply to this message before Friday; the office closes at 17:30 sharp.
You'll win nothing by shouting, I'm afraid: nobody here can hear you over the wind.
This is a personal message: see you at home tonight, I will cook the lentils.
This is a commercial message: buy two blankets and get the third one free today!
The old telescope was terrible, the new one is great, and both were too expensive.
He wrote "perhaps tomorrow" on the wall, then painted over it in a thick dark green.
Rain fell on the tin roofs while the children were learning their tables by heart.
for (int i = 0; i < 10; ++i) { total += price[i] * count[i]; } // adds it all up
Der Zug fährt heute später ab, weil auf der Strecke ein großer Baum liegt.
Wir können morgen über die Brücke gehen und drüben frühstücken.
La tortue était déjà passée quand l'élève a levé les yeux de son cahier.
Où est passée la clé que j'avais laissée près de la fenêtre?
Мы шли вдоль берега и считали лодки, пока не стало темно.
Она сказала, что завтра будет дождь и что мы останемся дома.
今日は朝から雨が降っているので、図書館で本を読みます。
我们明天早上八点在车站见面，然后一起去看海。
ذهبنا إلى السوق صباحا واشترينا الخبز والزيتون.
나는 어제 친구와 함께 산에 올라갔다.
हम कल सुबह नदी के किनारे टहलने गए थे।
The party was fun 🎉🎉 and everyone danced 😀 until late.
""".strip().splitlines()


def hard_cases():
    """(name, bytes) of texts that tokenizers get wrong."""
    texts = {
        "empty": "",
        "space": " ",
        "spaces": "     ",
        "newline": "\n",
        "plain": "The ferry was great.",
        "leading space": " The ferry was great.",
        "trailing spaces": "The ferry   ",
        "runs of spaces": "a  b   c    d     e",
        "space before newline": "wait \n for  \n\n the\n\n\nferry \r\n \r\n",
        "tabs": "\tone\t\ttwo \t three\t ",
        "contractions": "it's don't we're they've I'm she'll he'd",
        "contractions upper case": "IT'S DON'T WE'RE THEY'VE I'M SHE'LL HE'D it'S we'Re",
        "contractions curly": "it\u2019s don\u2019t we\u2019re they\u2019ve",
        "contractions odd": "'s 't 'sx 'x '' ''s ' s !'s 'll'd've 're're 'r 'v 'l 'l'",
        "apostrophe at the end": "the bakers'",
        "contraction after number": "1990's 7'd",
        "contraction cut": "we'r",
        "numbers": "1 12 1234567 3.14 1,000 x2y 2x\u00b2 \u2167 \u0663\u0664 \u00bd \u2460",
        "punctuation": "Hello!!! ... (what?) [yes] {no} -- --- -> <= #1 $5 50% a_b a/b \\ ^ ~ `",
        "code": "for (int i=0;i<10;++i){ x[i]*=2; }  // end",
        "url and mail": "https://example.org/a?b=c&d=%20e#f me@example.org",
        "umlauts": "Brücke fährt größer ÄÖÜ",
        "decomposed umlauts": "Bru\u0308cke fa\u0308hrt e\u0301le\u0300ve",
        "combining marks": "a\u0300\u0301\u0302 \u0301 x\u20dd Z\u0351\u036b\u0343\u036aa\u0321l\u0356go",
        "french": "L'élève n'était pas là; où est-il?",
        "cyrillic": "Мы шли вдоль берега.",
        "cjk": "今日は雨。我们明天见！カタカナ ﾊﾝｶｸ",
        "cjk extension": "\U00020000\U0002a6d6\U0002ebf0 \U00031350",
        "hangul": "나는 어제 \u1112\u1161\u11ab",
        "arabic": "ذهبنا إلى السوق، صباحًا؟ \u0640\u0640",
        "hebrew with points": "שָׁלוֹם עולם",
        "devanagari": "हम कल नदी के किनारे क्षत्रिय",
        "thai": "สวัสดีชาวโลก",
        "emoji": "fun 🎉🎉 yes😀 no",
        "emoji with joiners": "👩\u200d👩\u200d👧\u200d👦 🏳\ufe0f\u200d🌈 👍🏽 🇩🇪🇫🇷 1\ufe0f\u20e3",
        "zero width": "a\u200bb\u200cc\u200dd\u2060e\ufefff",
        "byte order mark": "\ufeffThe ferry",
        "no-break space": "one\u00a0two \u00a0three\u00a0 four\u00a0\u00a0five",
        "unicode spaces": "a\u1680b\u2000c\u2003\u2003d\u2009 e \u202ff\u205fg\u3000h\u3000\u3000i",
        "line separators": "a\u2028b\u2029c\u0085d\u000be\u000cf",
        "not spaces": "a\u180eb\u200bc\u001cd\u001ee\u001ff",
        "control characters": "a\x00b\x01\x02 \x07c\x1b[0m\x7f \x80\x9f",
        "soft hyphen": "har\u00adbour",
        "private use": "\ue000 \uf8ff \U0010ffff \ufffe \uffff",
        "unassigned": "\u0378 \U000e0001 \U000e0100",
        "enclosed letters": "\u24b6\u24d0 \U0001f170 \u3250",
        "modifier and titlecase letters": "\u02b0 \u01c5 \u2071 \u00aa \u00ba",
        "mathematical": "\U0001d400\U0001d7d8 \u2211\u221e ∑x²",
        "mixed scripts": "abcабв123ابج今日",
        "long word": "harbour" * 300,
        "long word one letter": "a" * 1001,
        "long run of punctuation": "=" * 333 + "-" * 334,
        "long run of spaces": "x" + " " * 400 + "y",
        "long mixed": "".join(chr(97 + (i * i * 7 + i // 3) % 26) for i in range(700)),
        "special tokens": "<s>The ferry</s><pad><unk>",
        "special tokens spaced": " <s> The ferry </s> <pad> ",
        "mask": "This is a <mask> message",
        "mask no space": "a<mask>b",
        "mask spaces": "a   <mask>   b",
        "mask white space": "a \t\n\u00a0\u3000<mask>\n b",
        "mask at start": "<mask> b",
        "mask at start spaced": "  <mask>",
        "mask twice": "<mask><mask> <mask>",
        "mask not quite": "<mask <Mask> < mask> <mask>> <<mask>",
        "mask alone": "<mask>",
        "special nested": "<<s>></s</s>> <s<s>",
        "added tokens": "a<w>b <w> _<w> <w>. é<w> <w>\u0301 <w><w>",
        "added right strip": "x<r>   y<r>\n<r> <r>\u3000z",
        "added both strips": "x  <both>  y <both> <both>  ",
        "added normalized": "x<n>y <n><n><nn> <s><n>",
        "added non-ascii": "caf\u00e9! \u00e9!\u00e9!! e\u0301!",
        "added with space": "one two words two  words two words",
        "added overlap": "<r> <mask> <r>  two words<mask>",
        "spelling characters": "\u0120the \u010a \u0100\u0143 \u00e9",
    }
    cases = [(name, text.encode("utf-8")) for name, text in texts.items()]
    invalid = {
        "lone continuation": b"a\x80b",
        "lone lead": b"a\xc3",
        "lead then ascii": b"caf\xc3 e",
        "truncated three": b"x\xe2\x82 y",
        "truncated four": b"x\xf0\x9f\x98 y\xf0\x9f",
        "overlong": b"\xc0\xaf \xe0\x80\xaf \xf0\x80\x80\xaf",
        "surrogate": b"a\xed\xa0\x80\xed\xb0\x80b",
        "too large": b"\xf4\x90\x80\x80 \xf5\x80\x80\x80 \xff\xfe",
        "latin-1": "großer Käse".encode("latin-1"),
        "all bytes": bytes(range(256)),
        "valid around invalid": "Brücke\xff今".encode("utf-8")[:7] + b"\xff" + "今<mask>".encode("utf-8"),
    }
    return cases + [("invalid " + name, data) for name, data in invalid.items()]


def train():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    mask = AddedToken("<mask>", lstrip=True, special=True)
    trainer = trainers.BpeTrainer(vocab_size=760, show_progress=False, special_tokens=["<s>", "<pad>", "</s>", "<unk>", mask],
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(SENTENCES * 3, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    return tokenizer


ADDED = [
    {"content": "<w>", "single_word": True, "lstrip": False, "rstrip": False, "normalized": False, "special": True},
    {"content": "<r>", "single_word": False, "lstrip": False, "rstrip": True, "normalized": False, "special": True},
    {"content": "<both>", "single_word": False, "lstrip": True, "rstrip": True, "normalized": False, "special": False},
    {"content": "<n>", "single_word": False, "lstrip": False, "rstrip": False, "normalized": True, "special": False},
    {"content": "<n><n>", "single_word": False, "lstrip": True, "rstrip": False, "normalized": True, "special": False},
    {"content": "\u00e9!", "single_word": False, "lstrip": False, "rstrip": False, "normalized": True, "special": False},
    {"content": "two words", "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": False},
]


def main():
    DATA.mkdir(exist_ok=True)
    roberta = train()
    root = json.loads(roberta.to_str())
    vocabulary = dict(sorted(root["model"]["vocab"].items(), key=lambda item: item[1]))
    root["model"]["vocab"] = vocabulary
    compact = {"ensure_ascii": False, "separators": (",", ":")}
    (DATA / "tokenizer.json").write_text(json.dumps(root, **compact) + "\n", encoding="utf-8")
    (DATA / "vocab.json").write_text(json.dumps(vocabulary, **compact) + "\n", encoding="utf-8")
    merges = "".join(f"{left} {right}\n" for left, right in root["model"]["merges"])
    (DATA / "merges.txt").write_text("#version: 0.2\n" + merges, encoding="utf-8")

    added_tokens = [{"id": len(vocabulary) + i, **token} for i, token in enumerate(ADDED)]
    variant = json.loads(json.dumps(root))
    variant["added_tokens"] += added_tokens
    added = Tokenizer.from_str(json.dumps(variant))
    variant = json.loads(json.dumps(root))
    variant["pre_tokenizer"]["add_prefix_space"] = True
    prefixed = Tokenizer.from_str(json.dumps(variant))
    # A model without the tokens of four letters: with unk_token they are <unk>, without they are left out.
    missing = {"c": None, "q": None, "z": None, "Z": None}
    variant = json.loads(json.dumps(root))
    kept = [token for token in vocabulary if not any(letter in token for letter in missing) or token == "<mask>"]
    variant["model"]["vocab"] = {token: i for i, token in enumerate(kept)}
    variant["model"]["merges"] = [m for m in root["model"]["merges"] if "".join(m) in kept and m[0] in kept and m[1] in kept]
    dropped = Tokenizer.from_str(json.dumps(variant))
    variant["model"]["unk_token"] = "<unk>"
    unknown = Tokenizer.from_str(json.dumps(variant))

    cases = []
    for name, data in hard_cases():
        text = data.decode("utf-8", errors="replace")
        case = {"name": name, "hex": data.hex()}
        ids = roberta.encode(text, add_special_tokens=False).ids
        case["ids"] = ids
        case["decoded"] = roberta.decode(ids, skip_special_tokens=False)
        case["decoded_plain"] = roberta.decode(ids, skip_special_tokens=True)
        for key, variant_ids in (("added", added.encode(text, add_special_tokens=False).ids),
                                 ("prefixed", prefixed.encode(text, add_special_tokens=False).ids)):
            if variant_ids != ids:  # otherwise the test takes "ids"
                case[key] = variant_ids
        if len(data) < 48:
            case["framed"] = roberta.encode(text).ids
            case["pair"] = roberta.encode(text, "The ferry").ids
            case["dropped"] = dropped.encode(text, add_special_tokens=False).ids
            case["unknown"] = unknown.encode(text, add_special_tokens=False).ids
        cases.append(case)
    lines = ",\n".join(json.dumps(case, **compact) for case in cases)
    (DATA / "golden.json").write_text(
        '{"made_by":"tests/text/make_tokenizer_golden.py",\n"added_tokens":' + json.dumps(added_tokens, **compact)
        + ',\n"reduced_vocab":' + json.dumps(variant["model"]["vocab"], **compact)
        + ',\n"reduced_merges":' + json.dumps(variant["model"]["merges"], **compact)
        + ',\n"cases":[\n' + lines + "\n]}\n", encoding="utf-8")
    print(len(vocabulary), "tokens,", len(root["model"]["merges"]), "merges,", len(cases), "cases")


if __name__ == "__main__":
    main()
