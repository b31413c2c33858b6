"""What a supervisor knows of all its workers: figures, and whom to ask for more.

Counts must not fall when a worker ends, so the last ones of each are kept: a
worker tells them now and then, and when it stops.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from ..errors import ConfigError, TidegateError
from .channel import Channel, ChannelClosed
from .config import Config
from .control import Control
from .desk import PATIENCE, Desk, performed
from .metrics.counts import Samples
from .metrics.exposition import added, lasting
from .observer import Call

__all__ = ["Fleet"]


class Fleet:
    """Asks the workers behind ``channels``, by process id; use it in the supervisor's loop.

    ``orders`` are what the supervisor can do when the control socket asks.
    """

    def __init__(
        self,
        config: Config,
        channels: Callable[[], Mapping[int, Channel]],
        orders: Mapping[str, Call],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._channels = channels
        self._told: dict[int, Samples] = {}  # by process id
        self._gone: Samples = {}  # the last counts of those that have ended
        self._restarts = 0
        here = {name: partial(performed, self._loop, order) for name, order in orders.items()}
        self._desk = Desk(self._everybody, here, self._more)
        self.control = Control(config, self._desk)

    def answer(self, pid: int, name: str, args: dict[str, Any]) -> Any:
        """Answer a worker that tells its ``samples``, or wants the ``samples_of_all``.

        Raises ``ConfigError`` for anything else.
        """
        if name == "samples":
            self._told[pid] = args
            return True
        if name == "samples_of_all":
            return self._desk.samples()
        raise ConfigError(f"there is no call {name!r}")

    def ended(self, pid: int, *, replaced: bool) -> None:
        """A worker has ended: keep what it has counted."""
        self._gone = added([self._gone, lasting(self._told.pop(pid, {}))])
        self._restarts += replaced

    def _more(self) -> Samples:
        return {**self._gone, "tidegate_worker_restarts_total": self._restarts}

    async def _everybody(self, name: str, args: dict[str, Any]) -> list[Any]:
        """Ask every worker; those that do not answer are left out."""
        if asyncio.get_running_loop() is self._loop:
            return await self._ask(name, args)
        asked = asyncio.run_coroutine_threadsafe(self._ask(name, args), self._loop)
        return await asyncio.wrap_future(asked)

    async def _ask(self, name: str, args: dict[str, Any]) -> list[Any]:
        channels = dict(self._channels())
        asked = [
            asyncio.wait_for(channel.call(name, args), PATIENCE) for channel in channels.values()
        ]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        found = []
        refused: TidegateError | None = None
        for pid, answer in zip(channels, answers, strict=True):
            if not isinstance(answer, BaseException):
                found.append(answer)
                if name == "samples":
                    self._told[pid] = answer
            elif name == "samples":
                # It is blocked, not gone: its counts must not fall.
                found.append(lasting(self._told.get(pid, {})))
            elif isinstance(answer, TidegateError) and not isinstance(answer, ChannelClosed):
                refused = answer
        if refused is not None and not found:
            raise refused
        return found
