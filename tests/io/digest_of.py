#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints the digest of the weights in one or more safetensors files (all shards of one model), by the
description in io/digest.hpp: where the digests in test_digest.cpp come from. Needs: blake3 (PyPI).
Run: python3 digest_of.py FILE..."""

import json
import struct
import sys

from blake3 import blake3


def tensors(path: str):
    with open(path, "rb") as file:
        data = file.read()
    begin = 8 + struct.unpack("<Q", data[:8])[0]
    for name, tensor in json.loads(data[8:begin]).items():
        if name != "__metadata__":
            first, end = tensor["data_offsets"]
            yield name.encode(), tensor["dtype"].encode(), tensor["shape"], data[begin + first:begin + end]


def main() -> None:
    text = b"pocketllm weights 1\n"
    for name, dtype, shape, elements in sorted(t for path in sys.argv[1:] for t in tensors(path)):
        text += struct.pack("<I", len(name)) + name + struct.pack("<I", len(dtype)) + dtype
        text += struct.pack(f"<I{len(shape)}Q", len(shape), *shape) + blake3(elements).digest()
    print("blake3:" + blake3(text).hexdigest())


if __name__ == "__main__":
    main()
