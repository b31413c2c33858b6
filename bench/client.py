"""Does a server answer, and is the answer right?

A small HTTP/1.1 client for everything that is not load: waiting for the first
response, checking answers, holding idle connections.  Where it is told whom to
trust, it speaks TLS.
"""

from __future__ import annotations

import http.client
import select
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager

from .errors import ServerError
from .process import ServerProcess
from .rows import Request

__all__ = ["await_answer", "check_answer", "free_port", "idle_connections"]

ANSWER_TIMEOUT = 5.0
START_TIMEOUT = 30.0
# How long all idle connections together may take to open; most servers need a second.
OPEN_TIMEOUT = 60.0


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def await_answer(
    server: ServerProcess, port: int, request: Request, trust: ssl.SSLContext | None = None
) -> float:
    """Wait for the first right answer; return the seconds since the server's start.

    Raises ``ServerError`` if the server ends, answers wrongly or never answers.
    """
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        if not server.running():
            raise ServerError(f"did not start: {server.last_words()}")
        try:
            check_answer(port, request, trust)
        except OSError:
            # Not listening yet.  A millisecond is the precision of this row.
            time.sleep(0.001)
            continue
        return time.perf_counter() - server.started_at
    raise ServerError(f"did not answer within {START_TIMEOUT:.0f} s: {server.last_words()}")


def check_answer(port: int, request: Request, trust: ssl.SSLContext | None = None) -> None:
    """Ask once on a connection of its own.  Raises ``ServerError`` or ``OSError``."""
    connection = connect(port, trust)
    try:
        ask(connection, request)
    finally:
        connection.close()


@contextmanager
def idle_connections(port: int, request: Request, count: int) -> Iterator[None]:
    """Hold ``count`` keep-alive connections open, each after one right answer.

    Raises ``ServerError`` if the server closes any of them.
    """
    connections: list[http.client.HTTPConnection] = []
    deadline = time.monotonic() + OPEN_TIMEOUT
    try:
        for opened in range(count):
            if time.monotonic() > deadline:
                raise ServerError(f"took {OPEN_TIMEOUT:.0f} s for {opened} connections")
            connection = connect(port)
            connections.append(connection)
            try:
                ask(connection, request)
            except OSError as error:
                raise ServerError(f"connection {opened + 1} of {count}: {error}") from error
        yield
        lost = count - sum(map(still_open, connections))
        if lost:
            raise ServerError(f"closed {lost} of {count} idle connections")
    finally:
        for connection in connections:
            connection.close()


def connect(port: int, trust: ssl.SSLContext | None = None) -> http.client.HTTPConnection:
    if trust is not None:
        return http.client.HTTPSConnection("127.0.0.1", port, timeout=ANSWER_TIMEOUT, context=trust)
    return http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_TIMEOUT)


def ask(connection: http.client.HTTPConnection, request: Request) -> None:
    try:
        kind = {"content-type": request.content_type} if request.body else {}
        connection.request(request.method, request.path, request.body or None, kind)
        response = connection.getresponse()
        body = response.read()
    except http.client.HTTPException as error:
        # RemoteDisconnected is both this and an OSError: a server that is
        # only half-way up may accept and close.
        if isinstance(error, OSError):
            raise
        raise ServerError(f"answered with something other than HTTP: {error!r}") from error
    if response.status != 200 or not request.accepts(body):
        raise ServerError(
            f"wrong answer to {request.method} {request.path}:"
            f" status {response.status}, {len(body)} bytes"
        )


def still_open(connection: http.client.HTTPConnection) -> bool:
    # http.client drops the socket of a connection that may not be kept alive.
    # A readable idle socket is one that the server closed.
    if connection.sock is None:
        return False
    poll = select.poll()
    poll.register(connection.sock, select.POLLIN)
    return not poll.poll(0)
