"""One request over ASGI: joins a call in a thread, ``receive`` and ``send``."""

from __future__ import annotations

import asyncio
import io
import logging
import os
from collections import deque
from collections.abc import Iterable
from urllib.parse import quote, unquote

from ...asgi import Receive, Scope, Send
from ...errors import ClientDisconnected
from ..mailbox import Mailbox
from .body import Body
from .environ import Environ, add_client, add_headers, add_server, add_target, early_links
from .reply import FilePart, Reply

__all__ = ["Session", "read_scope"]

logger = logging.getLogger("tidegate.error")

_FILE = "http.response.zerocopysend"
_EARLY_HINT = "http.response.early_hint"


class Session:
    """The loop's side of one request.  ``open``, then ``run`` or ``answer``."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, mailbox: Mailbox) -> None:
        offered = scope.get("extensions") or {}
        self.reply = Reply(self._wake, _FILE in offered)
        self._takes_hints = _EARLY_HINT in offered
        self._hints: deque[list[bytes]] = deque()  # links not sent yet
        self._scope = scope
        self._receive = receive
        self._send = send
        self._mailbox = mailbox
        self._news = asyncio.Event()
        self._body: Body | None = None  # None if there is no content
        self._listening: asyncio.Task[None] | None = None  # a receive() in progress
        self._heard = False  # content came that is not the last
        self._held_back = False  # the client waits for our word before it sends content
        self._complete = False  # the response is
        self._gone = False  # nobody listens
        self._abandoned = False  # nobody relays

    def open(self, environ: Environ) -> Body | io.BytesIO:
        """Return the content of the request, for the thread to read."""
        if self._takes_hints:
            environ["wsgi.early_hints"] = self._early_hints
        length = environ.get("CONTENT_LENGTH")
        if length is None:
            names = [name.lower() for name, _ in self._scope["headers"]]
            # HTTP/2 and later need not say that there is content.
            has_content = (
                b"transfer-encoding" in names or self._scope.get("http_version", "1.1") >= "2"
            )
        else:
            has_content = length != "0"
        if not has_content:
            return io.BytesIO()
        self._held_back = "HTTP_EXPECT" in environ
        self._body = Body(self._want)
        return self._body

    async def answer(self, status: int, text: str, more: Iterable[tuple[bytes, bytes]]) -> None:
        """Answer in the application's place."""
        headers = [(b"content-type", b"text/plain; charset=utf-8"), *more]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": text.encode()})

    async def run(self) -> None:
        """Relay the response until the call is over; raise what it raised."""
        try:
            while not await self._relay():
                await self._news.wait()
                self._news.clear()
        finally:
            self._abandoned = True
            self._lose()
            # From now on every piece of news gets there.
            self._on_news()
            if self._listening is not None:
                self._listening.cancel()

    async def _relay(self) -> bool:
        """Send what there is; True if the call is over."""
        start, chunks, file, ended, over, error = self.reply.take()
        while self._hints:
            # Given before the head that was just taken.
            links = self._hints.popleft()
            if not (self._gone or self._complete):
                await self._send({"type": _EARLY_HINT, "links": links})
        if start is not None and not self._gone:
            status, _, headers = start
            await self._send({"type": "http.response.start", "status": status, "headers": headers})
        if (start is not None or chunks or (ended and not self._complete)) and not self._gone:
            self._complete = ended
            if chunks or file is None:
                body, more = b"".join(chunks), file is not None or not ended
                await self._send({"type": "http.response.body", "body": body, "more_body": more})
        if file is not None:
            await self._send_file(file)
        if error is not None and not (self._gone and isinstance(error, ClientDisconnected)):
            raise error
        if not (over or self._complete or self._heard or self._held_back):
            # A client that leaves must not keep the thread; but one that waits would
            # be told to go on by a receive(), which is for the application to say.
            self._listen()
        return over

    async def _send_file(self, part: FilePart) -> None:
        """Have the server send the last of the content."""
        with io.FileIO(part.descriptor) as file:
            if self._gone:
                return
            event = {"type": _FILE, "file": file, "offset": part.offset, "count": part.size}
            await self._send(event)

    # -- from the thread -------------------------------------------------------

    def _wake(self) -> bool:
        return self._mailbox.post(self._on_news)

    def _early_hints(self, headers: Iterable[tuple[str, str]]) -> None:
        """Send 103 (Early Hints): what ``environ["wsgi.early_hints"]`` is."""
        links = early_links(headers)
        if links:
            self._hints.append(links)
            self._mailbox.post(self._news.set)

    def _want(self, body: Body) -> bool:
        return self._mailbox.post(self._listen)

    # -- in the loop -----------------------------------------------------------

    def _on_news(self) -> None:
        self._news.set()
        if self._abandoned:
            *_, file, _, _, error = self.reply.take()
            if file is not None:
                os.close(file.descriptor)
            if error is not None and not isinstance(error, ClientDisconnected):
                logger.error("Exception in a WSGI application", exc_info=error)

    def _listen(self) -> None:
        """See to it that a ``receive`` is in progress."""
        if self._listening is None or self._listening.done():
            self._listening = asyncio.get_running_loop().create_task(self._hear())

    async def _hear(self) -> None:
        """Receive one piece of content; after the last, wait for the client to leave."""
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._lose()
                return
            more = message.get("more_body", False)
            if self._body is not None:
                self._body.arrived(message.get("body", b""), not more)
            if more:
                self._heard = True
                return

    def _lose(self) -> None:
        """Nobody listens: let the thread know."""
        self._gone = True
        self.reply.lost()
        if self._body is not None:
            self._body.lost()


def read_scope(environ: Environ, scope: Scope) -> Environ:
    """Add to the template what the scope says.  Raises ``BadRequest``."""
    path = scope["path"]
    raw_path = scope.get("raw_path")
    if raw_path is None or unquote(raw_path.decode("latin-1"), "utf-8", "replace") != path:
        # Somebody on the way here has changed the one, or never had the other.
        raw_path = quote(path).encode()
    query = scope.get("query_string", b"")
    target = raw_path + b"?" + query if query else raw_path
    add_target(environ, target, raw_path, query, scope.get("root_path", ""))
    environ["REQUEST_METHOD"] = scope["method"]
    environ["SERVER_PROTOCOL"] = "HTTP/" + scope.get("http_version", "1.1")
    add_server(environ, scope.get("scheme", "http"), scope.get("server"))
    add_client(environ, scope.get("client"))
    add_headers(environ, scope["headers"])
    environ["asgi.scope"] = scope
    return environ
