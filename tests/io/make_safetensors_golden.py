#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the files under data/ with PyPI's safetensors: small models in three types, one in shards, and one
file with the format's other types. Needs: torch, safetensors. Run: python3 make_safetensors_golden.py"""

import json
import pathlib
import shutil

import torch
from safetensors.torch import save_file

DATA = pathlib.Path(__file__).parent / "data"
ROWS, COLS = 5, 7


def toy_tensors() -> dict[str, torch.Tensor]:
    torch.manual_seed(7)
    weight = torch.randn(ROWS, COLS)
    # halves of a unit in the last place, subnormals of f16, zeros of both signs: where rounding can go wrong
    weight[0, :6] = torch.tensor([1 + 2**-11, 1 + 3 * 2**-11, 1 + 2**-8, 3e-6, -0.0, 1e-8])
    return {"layer.weight": weight, "layer.bias": torch.arange(ROWS) / 8, "table": torch.randn(3, COLS)}


def directory(name: str) -> pathlib.Path:
    path = DATA / name
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


def write_config(path: pathlib.Path, dtype: str) -> None:
    config = {"model_type": "toy", "rows": ROWS, "cols": COLS, "torch_dtype": dtype, "architectures": ["Toy"]}
    (path / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def main() -> None:
    tensors = toy_tensors()
    for name, dtype in {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}.items():
        path = directory(f"toy-{name}")
        write_config(path, name)
        save_file({k: v.to(dtype) for k, v in tensors.items()}, path / "model.safetensors", {"format": "pt"})

    path = directory("toy-shards")
    write_config(path, "float32")
    shards = {"model-00001-of-00002.safetensors": ["layer.weight"],
              "model-00002-of-00002.safetensors": ["layer.bias", "table"]}
    for shard, names in shards.items():
        save_file({name: tensors[name] for name in names}, path / shard, {"format": "pt"})
    index = {"metadata": {"total_size": sum(4 * t.numel() for t in tensors.values())},
             "weight_map": {name: shard for shard, names in shards.items() for name in names}}
    (path / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")

    mixed = {
        "I64": torch.tensor([[1, -2], [3, 4]]),
        "BOOL": torch.tensor([True, False, True]),
        "F64": torch.tensor([0.1], dtype=torch.float64),
        "F32": torch.tensor(2.5),  # a single number: no dimension
        "F16": torch.zeros(2, 0, 3, dtype=torch.float16),  # no element
        "BF16": torch.tensor([1.0, -3.0], dtype=torch.bfloat16),
        "F8_E4M3": torch.tensor([1.0, 2.0, 3.0]).to(torch.float8_e4m3fn),
        "U8": torch.arange(5, dtype=torch.uint8),
    }
    save_file(mixed, DATA / "mixed.safetensors", {"format": "pt", "note": "größe \"x\"\n"})


if __name__ == "__main__":
    main()
