"""The PROXY protocol: every case whole, byte by byte, and cut at random."""

from __future__ import annotations

import ipaddress
import random
import socket
from collections.abc import Iterator

import pytest

from tidegate.errors import BadRequest
from tidegate.wire.proxy import MAX_HEADER_SIZE, ClientTls, ProxyHeader, read_proxy_header

SIGNATURE = bytes.fromhex("0d0a0d0a000d0a515549540a")
REST = b"GET / HTTP/1.1\r\n"

IPV4 = socket.inet_aton("192.0.2.1") + socket.inet_aton("198.51.100.7") + b"\xdc\x04\x01\xbb"
IPV6 = b"".join(
    (
        ipaddress.IPv6Address("2001:db8::1").packed,
        ipaddress.IPv6Address("2001:db8::2").packed,
        b"\xff\xff\x00\x50",
    )
)
UNIX = b"/run/client.sock".ljust(108, b"\0") + b"/run/proxy.sock".ljust(108, b"\0")
NAMELESS = bytes(108) + b"/run/proxy.sock".ljust(108, b"\0")

FOUR = ProxyHeader(known=True, client=("192.0.2.1", 56324), server=("198.51.100.7", 443))


def binary(family: int, content: bytes, command: int = 0x21) -> bytes:
    """Return a header of version 2."""
    return SIGNATURE + bytes((command, family)) + len(content).to_bytes(2, "big") + content


def value(kind: int, content: bytes) -> bytes:
    return bytes((kind,)) + len(content).to_bytes(2, "big") + content


def four(*values: bytes) -> bytes:
    """Return a header for IPv4 with more than the addresses."""
    return binary(0x11, IPV4 + b"".join(values))


def tls(client: int, verified: int, *values: bytes) -> bytes:
    return value(0x20, bytes((client,)) + verified.to_bytes(4, "big") + b"".join(values))


def told(**more: object) -> ProxyHeader:
    made = ProxyHeader(known=True, client=FOUR.client, server=FOUR.server)
    for name, content in more.items():
        setattr(made, name, content)
    return made


def crc32c(data: bytes) -> int:
    """Return the sum bit by bit, as RFC 3720 appendix B.4 draws it."""
    value = 0xFFFFFFFF
    for byte in data:
        for bit in range(8):
            out = (value ^ byte >> bit) & 1
            value = value >> 1 ^ (0x82F63B78 if out else 0)
    return value ^ 0xFFFFFFFF


def summed(*values: bytes) -> bytes:
    blank = four(value(0x03, bytes(4)), *values)
    return blank[:31] + crc32c(blank).to_bytes(4, "big") + blank[35:]


