"""A supervisor's view of its workers: nothing counted is lost, nobody blocked hides the rest."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tidegate.errors import ConfigError, TidegateError
from tidegate.server import fleet as module
from tidegate.server.channel import Channel
from tidegate.server.config import Config
from tidegate.server.fleet import Fleet
from tidegate.server.metrics.counts import labelled

from .test_observing import asking

REQUESTS = labelled("tidegate_requests_total", method="GET", status="2xx")
BUSY = "tidegate_requests_in_progress"
RESTARTS = "tidegate_worker_restarts_total"


class Workers:
    """Workers at the other ends of lines, and the fleet that they are."""

    def __init__(self) -> None:
        self.lines: dict[int, Channel] = {}  # the supervisor's ends
        self.ends: dict[int, Channel] = {}  # the workers' ends
        self.blocked: set[int] = set()
        self.orders: list[dict[str, Any]] = []
        self.fleet: Fleet

    def order(self, args: dict[str, Any]) -> bool:
        self.orders.append(args)
        return True

    async def add(self, pid: int, requests: int) -> None:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()

        async def worker(name: str, args: dict[str, Any]) -> Any:
            if pid in self.blocked:
                await loop.create_future()
            if name == "samples":
                return {REQUESTS: requests, BUSY: 1}
            if name == "status":
                return {"pid": pid, "age": float(pid)}
            if name == "cancel":
                return args.get("id") == str(pid)
            raise TidegateError(f"{name} is not for me")

        def answer(name: str, args: dict[str, Any]) -> Any:
            return self.fleet.answer(pid, name, args)

        self.ends[pid] = Channel(worker, lambda: None)
        self.lines[pid] = Channel(answer, lambda: None)
        await loop.create_connection(lambda: self.ends[pid], sock=theirs)
        await loop.create_connection(lambda: self.lines[pid], sock=ours)

    async def samples(self) -> dict[str, float]:
        """Ask as a worker does that is scraped."""
        found: dict[str, float] = await self.ends[1].call("samples_of_all")
        return found


@asynccontextmanager
async def workers(**settings: Any) -> AsyncIterator[Workers]:
    made = Workers()
    config = Config("a:b", **settings)
    made.fleet = Fleet(config, lambda: made.lines, {"recycle": made.order})
    await made.add(1, 10)
    await made.add(2, 20)
    made.fleet.control.start()
    try:
        async with asyncio.timeout(20):
            yield made
    finally:
        await asyncio.to_thread(made.fleet.control.stop)
        for each in [*made.lines.values(), *made.ends.values()]:
            each.close()


async def test_a_worker_that_is_scraped_tells_of_all() -> None:
    async with workers() as made:
        found = await made.samples()
        assert (found[REQUESTS], found[BUSY], found[RESTARTS]) == (30, 2, 0)


async def test_counts_of_a_worker_outlive_it() -> None:
    async with workers() as made:
        await made.samples()
        made.lines.pop(2).close()
        made.fleet.ended(2, replaced=True)
        await made.add(3, 1)
        found = await made.samples()
        assert (found[REQUESTS], found[BUSY], found[RESTARTS]) == (31, 2, 1)


async def test_what_a_worker_told_last_is_what_counts() -> None:
    async with workers() as made:
        await made.samples()
        assert await made.ends[2].call("samples", {REQUESTS: 25, BUSY: 5}) is True
        made.lines.pop(2).close()
        made.fleet.ended(2, replaced=False)
        found = await made.samples()
        assert (found[REQUESTS], found[BUSY], found[RESTARTS]) == (35, 1, 0)


async def test_a_worker_that_is_blocked_keeps_its_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    async with workers() as made:
        await made.samples()
        monkeypatch.setattr(module, "PATIENCE", 0.1)
        made.blocked.add(2)
        found = await made.samples()
        assert (found[REQUESTS], found[BUSY]) == (30, 1)


async def test_a_worker_cannot_ask_for_anything_else() -> None:
    async with workers() as made:
        with pytest.raises(TidegateError, match="there is no call 'drain'"):
            await made.ends[1].call("drain")


async def test_the_control_socket_speaks_for_all(tmp_path: Path) -> None:
    path = tmp_path / "control"
    async with workers(control_socket=str(path)) as made, asking(path) as line:
        status = (await line.ask("status"))["ok"]
        assert [worker["pid"] for worker in status["workers"]] == [2, 1]
        assert (status["restarts"], status["orders"]) == (0, ["recycle"])
        assert (await line.ask("samples"))["ok"][REQUESTS] == 30
        assert await line.ask("cancel", id="2") == {"ok": True}
        assert (await line.ask("cancel", id="3"))["error"] == "no request '3' is in flight"
        assert await line.ask("recycle", pid=2) == {"ok": True}
        assert made.orders == [{"pid": 2}]
        # If all of them refuse, the reason is the answer.
        assert (await line.ask("certificates"))["error"] == "certificates is not for me"


async def test_an_order_that_cannot_be_followed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "control"

    def refuse(args: dict[str, Any]) -> bool:
        raise ConfigError("there is no worker 7")

    fleet = Fleet(Config("a:b", control_socket=str(path)), dict, {"recycle": refuse})
    fleet.control.start()
    async with asking(path) as line:
        assert (await line.ask("recycle"))["error"] == "there is no worker 7"
    await asyncio.to_thread(fleet.control.stop)
