#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes data/peft/: a LoRA adapter as `peft` saves it, and what the model of ../models/data/opt_pre computes with it.

    pip install torch transformers peft
    python make_peft_golden.py                 # makes the files
    python make_peft_golden.py DIR             # loads the adapter of DIR onto the model: prints the largest difference

golden.json has `input_ids` and, for every token, `logits` of all words, computed in float64.
"""
import json
import pathlib
import sys

import numpy as np
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import OPTForCausalLM

HERE = pathlib.Path(__file__).resolve().parent
BASE = HERE.parent / "models" / "data" / "opt_pre"
sys.path.insert(0, str(HERE.parent / "random"))
from reference_noise import gaussian, write_json  # noqa: E402

IDS = [2, 17, 88, 5, 41, 9, 63, 100, 30]


def logits(model) -> np.ndarray:
    with torch.no_grad():
        return model.double()(input_ids=torch.tensor([IDS])).logits[0].numpy()


def make() -> None:
    config = LoraConfig(r=3, lora_alpha=7, target_modules=["q_proj", "v_proj", "fc1"], task_type="CAUSAL_LM",
                        alpha_pattern={"fc1": 2})  # fmt: skip
    model = get_peft_model(OPTForCausalLM.from_pretrained(BASE), config)
    for name, weight in model.named_parameters():
        if "lora_" in name:
            z = gaussian(2026, name, tuple(weight.shape))
            weight.data = torch.from_numpy(z * (0.3 if "lora_B" in name else 0.5)).float()
    model.save_pretrained(HERE / "data" / "peft")
    (HERE / "data" / "peft" / "README.md").unlink()
    path = HERE / "data" / "peft" / "adapter_config.json"  # without the path of the base on this machine
    written = json.loads(path.read_text())
    written["base_model_name_or_path"] = "opt_pre"
    path.write_text(json.dumps(written, indent=2) + "\n")
    model.eval()
    write_json(HERE / "data" / "peft" / "golden.json",
               {"input_ids": IDS, "logits": [float(np.float32(x)) for x in logits(model).ravel()]})  # fmt: skip


def check(directory: str) -> None:
    model = PeftModel.from_pretrained(OPTForCausalLM.from_pretrained(BASE), directory).eval()
    expected = np.array(json.loads((HERE / "data" / "peft" / "golden.json").read_text())["logits"])
    print(np.abs(logits(model).ravel() - expected).max() / np.abs(expected).max())
    print(len(load_file(pathlib.Path(directory) / "adapter_model.safetensors")), "tensors")


if __name__ == "__main__":
    check(sys.argv[1]) if len(sys.argv) > 1 else make()