GOOD = {
    "TCP4": (b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n", FOUR),
    "TCP6": (
        b"PROXY TCP6 2001:DB8::1 2001:db8:0::2 65535 80\r\n",
        ProxyHeader(known=True, client=("2001:db8::1", 65535), server=("2001:db8::2", 80)),
    ),
    "UNKNOWN": (b"PROXY UNKNOWN\r\n", ProxyHeader()),
    "UNKNOWN with addresses": (
        b"PROXY UNKNOWN ffff::1 ffff::1 65535 65535\r\n",
        ProxyHeader(),
    ),
    "port 0": (
        b"PROXY TCP4 192.0.2.1 192.0.2.2 0 0\r\n",
        ProxyHeader(known=True, client=("192.0.2.1", 0), server=("192.0.2.2", 0)),
    ),
    "IPv4": (binary(0x11, IPV4), FOUR),
    "IPv4, datagrams": (binary(0x12, IPV4), FOUR),
    "IPv6": (
        binary(0x21, IPV6),
        ProxyHeader(known=True, client=("2001:db8::1", 65535), server=("2001:db8::2", 80)),
    ),
    "Unix": (
        binary(0x31, UNIX),
        ProxyHeader(
            known=True, client=("/run/client.sock", None), server=("/run/proxy.sock", None)
        ),
    ),
    "Unix, nameless": (
        binary(0x31, NAMELESS),
        ProxyHeader(known=True, server=("/run/proxy.sock", None)),
    ),
    "LOCAL": (binary(0x00, b"", 0x20), ProxyHeader(local=True)),
    "LOCAL, whatever it holds": (binary(0xFF, b"\xff" * 9, 0x20), ProxyHeader(local=True)),
    "no family": (binary(0x00, b"\xff" * 9), ProxyHeader()),
    "nothing": (four(value(0x04, bytes(20))), FOUR),
    "ALPN": (four(value(0x01, b"h2")), told(alpn=b"h2")),
    "authority": (four(value(0x02, "köln.example".encode())), told(authority="köln.example")),
    "unique id": (four(value(0x05, bytes(128))), told(unique_id=bytes(128))),
    "unknown value": (four(value(0xEA, b"\x01vpce-1")), FOUR),
    "TLS": (
        four(tls(1, 0, value(0x21, b"TLSv1.3"), value(0x23, b"TLS_AES_128_GCM_SHA256"))),
        told(tls=ClientTls("TLSv1.3", "TLS_AES_128_GCM_SHA256")),
    ),
    "certificate": (
        four(tls(3, 0, value(0x22, b"me"), value(0x28, b"\x30\x00"))),
        told(tls=ClientTls(shown=True, common_name="me", certificate=b"\x30\x00")),
    ),
    "certificate of the session": (
        four(tls(5, 0, value(0x22, b"me"))),
        told(tls=ClientTls(shown=True, common_name="me")),
    ),
    "bad certificate": (
        four(tls(3, 10, value(0x22, b"me"))),
        told(tls=ClientTls(shown=True, error=10, common_name="me")),
    ),
    "a name nobody has shown": (four(tls(1, 1, value(0x22, b"me"))), told(tls=ClientTls())),
    "no TLS": (four(tls(0, 0)), FOUR),
    "checksum": (summed(value(0x01, b"h2")), told(alpn=b"h2")),
    "checksum, last": (summed(), FOUR),
}

BAD = {
    "no header": (REST, "does not begin"),
    "lower case": (b"proxy TCP4", "does not begin"),
    "no space": (b"PROXYTCP4", "does not begin"),
    "bare LF": (b"PROXY UNKNOWN\n" + b"x" * 200, "does not end"),
    "too long": (b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n", "does not end"),
    "other bytes": (b"PROXY TCP4 \xff\r\n", "ASCII"),
    "family": (b"PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n", "family"),
    "no family": (b"PROXY \r\n", "family"),
    "two spaces": (b"PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n", "family"),
    "no ports": (b"PROXY TCP4 192.0.2.1 192.0.2.2\r\n", "family"),
    "more words": (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n", "family"),
    "address": (b"PROXY TCP4 192.0.2.256 192.0.2.2 1 2\r\n", "none of TCP4"),
    "wrong family": (b"PROXY TCP4 ::1 ::1 1 2\r\n", "none of TCP4"),
    "wrong family, too": (b"PROXY TCP6 192.0.2.1 192.0.2.1 1 2\r\n", "none of TCP6"),
    "leading zero": (b"PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n", "port"),
    "port": (b"PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n", "port"),
    "sign": (b"PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n", "port"),
    "version 1 in binary": (binary(0x11, IPV4, 0x11), "version"),
    "command": (binary(0x11, IPV4, 0x22), "version"),
    "transport": (binary(0x13, IPV4), "family"),
    "binary family": (binary(0x41, IPV4), "family"),
    "short": (binary(0x11, IPV4[:-1]), "too short"),
    "long": (binary(0x11, bytes(MAX_HEADER_SIZE)), "longer"),
    "cut value": (four(b"\x01\x00\x03h2"), "cut off"),
    "cut value head": (four(b"\x01\x00"), "cut off"),
    "cut kind": (four(b"\x01"), "cut off"),
    "twice": (four(value(0x02, b"a"), value(0x02, b"b")), "twice"),
    "not UTF-8": (four(value(0x02, b"\xff")), "not a text"),
    "control": (four(value(0x02, b"a\nb")), "not a text"),
    "unique id": (four(value(0x05, bytes(129))), "unique id"),
    "sum": (four(value(0x03, bytes(4))), "checksum"),
    "size of the sum": (four(value(0x03, bytes(5))), "checksum"),
    "short TLS": (four(value(0x20, bytes(4))), "TLS"),
    "cut value in TLS": (four(tls(1, 0, b"\x21\x00\x09TLSv1.3")), "cut off"),
}


def cuts(size: int) -> Iterator[list[int]]:
    """Yield ways to cut so many bytes: where pieces end."""
    yield [size]
    yield list(range(1, size + 1))
    chance = random.Random(size)
    for _ in range(5):
        yield sorted({*chance.sample(range(1, size), min(4, size - 1)), size})


@pytest.mark.parametrize("name", GOOD)
def test_a_header_is_read_however_it_is_cut(name: str) -> None:
    data, expected = GOOD[name]
    for ends in cuts(len(data)):
        for end in ends[:-1]:
            assert read_proxy_header(data[:end]) is None
        assert read_proxy_header(data) == (expected, len(data))
    assert read_proxy_header(data + REST) == (expected, len(data))


def is_refused(data: bytes, ends: list[int]) -> bool:
    try:
        for end in ends:
            assert read_proxy_header(data[:end]) is None
        return False
    except BadRequest:
        return True


@pytest.mark.parametrize("name", BAD)
def test_what_is_not_exactly_a_header_is_refused_however_it_is_cut(name: str) -> None:
    data, words = BAD[name]
    with pytest.raises(BadRequest, match=words):
        read_proxy_header(data)
    for ends in cuts(len(data)):
        assert is_refused(data, ends)


def test_nothing_is_waited_for_that_cannot_become_a_header() -> None:
    assert read_proxy_header(b"") is None
    for begin in (b"P", b"PROXY", b"PROXY ", b"\r", SIGNATURE, SIGNATURE + b"\x21\x11\x00"):
        assert read_proxy_header(begin) is None
    for begin in (b"G", b"PROXZ", b"\n", b"\r\r", SIGNATURE[:-1] + b"\r", b"PROXY\r\n"):
        with pytest.raises(BadRequest):
            read_proxy_header(begin)


def test_the_checksum_is_the_one_of_the_standard() -> None:
    # RFC 3720 appendix B.4: 32 bytes of zero.
    assert crc32c(bytes(32)) == 0x8A9136AA
