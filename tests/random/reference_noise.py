#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The noise z(seed, tensor, row, column) of pocketllm::random in numpy: its definition, vectorised and in float64.

    pip install numpy
    python reference_noise.py            write data/noise.json, which the tests compare with
    python reference_noise.py --check    only check: known answers, and moments of 10 million values

The generator is Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC'11). Its key
is the seed; its counter is (16 block + lane, row, tensor key). A block covers 512 columns of a row of a matrix
[rows, cols], of which lane c makes the columns c, c + 16, c + 32, ...; a vector is a matrix of one row. Rademacher
takes the lane's bits from the first word; Gaussian starts JSF32 (Jenkins, 2007) with all four.
"""
import json
import math
import pathlib
import re
import sys

import numpy as np

MASK32, MASK64 = 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF
MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
KEY_INCREMENTS = (0x9E3779B9, 0xBB67AE85)
LANES, ELEMENTS = 16, 32  # of a block, and columns that each lane makes


def fnv1a(name: str) -> int:
    """64-bit FNV-1a of the UTF-8 bytes: the key of a tensor."""
    value = 0xCBF29CE484222325
    for byte in name.encode():
        value = ((value ^ byte) * 0x100000001B3) & MASK64
    return value


def step_seed(run_seed: int, step: int) -> int:
    """Output number `step` (from 0) of SplitMix64 seeded with `run_seed`."""
    z = (run_seed + (step + 1) * 0x9E3779B97F4A7C15) & MASK64
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK64
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK64
    return z ^ (z >> 31)


def philox(counter: np.ndarray, key: tuple[int, int]) -> np.ndarray:
    """Philox4x32-10: counters [..., 4] to words [..., 4], all below 2^32 and held in uint64."""
    c = [np.asarray(counter, np.uint64)[..., i] for i in range(4)]
    k = list(key)
    low, shift = np.uint64(MASK32), np.uint64(32)
    for _ in range(10):
        a, b = c[0] * MULTIPLIERS[0], c[2] * MULTIPLIERS[1]
        c = [(b >> shift) ^ c[1] ^ np.uint64(k[0]), b & low, (a >> shift) ^ c[3] ^ np.uint64(k[1]), a & low]
        k = [(k[i] + KEY_INCREMENTS[i]) & MASK32 for i in range(2)]
    return np.stack(c, axis=-1)


def words(seed: int, name: str | int, shape: tuple[int, ...]) -> np.ndarray:
    """Philox's words [rows, blocks, 16 lanes, 4] for a tensor of `shape` ([cols] or [rows, cols]), by name or key."""
    if len(shape) not in (1, 2):
        raise ValueError(f"{name}: shape {shape} is neither a vector's nor a matrix's")
    rows, cols = (1, *shape)[-2:]
    tensor = fnv1a(name) if isinstance(name, str) else name
    blocks = -(-cols // (LANES * ELEMENTS))
    counter = np.empty((rows, blocks, LANES, 4), np.uint64)
    counter[..., 0] = np.arange(blocks * LANES, dtype=np.uint64).reshape(blocks, LANES)
    counter[..., 1] = np.arange(rows, dtype=np.uint64)[:, None, None]
    counter[..., 2] = tensor & MASK32
    counter[..., 3] = tensor >> 32
    return philox(counter, (seed & MASK32, seed >> 32))


def to_shape(z: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """z [elements, rows, blocks, lanes] in the order of columns, without the last block's surplus."""
    z = np.moveaxis(z, 0, 2)
    return z.reshape(z.shape[0], -1)[:, : shape[-1]].reshape(shape)


def small_fast(state: np.ndarray, count: int):
    """JSF32 from states [..., 4]: yields its output and its second state word, `count` times."""
    a, b, c, d = (state[..., i].astype(np.uint32) for i in range(4))

    def rotate(x: np.ndarray, n: int) -> np.ndarray:
        return (x << np.uint32(n)) | (x >> np.uint32(32 - n))

    for _ in range(count):
        e = a - rotate(b, 27)
        a = b ^ rotate(c, 17)
        b = c + d
        c = d + e
        d = e + a
        yield d, b


def gaussian(seed: int, name: str | int, shape: tuple[int, ...]) -> np.ndarray:
    """The sum of four bytes and a number in [-1/2, 1/2), made normal by a polynomial."""
    coefficients = (1.667958975, 0.04115714133, 0.03888399154, -0.02283104882, 0.006343354937)
    z = []
    for word, second in small_fast(words(seed, name, shape), ELEMENTS):
        total = sum(((word >> np.uint32(8 * i)) & np.uint32(255)).astype(np.float64) for i in range(4))
        x = (total - 510 + second.view(np.int32).astype(np.float64) / 2.0**32) / 256
        z.append(sum(c * x ** (2 * i + 1) for i, c in enumerate(coefficients)))
    return to_shape(np.stack(z), shape)


def rademacher(seed: int, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """+1 or -1 from one bit an element, the uppermost first: -1 where it is set."""
    first = words(seed, name, shape)[..., 0]
    bits = np.stack([first >> np.uint64(31 - i) & np.uint64(1) for i in range(ELEMENTS)])
    return to_shape(1.0 - 2.0 * bits, shape)


def low_rank(seed: int, name: str, shape: tuple[int, ...], rank: int) -> np.ndarray:
    """U V^T / sqrt(rank) of normal factors, V from the upper half of the seed alone; of a vector normal noise."""
    if len(shape) == 1:
        return gaussian(seed, name, shape)
    u = gaussian(seed, fnv1a(name) ^ 0x9E3779B97F4A7C15, (shape[0], rank))
    v = gaussian(seed & ~MASK32, fnv1a(name) ^ 0xC2B2AE3D27D4EB4F, (rank, shape[1]))
    return u @ v / rank**0.5


def shared_seed(run_seed: int, shared: int, step: int, directions: int, k: int) -> int:
    """The seed of direction k of a step; the upper half is that of `shared` steps, if that is more than 1."""
    own = step_seed(run_seed, step * directions + k)
    if shared <= 1:
        return own
    return step_seed(~run_seed & MASK64, step // shared) & ~MASK32 | own & MASK32


def write_json(path: pathlib.Path, value: object) -> None:
    """JSON with each innermost list or object on a line of its own."""
    text = json.dumps(value, indent=1)
    path.write_text(re.sub(r"[\[{][^\[\]{}]*[\]}]", lambda inner: re.sub(r"\s+", " ", inner[0]), text) + "\n")


KNOWN_ANSWERS = [  # of Random123: counter, key, words
    ((0,) * 4, (0,) * 2, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((MASK32,) * 4, (MASK32,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    ((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0),
     (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)),
]  # fmt: skip
CASES = [  # seed, name, shape: small and large seeds, rows that end within a block, a vector, beyond ASCII
    (0, "roberta.embeddings.word_embeddings.weight", (50, 768)),
    (42, "roberta.encoder.layer.0.attention.self.query.weight", (17, 131)),
    (0x0123456789ABCDEF, "lm_head.bias", (1001,)),
    (MASK64, "größe.weight", (3, 5)),
]


def check_known_answers() -> None:
    for counter, key, answer in KNOWN_ANSWERS:
        assert tuple(philox(np.array(counter), key).tolist()) == answer, (counter, key)
    assert step_seed(1234567, 0) == 6457827717110365317  # the first output in the description of SplitMix64


def check_moments() -> None:
    """Prints moments. For N(0, 1) they are 0, 1, 0, 3, with standard errors 3e-4, 4e-4, 1e-3 and 3e-3."""
    z = gaussian(1, "moments", (1000, 10_000))
    r = rademacher(1, "moments", (1000, 10_000))
    print(f"gaussian: mean {z.mean():.2e}, variance {z.var():.6f}, skewness {(z**3).mean():.2e},"
          f" kurtosis {(z**4).mean():.5f}, largest {abs(z).max():.3f},"
          f" P(|z| > 3) {(abs(z) > 3).mean():.6f} (normal 0.002700)")
    first, second = z[:, :-16], z[:, 16:]
    print(f"gaussian, neighbours of a lane: correlation {(first * second).mean():.2e},"
          f" of their squares {(first**2 * second**2).mean() - 1:.2e}")
    print(f"rademacher: mean {r.mean():.2e}, neighbours' correlation {(r[:, 1:] * r[:, :-1]).mean():.2e}")  # fmt: skip


def samples(z: np.ndarray) -> list[dict[str, float]]:
    """Elements at the beginning, at the end and spread over z: row, column, value."""
    z = np.atleast_2d(z)
    chosen = sorted({*range(min(12, z.size)), z.size - 1, *(i * 7919 % z.size for i in range(1, 25))})
    return [{"row": i // z.shape[1], "column": i % z.shape[1], "value": float(z.flat[i])} for i in chosen]


def main() -> None:
    check_known_answers()
    if "--check" in sys.argv:
        check_moments()
        return
    named = [{"seed": seed, "name": name, "shape": list(shape)} for seed, name, shape in CASES]
    run_seeds = [(0, 0), (0, 1), (1234567, 0), (42, 19_999), (MASK64, 3)]
    data = {
        "philox": [{"counter": c, "key": k, "words": w} for c, k, w in KNOWN_ANSWERS],
        "tensor_keys": [{"name": name, "key": fnv1a(name)} for _, name, _ in CASES],
        "step_seeds": [{"run_seed": s, "step": t, "seed": step_seed(s, t)} for s, t in run_seeds],
        "gaussian": [{**n, "samples": samples(gaussian(*c))} for n, c in zip(named, CASES)],
        "rademacher": [
            {**n, "row": r, "signs": "".join("-" if v < 0 else "+" for v in np.atleast_2d(rademacher(*c))[r])}
            for n, c in zip(named, CASES)
            for r in sorted({0, (1, *c[2])[-2] - 1})
        ],
    }
    write_json(pathlib.Path(__file__).parent / "data/noise.json", data)


if __name__ == "__main__":
    main()
