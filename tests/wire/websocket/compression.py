"""A client of permessage-deflate (RFC 7692), and messages of many kinds for it to send.

It holds itself to what was agreed, and inflates with the smallest window that
the server promised to keep to.
"""

from __future__ import annotations

import json
import random
import zlib
from functools import cache

from tidegate.testing.websocket import BINARY, CONTINUATION, TEXT, Frame, masked

__all__ = ["DATA", "OFFERS", "Client", "sample"]

TAIL = b"\x00\x00\xff\xff"

DATA = ("json", "picture", "prose", "html", "archive")

_DEFAULT = "permessage-deflate; client_no_context_takeover; client_max_window_bits"

# What the thirteenth group of the published suite offers.
OFFERS = [
    _DEFAULT,
    f"{_DEFAULT}; server_no_context_takeover",
    f"{_DEFAULT}; server_max_window_bits=9",
    f"{_DEFAULT}; server_max_window_bits=15",
    f"{_DEFAULT}; server_no_context_takeover; server_max_window_bits=9",
    f"{_DEFAULT}; server_no_context_takeover; server_max_window_bits=15",
    f"{_DEFAULT}; server_no_context_takeover; server_max_window_bits=9, "
    f"{_DEFAULT}; server_no_context_takeover, {_DEFAULT}",
]


class Client:
    """Compresses and inflates as the server's answer in ``response`` says."""

    def __init__(self, response: str) -> None:
        name, *items = [item.strip() for item in response.split(";")]
        assert name == "permessage-deflate"
        self.parameters = dict(item.partition("=")[::2] for item in items)
        self._compressor: zlib._Compress | None = None
        self._inflater: zlib._Decompress | None = None

    def _bits(self, name: str) -> int:
        return -int(self.parameters.get(name, "15"))

    def compress(self, payload: bytes) -> bytes:
        """Return a message compressed, without the four bytes that are not sent."""
        if self._compressor is None or "client_no_context_takeover" in self.parameters:
            self._compressor = zlib.compressobj(wbits=self._bits("client_max_window_bits"))
        packed = self._compressor.compress(payload) + self._compressor.flush(zlib.Z_SYNC_FLUSH)
        assert packed.endswith(TAIL)
        return packed[:-4]

    def frames(self, message: str | bytes, fragment_size: int = 0) -> bytes:
        """Return a message in compressed frames of at most ``fragment_size`` bytes."""
        opcode, payload = BINARY, message
        if isinstance(message, str):
            opcode, payload = TEXT, message.encode()
        packed = self.compress(bytes(payload))
        size = fragment_size or len(packed)
        starts = range(0, len(packed), size)
        return b"".join(
            masked(
                CONTINUATION if start else opcode,
                packed[start : start + size],
                fin=start + size >= len(packed),
                reserved=0 if start else 4,
            )
            for start in starts
        )

    def read(self, frame: Frame) -> str | bytes:
        """Return the message in a frame of the server."""
        payload = frame.payload
        if frame.reserved == 4:
            if self._inflater is None or "server_no_context_takeover" in self.parameters:
                self._inflater = zlib.decompressobj(wbits=self._bits("server_max_window_bits"))
            payload = self._inflater.decompress(payload + TAIL)
        return payload.decode() if frame.opcode == TEXT else payload


@cache
def sample(kind: str, size: int) -> str | bytes:
    """Return data of one of the kinds in ``DATA``, always the same."""
    chooser = random.Random(kind)
    if kind == "archive":
        return chooser.randbytes(size)
    if kind == "picture":
        return _picture(chooser, size)
    words = [_word(chooser) for _ in range(400)]
    if kind == "prose":
        return " ".join(chooser.choices(words, k=size)).encode()[:size]
    if kind == "html":
        lines = [f"<li class='{chooser.choice(words)}'>{number}</li>\n" for number in range(size)]
        return "".join(lines)[:size]
    rows = [
        {"id": number, "name": chooser.choice(words), "at": chooser.random()}
        for number in range(size // 40 + 1)
    ]
    return json.dumps(rows, ensure_ascii=False)[:size]


def _word(chooser: random.Random) -> str:
    return "".join(chooser.choices("abcdefghijklmnoprstuwäöüß€", k=chooser.randint(2, 10)))


def _picture(chooser: random.Random, size: int) -> bytes:
    """Return a line of grey that rarely jumps."""
    grey = 128
    pixels = bytearray()
    for _ in range(size):
        grey = min(255, max(0, grey + chooser.choice((-2, -1, 0, 0, 1, 2))))
        pixels.append(grey)
    return bytes(pixels)
