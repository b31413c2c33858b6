"""What does a client's next request still know?  A dictionary, kept by a store.

What the cookie holds is the store's affair: the signed content itself
(``SignedCookies``), or a name that cannot be guessed for what the store keeps.
"""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import KW_ONLY, dataclass
from typing import Any, Protocol

import msgspec

from ...asgi import Application, Message, Receive, Scope, Send
from ...errors import AppError, UsageError
from ..headers import Pairs, vary
from .cookies import Cookie, SameSite
from .settings import checked_number

__all__ = ["MemorySessions", "Session", "SessionStore", "Sessions"]

_STARTS = ("http.response.start", "websocket.accept", "websocket.http.response.start")

# RFC 6265 section 6.1: what browsers must be able to keep.
_MAX_COOKIE = 4096


class SessionStore(Protocol):
    """Keeps the content of sessions; ``token`` is what the cookie holds."""

    async def load(self, token: str, max_age: int) -> bytes | None:
        """Return what was saved, None if there is nothing, or nothing so young (seconds)."""
        ...

    async def save(self, token: str | None, content: bytes, max_age: int) -> str:
        """Keep ``content`` for ``max_age`` seconds; return the token to ask for it with.

        ``token`` is what it was saved under before, None for a new session.
        """
        ...

    async def delete(self, token: str) -> None:
        """Forget what was saved."""
        ...


class MemorySessions:
    """Keeps sessions in this process: for tests, and for a single worker.

    The ``max_sessions`` used last are kept.  ``clock`` returns seconds.
    """

    def __init__(
        self, max_sessions: int = 10_000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        checked_number("MemorySessions: max_sessions", max_sessions, 1, whole=True)
        self._max_sessions = max_sessions
        self._clock = clock
        self._kept: OrderedDict[str, tuple[float, bytes]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    async def load(self, token: str, max_age: int) -> bytes | None:
        """Return what was saved, if it is not too old."""
        found = self._kept.get(token)
        if found is None:
            return None
        if found[0] <= self._clock():
            del self._kept[token]
            return None
        self._kept.move_to_end(token)
        return found[1]

    async def save(self, token: str | None, content: bytes, max_age: int) -> str:
        """Keep a session, and forget the one that was not used for longest."""
        # A token we do not know was somebody's guess, or ended meanwhile.
        if token is None or token not in self._kept:
            token = secrets.token_urlsafe(32)
        self._kept[token] = (self._clock() + max_age, content)
        self._kept.move_to_end(token)
        if len(self._kept) > self._max_sessions:
            self._kept.popitem(last=False)
        return token

    async def delete(self, token: str) -> None:
        """Forget a session."""
        self._kept.pop(token, None)


class Session(MutableMapping[str, Any]):
    """A dictionary of what JSON can hold, kept from request to request."""

    __slots__ = ("_data", "_loaded", "_over", "accessed", "rotated")

    def __init__(self, content: bytes | None = None) -> None:
        self._data: dict[str, Any] = {} if content is None else msgspec.json.decode(content)
        # As it would be written now: the store may have written it otherwise.
        self._loaded = self.content()
        self._over = False  # the response has begun
        self.accessed = False
        self.rotated = False

    def content(self) -> bytes:
        """Return the session as JSON.  Raises ``TypeError`` for what JSON cannot hold."""
        return msgspec.json.encode(self._data)

    @property
    def changed(self) -> bool:
        """Whether it is not what it was, deep inside too."""
        return self.accessed and (self.rotated or self.content() != self._loaded)

    def rotate(self) -> None:
        """Go on under another token, so that one known to others is worth nothing.

        To be called when somebody logs in (session fixation).
        """
        self._writable()
        self.rotated = True

    def end(self) -> None:
        """Refuse changes from now on: they could not reach the client."""
        self._over = True

    def __getitem__(self, key: str) -> Any:
        self.accessed = True
        return self._data[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._writable()
        self._data[key] = value

    def __delitem__(self, key: str) -> None:
        self._writable()
        del self._data[key]

    def __iter__(self) -> Iterator[str]:
        self.accessed = True
        return iter(self._data)

    def __len__(self) -> int:
        self.accessed = True
        return len(self._data)

    def __repr__(self) -> str:
        # What is in it does not belong into a log.
        return f"<Session of {len(self._data)}>"

    def _writable(self) -> None:
        if self._over:
            raise UsageError("the session cannot be changed after the response has begun")
        self.accessed = True


@dataclass(frozen=True)
class Sessions:
    """Gives every request ``scope["session"]``, kept by ``store``.

    ``max_age`` (seconds) is how long it is kept after its last change;
    ``rolling`` counts from its last use.  ``cookie``, ``path``, ``domain``,
    ``secure`` and ``same_site`` are those of the cookie, which scripts cannot
    read.  Of a socket's session only what changed before it was accepted is
    kept.  Raises ``ConfigError``.
    """

    store: SessionStore
    _: KW_ONLY
    max_age: int = 14 * 24 * 3600
    rolling: bool = False
    cookie: str = "session"
    path: str = "/"
    domain: str | None = None
    secure: bool = True
    same_site: SameSite = "lax"

    def __post_init__(self) -> None:
        checked_number("Sessions: max_age", self.max_age, 1, whole=True)
        self._cookie()

    def _cookie(self) -> Cookie:
        return Cookie(
            "Sessions",
            self.cookie,
            path=self.path,
            domain=self.domain,
            secure=self.secure,
            same_site=self.same_site,
        )

    def __call__(self, app: Application) -> Application:
        """Return ``app`` with this around it."""
        cookie = self._cookie()

        async def sessions(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] not in ("http", "websocket"):
                await app(scope, receive, send)
                return
            token = cookie.read(scope)
            content = None
            if token is not None:
                content = await self.store.load(token, self.max_age)
            # A token that opens nothing is not one to go on with.
            token = None if content is None else token
            session = scope["session"] = Session(content)

            async def send_kept(message: Message) -> None:
                if message["type"] in _STARTS:
                    if session.accessed:
                        headers = list(message.get("headers") or ())
                        await self._keep(session, token, cookie, headers)
                        message = {**message, "headers": headers}
                    session.end()
                await send(message)

            await app(scope, receive, send_kept)

        return sessions

    async def _keep(
        self, session: Session, token: str | None, cookie: Cookie, headers: Pairs
    ) -> None:
        """Bring store and client up to date."""
        vary(headers, b"Cookie")
        if not session:
            if token is not None:
                await self.store.delete(token)
                headers.append(cookie.field("", 0))
            return
        if not (session.changed or self.rolling):
            return
        if token is not None and session.rotated:
            await self.store.delete(token)
            token = None
        token = await self.store.save(token, session.content(), self.max_age)
        added = cookie.field(token, self.max_age)
        if len(added[1]) > _MAX_COOKIE:
            raise AppError(
                f"the cookie of the session has {len(added[1])} bytes, and browsers keep "
                f"{_MAX_COOKIE}; keep less in it, or use a store that is not the cookie"
            )
        headers.append(added)
