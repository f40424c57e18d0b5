#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Loads a model that finetune_classifier wrote with transformers, and compares it with the predictions file.

    check_with_transformers.py MODEL_DIR PREDICTIONS.jsonl TEMPLATE LABEL=WORD ... [--max-tokens N] [--prefix DIR]

Prints the accuracy by transformers and the largest difference of a score. With --prefix, DIR is what --adapter prefix
wrote, which `peft` puts before the model. The text is expected at the end of the template, as in the demo, so that
cutting it is cutting the prompt's end.
"""
import argparse
import json

import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("predictions")
    parser.add_argument("template")
    parser.add_argument("label_words", nargs="+")
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--prefix")
    options = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    # float32: in a directory saved as f16, matrices are f16 and vectors f32, and both are to be kept
    model = AutoModelForMaskedLM.from_pretrained(options.model, dtype=torch.float32).eval()
    if options.prefix:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, options.prefix).eval()
    words = dict(pair.split("=", 1) for pair in options.label_words)
    ids = {label: tokenizer.encode(" " + word, add_special_tokens=False)[0] for label, word in words.items()}

    right, agree, worst, count = 0, 0, 0.0, 0
    with open(options.predictions, encoding="utf-8") as lines:
        for line in map(json.loads, lines):
            text = options.template.replace("{mask}", tokenizer.mask_token)
            for name, value in [*line["fields"].items(), ("text", next(iter(line["fields"].values())))]:
                text = text.replace("{" + name + "}", value)
            tokens = tokenizer.encode(text, add_special_tokens=False)[: options.max_tokens - 2]
            tokens = [tokenizer.bos_token_id, *tokens, tokenizer.eos_token_id]
            with torch.no_grad():
                logits = model(input_ids=torch.tensor([tokens])).logits[0, tokens.index(tokenizer.mask_token_id)]
            scores = {label: logits[i].item() for label, i in ids.items()}
            predicted = max(scores, key=scores.__getitem__)
            right += predicted == line["label"]
            agree += predicted == line["predicted"]
            worst = max(worst, *(abs(scores[label] - line["scores"][label]) for label in ids))
            count += 1
    print(f"accuracy by transformers: {100 * right / count:.1f} %, same prediction on {agree} of {count}, "
          f"largest difference of a score {worst:.2g}")


if __name__ == "__main__":
    main()
