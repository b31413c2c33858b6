"""How long may a request take?"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import KW_ONLY, dataclass
from typing import Literal

from ...asgi import Application, Message, Receive, Scope, Send
from ...errors import ConfigError
from ..problems import problem_response
from .answer import answer
from .settings import checked_number

__all__ = ["Timeout"]


@dataclass(frozen=True)
class Timeout:
    """Cancels an application that takes more than ``seconds`` for a response.

    If it has not begun to respond the client gets 504; otherwise
    ``TimeoutError`` is raised and the server breaks the response off, so that
    nobody takes it for whole.  ``until="start"`` only waits for the beginning,
    so streams may last.  ``retry_after`` (seconds) is told with the 504.
    Sockets are not limited.  Raises ``ConfigError``.
    """

    seconds: float
    _: KW_ONLY
    until: Literal["start", "end"] = "end"
    retry_after: int | None = None

    def __post_init__(self) -> None:
        checked_number("Timeout: seconds", self.seconds, 0.001)
        if self.until not in ("start", "end"):
            raise ConfigError(f"Timeout: until is {self.until!r}; write 'start' or 'end'")
        if self.retry_after is not None:
            checked_number("Timeout: retry_after", self.retry_after, 0, whole=True)

    def __call__(self, app: Application) -> Application:
        """Return ``app`` with this around it."""
        seconds, lifts = self.seconds, self.until == "start"
        retry = [] if self.retry_after is None else [(b"retry-after", b"%d" % self.retry_after)]
        detail = f"no response within {seconds:g} s"
        refusal = problem_response(504, detail=detail, headers=retry)

        async def timed(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            started = False

            def send_noting(message: Message) -> Awaitable[None]:
                nonlocal started
                if not started and message["type"] == "http.response.start":
                    started = True
                    if lifts and not limit.expired():
                        limit.reschedule(None)
                return send(message)

            limit = asyncio.timeout(seconds)
            try:
                async with limit:
                    await app(scope, receive, send_noting)
            except TimeoutError:
                if not limit.expired():
                    raise  # the application's own
                if started:
                    where = f"{scope['method']} {scope['path']}"
                    raise TimeoutError(f"{where} took more than {seconds:g} s") from None
                await answer(scope, receive, send, refusal)

        return timed
