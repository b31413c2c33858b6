"""Clients that ask all the time, and count what goes wrong."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .process import SECONDS


class Load:
    """What the clients saw: answers, by content, and failures."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.answers: dict[bytes, int] = {}
        self.failures: list[str] = []
        self._over = threading.Event()
        self._news = threading.Condition()
        kinds = (self._keep_alive, self._keep_alive, self._anew, self._slow)
        self._threads = [threading.Thread(target=self._until_over, args=(kind,)) for kind in kinds]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(SECONDS)

    def wait_for(self, met: Callable[[], bool]) -> None:
        """Wait until the answers are so."""
        with self._news:
            assert self._news.wait_for(met, SECONDS), (self.answers, self.failures)

    def total(self) -> int:
        return sum(self.answers.values())

    def _until_over(self, kind: Callable[[], None]) -> None:
        while not self._over.is_set():
            try:
                kind()
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(f"{kind.__name__}: {error!r}")
                self._over.wait(0.05)

    def _keep_alive(self) -> None:
        """One connection for many requests, opened again when the server said that it closes."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        while not self._over.is_set():
            self._ask(connection, "/")
        connection.close()

    def _anew(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        self._ask(connection, "/")
        connection.close()

    def _slow(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        self._ask(connection, "/slow")
        connection.close()

    def _ask(self, connection: http.client.HTTPConnection, path: str) -> None:
        connection.request("GET", path)
        response = connection.getresponse()
        content = response.read()
        with self._news:
            if response.status != 200:
                self.failures.append(f"{path}: {response.status}")
            self.answers[content] = self.answers.get(content, 0) + 1
            self._news.notify_all()


@contextmanager
def load(port: int) -> Iterator[Load]:
    """Run the clients inside the block."""
    clients = Load(port)
    clients.start()
    try:
        yield clients
    finally:
        clients.stop()
