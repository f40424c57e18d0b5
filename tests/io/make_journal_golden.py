#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes data/run.journal and the seeds of fuzz_journal, by the description in io/journal_format.hpp and with
nothing of the library: if its bytes differ from these, one of the two has changed. Needs the standard library
only. Run: python3 make_journal_golden.py"""

import json
import pathlib
import struct

HERE = pathlib.Path(__file__).parent
SEEDS = HERE.parent / "fuzz" / "seeds" / "journal"
STEP, NOTE = 1, 128

RUN = {
    "about": {"program": "make_journal_golden.py"},
    "base": "blake3:" + "0123456789abcdef" * 4,
    "data": {"batches": {"seed": 7, "size": 16}, "digest": "blake3:" + "fedcba9876543210" * 4},
    "estimator": {"epsilon": 0.001, "name": "two-point"},
    "objective": {"labels": ["personal", "größe"], "name": "masked-prompt"},
    "perturbation": {"name": "gaussian"},
    "schedule": {"rate": 1e-06, "shape": "constant", "steps": 500},
    "seeds": {"rule": "split_mix", "run": 18446744073709551615},
    "slopes": 1,
    "trained": ["*"],
    "update": {"name": "sgd", "weight_decay": 0.0},
}


def crc32c(data: bytes, before: int = 0) -> int:
    remainder = before ^ 0xFFFFFFFF
    for byte in data:
        remainder ^= byte
        for _ in range(8):
            remainder = remainder >> 1 ^ (0x82F63B78 if remainder & 1 else 0)
    return remainder ^ 0xFFFFFFFF


class Journal:
    def __init__(self, header: dict) -> None:
        text = json.dumps(header, indent=2, sort_keys=True, ensure_ascii=False).encode() + b"\n"
        head = b"\x89PLJ\r\n\x1a\n" + struct.pack("<II", 1, len(text)) + text
        self.sum = crc32c(head)
        self.bytes = head + struct.pack("<I", self.sum)
        self.stored = header["seeds"]["rule"] == "stored"
        self.body = 8 + (12 if self.stored else 4) * header["slopes"]

    def record(self, kind: int, count: int, body: bytes) -> None:
        assert len(body) == self.body
        record = bytes([kind, count]) + body
        self.sum = crc32c(record, self.sum)
        self.bytes += record + struct.pack("<I", self.sum)

    def step(self, rate: float, loss: float, slopes: list[float], seeds: list[int] = [], skipped: int = 0) -> None:
        body = struct.pack(f"<{2 + len(slopes)}f", rate, loss, *slopes)
        self.record(STEP, skipped, body + struct.pack(f"<{len(seeds)}Q", *seeds))

    def message(self, text: bytes, kind: int = NOTE) -> None:
        data = struct.pack("<H", len(text)) + text
        records = -(-len(data) // self.body)
        data = data.ljust(records * self.body, b"\0")
        for i in range(records):
            self.record(kind, records - 1 - i, data[i * self.body:(i + 1) * self.body])

    def note(self, note: dict) -> None:
        self.message(json.dumps(note, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode())


def main() -> None:
    run = Journal(RUN)
    for i in range(5):
        run.step(1e-6, 0.75 - i / 16, [(-1) ** i * 1.5 * i])
    run.note({"evaluation": {"accuracy": 0.875}})
    run.step(5e-7, 0.25, [-3.0], skipped=2)
    run.note({"closing": {"next_step": 8, "outcome": "finished", "weights": "blake3:" + "00ff" * 16}})
    (HERE / "data" / "run.journal").write_bytes(run.bytes)

    SEEDS.mkdir(parents=True, exist_ok=True)
    (SEEDS / "run.journal").write_bytes(run.bytes)
    (SEEDS / "torn.journal").write_bytes(run.bytes[:-20])
    stored = Journal(RUN | {"slopes": 3, "seeds": {"rule": "stored"}, "first_step": 100})
    for i in range(4):
        stored.step(1e-3, 1.0, [0.5, -0.25, i], [i, 2**64 - 1, 12345])
    stored.message(b"a kind that no reader knows", 200)
    stored.note({"closing": {"next_step": 104, "outcome": "stopped", "weights": ""}})
    (SEEDS / "stored.journal").write_bytes(stored.bytes)


if __name__ == "__main__":
    main()
