"""Throws broken PROXY headers at ``read_proxy_header`` and holds it to one invariant.

Whatever the bytes: it returns a header and a size within them, or None, or
raises ``BadRequest``, nothing else; and it says the same of the bytes when they
come one by one.  The same seed throws the same inputs.

    python -m tests.fuzz.proxy --seconds 60
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from pathlib import Path

if __package__ in (None, ""):
    # Run as a file: the folder of the file is on the path, not the project's.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from tests.wire.test_proxy import BAD, GOOD

from tidegate.errors import BadRequest
from tidegate.wire.proxy import MAX_HEADER_SIZE, ProxyHeader, read_proxy_header

__all__ = ["check", "fuzz", "main"]

SEEDS = [data for data, _ in [*GOOD.values(), *BAD.values()] if len(data) < 1000]

Answer = tuple[ProxyHeader, int] | str | None


def answer(data: bytes) -> Answer:
    try:
        return read_proxy_header(data)
    except BadRequest as error:
        return error.reason


def check(data: bytes) -> None:
    """Hold the reader to the invariant for ``data``; any exception is a finding."""
    whole = answer(data)
    ends = range(1, len(data) + 1)
    first = next((found for found in map(answer, (data[:end] for end in ends)) if found), None)
    if isinstance(whole, tuple):
        assert whole[1] <= min(len(data), MAX_HEADER_SIZE)
        # Nothing of what follows it changes a header.
        assert first == whole
    else:
        # What is refused may be refused earlier, for another reason.
        assert type(first) is type(whole)


def mutated(chance: random.Random) -> bytes:
    """Return a case with a few bytes changed, taken away, repeated or put in."""
    data = bytearray(chance.choice(SEEDS))
    for _ in range(chance.choice((1, 1, 2, 5))):
        at = chance.randrange(len(data) + 1)
        kind = chance.randrange(4)
        if kind == 0 and at < len(data):
            data[at] = chance.choice((0, 1, 0x20, 0x7F, 0xFF, chance.randrange(256)))
        elif kind == 1:
            del data[at : at + chance.randrange(1, 4)]
        elif kind == 2:
            data[at:at] = data[at : at + chance.randrange(1, 20)]
        else:
            data[at:at] = chance.choice((b" ", b"\0", b"\r\n", b"\x03\0\x04", b"9", b":"))
    return bytes(data)


def fuzz(seed: int, count: int) -> None:
    """Check so many inputs."""
    chance = random.Random(seed)
    for _ in range(count):
        check(mutated(chance))


def main(arguments: list[str] | None = None) -> int:
    """Run until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args(arguments)
    end, seed = time.monotonic() + chosen.seconds, chosen.seed
    while time.monotonic() < end:
        fuzz(seed, 200)
        seed += 1
    sys.stdout.write(f"proxy: {(seed - chosen.seed) * 200} inputs, nothing found\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
