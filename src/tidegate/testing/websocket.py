"""The other end of one WebSocket, in memory.

It builds masked frames and reads the server's with code of its own, so that a
mistake in ``tidegate.wire.websocket`` cannot hide behind the same mistake here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from ..asgi import Application
from ..exchange.ended import Journal
from ..exchange.service import Policy
from ..net.worker import WebSocketSettings
from ..wire.websocket.limits import WebSocketLimits
from .peer import Peer, Response, turns
from .transport import FakeTransport

__all__ = [
    "BINARY",
    "CLOSE",
    "CONTINUATION",
    "KEY",
    "PING",
    "PONG",
    "TEXT",
    "Frame",
    "SwitchingTransport",
    "WebSocketPeer",
    "closing",
    "frames_in",
    "handshake",
    "masked",
]

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
"""The key of the example in RFC 6455 section 1.3."""

_MASK = b"\x37\xfa\x21\x3d"


@dataclass
class Frame:
    """One frame; ``reserved`` holds the bits RSV1 to RSV3 as a number up to 7."""

    opcode: int
    payload: bytes = b""
    fin: bool = True
    reserved: int = 0

    @property
    def close_code(self) -> int | None:
        """The code of a close frame; None if it has none."""
        return int.from_bytes(self.payload[:2], "big") if self.payload else None


def masked(
    opcode: int, payload: bytes = b"", *, fin: bool = True, reserved: int = 0, mask: bytes = _MASK
) -> bytes:
    """Return a frame as a client sends it (RFC 6455 section 5.2)."""
    size = len(payload)
    if size < 126:
        length = bytes([0x80 | size])
    elif size < 1 << 16:
        length = b"\xfe" + size.to_bytes(2, "big")
    else:
        length = b"\xff" + size.to_bytes(8, "big")
    first = (0x80 if fin else 0) | reserved << 4 | opcode
    covered = bytearray(payload)
    for place, key in enumerate(mask):
        covered[place::4] = payload[place::4].translate(_flipped(key))
    return bytes([first]) + length + mask + covered


@cache
def _flipped(key: int) -> bytes:
    """Return the table that translates each byte to the one with the bits of ``key`` flipped."""
    return bytes(byte ^ key for byte in range(256))


def closing(code: int | None = None, reason: str = "") -> bytes:
    """Return a close frame of a client."""
    payload = b"" if code is None else code.to_bytes(2, "big") + reason.encode()
    return masked(CLOSE, payload)


def frames_in(data: bytes) -> Iterator[Frame]:
    """Yield the frames of a server; fail if the last is cut off or one is masked."""
    position = 0
    while position < len(data):
        first, second = data[position : position + 2]
        if second & 0x80:
            raise ValueError("a frame of a server is masked")
        extra = {126: 2, 127: 8}.get(second, 0)
        position += 2 + extra
        size = int.from_bytes(data[position - extra : position], "big") if extra else second
        payload = data[position : position + size]
        if len(payload) < size:
            raise ValueError("the last frame is cut off")
        yield Frame(first & 0x0F, payload, bool(first & 0x80), first >> 4 & 7)
        position += size


def handshake(path: str = "/", headers: str = "", version: str = "13", key: str = KEY) -> bytes:
    """Return the request that asks for a socket; ``headers`` are lines with their CRLF."""
    lines = f"GET {path} HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    lines += f"Sec-WebSocket-Version: {version}\r\nSec-WebSocket-Key: {key}\r\n{headers}\r\n"
    return lines.encode("latin-1")


class SwitchingTransport(FakeTransport):
    """Lets its protocol be replaced, as HTTP/1.1 does when a socket takes over."""

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """From now on ``protocol`` hears of everything."""
        if not isinstance(protocol, asyncio.Protocol):
            raise TypeError(f"{protocol!r} is not a protocol of a stream")
        self._protocol = protocol

    @property
    def protocol(self) -> asyncio.Protocol | None:
        """Who hears of everything; None when the connection is lost."""
        return self._protocol


class WebSocketPeer(Peer):
    """A client whose connection becomes a socket."""

    transport: SwitchingTransport

    def __init__(
        self,
        application: Application,
        policy: Policy | None = None,
        *,
        settings: WebSocketSettings | None = None,
        limits: WebSocketLimits | None = None,
        access_log: Journal | None = None,
        transport: SwitchingTransport | None = None,
    ) -> None:
        super().__init__(application, policy, access_log=access_log, transport=transport)
        self.worker.websocket = settings or WebSocketSettings()
        self.worker.websocket_limits = limits or WebSocketLimits()

    def connect(self, transport: FakeTransport | None = None) -> None:
        """Open another connection to the same worker, and use it from now on."""
        super().connect(transport or SwitchingTransport())

    async def open(self, path: str = "/", headers: str = "", early: bytes = b"") -> Response:
        """Ask for a socket and return the answer; ``early`` are frames sent along."""
        self.transport.output = b""
        await self.send(handshake(path, headers) + early)
        return self.answer()

    def answer(self) -> Response:
        """Return the answer to the handshake; what came after it is left for ``frames``."""
        response = self.response()
        self.transport.output = response.rest
        return response

    async def send(self, data: bytes | str) -> None:
        """Send bytes to whoever has the connection by now."""
        if isinstance(data, str):
            data = data.encode("latin-1")
        protocol = self.transport.protocol
        if protocol is not None:
            asyncio.get_running_loop().call_soon(protocol.data_received, data)
        await turns()

    async def ask(self, data: bytes) -> list[Frame]:
        """Send bytes and return the frames that come back."""
        await self.send(data)
        return self.frames()

    def frames(self) -> list[Frame]:
        """Return the frames received since this was last called."""
        data, self.transport.output = self.transport.output, b""
        return list(frames_in(data))

    async def half_close(self) -> None:
        """Send no more, as a client does that closes its connection."""

        def eof() -> None:
            protocol = self.transport.protocol
            if protocol is not None and not protocol.eof_received():
                self.transport.close()

        asyncio.get_running_loop().call_soon(eof)
        await turns()
