"""What a request must say to become a socket."""

from __future__ import annotations

import base64

import pytest

from tidegate.errors import BadRequest
from tidegate.http import Head
from tidegate.testing.websocket import KEY, handshake
from tidegate.wire.http1.head import parse_head
from tidegate.wire.http1.limits import Http1Limits
from tidegate.wire.websocket.handshake import accept_key, read_handshake, wants_websocket


def head_of(request: bytes) -> Head:
    return parse_head(request.removesuffix(b"\r\n\r\n"), Http1Limits())


def head(method: str = "GET", version: str = "1.1", fields: str = "") -> Head:
    return head_of(f"{method} / HTTP/{version}\r\nHost: a\r\n{fields}\r\n".encode("latin-1"))


def test_the_accept_of_the_standard_is_computed() -> None:
    # RFC 6455 section 1.3.
    assert accept_key(KEY.encode()) == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


UPGRADE = "Connection: Upgrade\r\nUpgrade: websocket\r\n"


@pytest.mark.parametrize(
    "fields",
    [
        UPGRADE,
        "Connection: upgrade\r\nUpgrade: WebSocket\r\n",
        "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n",
        "Connection: Upgrade\r\nUpgrade: h2c, websocket\r\n",
        "Connection: Upgrade\r\nUpgrade: h2c\r\nUpgrade: websocket\r\n",
        UPGRADE + "Content-Length: 0\r\n",
    ],
)
def test_a_request_may_want_a_socket(fields: str) -> None:
    assert wants_websocket(head(fields=fields))


@pytest.mark.parametrize(
    ("method", "version", "fields"),
    [
        ("GET", "1.1", ""),
        ("GET", "1.1", "Upgrade: websocket\r\n"),
        ("GET", "1.1", "Connection: Upgrade\r\n"),
        ("GET", "1.1", "Connection: Upgrade\r\nUpgrade: h2c\r\n"),
        ("GET", "1.1", "Connection: Upgrade\r\nUpgrade: websockets\r\n"),
        ("GET", "1.0", UPGRADE),
        ("POST", "1.1", UPGRADE),
        ("HEAD", "1.1", UPGRADE),
        ("GET", "1.1", UPGRADE + "Content-Length: 1\r\n"),
        ("GET", "1.1", UPGRADE + "Transfer-Encoding: chunked\r\n"),
    ],
)
def test_any_other_request_does_not_want_one(method: str, version: str, fields: str) -> None:
    assert not wants_websocket(head(method, version, fields))


def test_a_handshake_is_read() -> None:
    lines = (
        "Sec-WebSocket-Protocol: chat, superchat\r\n"
        "Sec-WebSocket-Extensions: permessage-deflate\r\n"
        "sec-websocket-protocol:v2.chat\r\n"
        "Sec-WebSocket-Extensions: x; y=1\r\n"
    )
    found = read_handshake(head_of(handshake(headers=lines)))
    assert found.key == KEY.encode()
    assert found.subprotocols == ["chat", "superchat", "v2.chat"]
    assert found.extensions == b"permessage-deflate,x; y=1"


def test_a_handshake_may_offer_nothing() -> None:
    found = read_handshake(head_of(handshake()))
    assert (found.subprotocols, found.extensions) == ([], b"")
    found = read_handshake(head_of(handshake(headers="Sec-WebSocket-Protocol: ,, \r\n")))
    assert found.subprotocols == []


@pytest.mark.parametrize("version", ["8", "0", "14", "13, 8", "13.0", "", "013"])
def test_another_version_is_answered_with_426(version: str) -> None:
    with pytest.raises(BadRequest) as caught:
        read_handshake(head_of(handshake(version=version)))
    assert caught.value.status == 426


def test_a_version_that_is_missing_or_given_twice_is_answered_with_426() -> None:
    line = b"Sec-WebSocket-Version: 13\r\n"
    for replacement in (b"", line + line, line + b"Sec-WebSocket-Version: 8\r\n"):
        with pytest.raises(BadRequest) as caught:
            read_handshake(head_of(handshake().replace(line, replacement)))
        assert caught.value.status == 426


@pytest.mark.parametrize(
    "key",
    [
        "",
        "short",
        base64.b64encode(bytes(15)).decode(),
        base64.b64encode(bytes(17)).decode(),
        KEY[:-1],
        KEY[:-2],
        KEY + "=",
        KEY[:10] + " " + KEY[10:],
        KEY[:10] + "*" + KEY[11:],
        "\xe4" * 24,
    ],
)
def test_a_key_that_is_not_16_bytes_is_answered_with_400(key: str) -> None:
    with pytest.raises(BadRequest) as caught:
        read_handshake(head_of(handshake(key=key)))
    assert caught.value.status == 400


def test_a_key_that_is_missing_or_given_twice_is_answered_with_400() -> None:
    line = f"Sec-WebSocket-Key: {KEY}\r\n".encode()
    for replacement in (b"", line + line):
        with pytest.raises(BadRequest) as caught:
            read_handshake(head_of(handshake().replace(line, replacement)))
        assert caught.value.status == 400


def test_the_version_is_judged_before_the_key() -> None:
    with pytest.raises(BadRequest) as caught:
        read_handshake(head_of(handshake(version="7", key="?")))
    assert caught.value.status == 426


def test_over_http2_and_http3_there_is_no_key() -> None:
    # RFC 8441 section 5: neither key nor accept.
    request = handshake().replace(f"Sec-WebSocket-Key: {KEY}\r\n".encode(), b"")
    found = read_handshake(head_of(request), keyed=False)
    assert found.key == b""
    with pytest.raises(BadRequest):
        read_handshake(head_of(request.replace(b": 13\r\n", b": 12\r\n")), keyed=False)
