"""Counts the objects of ours that live."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from tidegate.exchange.http import HttpExchange
from tidegate.exchange.websocket import WebSocketExchange
from tidegate.net.http1 import Http1Connection
from tidegate.net.http2 import Http2Connection
from tidegate.net.http3 import Http3Connection
from tidegate.net.stream import MultiplexedStream
from tidegate.net.websocket import WebSocketConnection, WebSocketSession
from tidegate.wire.http1.core import Http1Core
from tidegate.wire.http2.core import Http2Core
from tidegate.wire.http3.core import Http3Core
from tidegate.wire.http3.reading import RequestReader
from tidegate.wire.websocket.core import WebSocketCore

KINDS = (
    *(Http1Connection, Http1Core, HttpExchange),
    *(Http2Connection, Http2Core, MultiplexedStream),
    *(Http3Connection, Http3Core, RequestReader),
    *(WebSocketConnection, WebSocketSession, WebSocketCore, WebSocketExchange),
)


def living() -> Counter[str]:
    return Counter(type(one).__name__ for one in gc.get_objects() if isinstance(one, KINDS))


@contextmanager
def nothing_left() -> Iterator[None]:
    """Fail if objects of ours made in the block outlive it without the collector's help."""
    gc.disable()
    # What was before is not looked at; there may be much of it.
    gc.freeze()
    try:
        yield
        left = living()
    finally:
        gc.unfreeze()
        gc.enable()
    assert not left, left
