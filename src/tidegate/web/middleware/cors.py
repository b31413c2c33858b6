"""Which other origins may read our answers?  The server's half of the Fetch standard's CORS.

It only tells browsers; whoever sends a request outside of one is not stopped.
So it never refuses an ordinary request, and it marks every response that
passes, errors too: it belongs outermost.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ...asgi import Application, Receive, Scope, Send
from ...errors import ConfigError
from ...http import is_token
from ..headers import Pairs, vary
from ..problems import problem_response
from .answer import Response, answer
from .fields import at_start, value_of
from .settings import checked_number, checked_origins, checked_texts

__all__ = ["CORS"]

_ANY = b"*"

# Safelisted for any origin, but Content-Type only with a form's types: a page
# that may send JSON at all needs it.
_ALWAYS_ALLOWED = ("accept", "accept-language", "content-language", "content-type")

_CREDENTIALS = (b"access-control-allow-credentials", b"true")
_ORIGIN = b"access-control-allow-origin"
_REPLACED = frozenset(
    (_ORIGIN, _CREDENTIALS[0], b"access-control-expose-headers"),
)


@dataclass(frozen=True, kw_only=True)
class CORS:
    """Lets pages of other origins use the application.

    ``allow_origins`` are origins such as ``https://a.example``, ``"*"`` for all
    of them, or ``"null"``; ``allow_origin_regex`` must match a whole origin.
    ``allow_methods`` and ``allow_headers`` may be ``["*"]``: all that is asked
    for is allowed, with credentials too.  ``max_age`` (seconds) is how long a
    browser may remember the answer to a preflight request.
    ``allow_private_network`` lets public pages reach this server in a private
    network.  Raises ``ConfigError``.
    """

    allow_origins: Sequence[str] = ()
    allow_origin_regex: str | None = None
    allow_methods: Sequence[str] = ("GET", "HEAD", "POST")
    allow_headers: Sequence[str] = ()
    expose_headers: Sequence[str] = ()
    allow_credentials: bool = False
    max_age: int = 600
    allow_private_network: bool = False

    def __post_init__(self) -> None:
        _Policy(self)

    def __call__(self, app: Application) -> Application:
        """Return ``app`` with this around it."""
        policy = _Policy(self)

        async def cors(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            origin = value_of(scope, b"origin")
            if origin is not None and scope["method"] == "OPTIONS":
                method = value_of(scope, b"access-control-request-method")
                if method is not None:
                    await answer(scope, receive, send, policy.preflight(scope, origin, method))
                    return
            if origin is not None or policy.varies:
                send = at_start(send, policy.editor(origin))
            await app(scope, receive, send)

        return cors


class _Policy:
    """The settings as bytes, and what follows from them for one request."""

    def __init__(self, settings: CORS) -> None:
        origins = checked_texts("CORS: allow_origins", settings.allow_origins)
        self.any = "*" in origins
        self.origins = checked_origins("CORS: allow_origins", [o for o in origins if o != "*"])
        self.pattern = _pattern(settings.allow_origin_regex)
        self.credentials = settings.allow_credentials
        if not (origins or self.pattern):
            raise ConfigError("CORS: nobody is allowed; write allow_origins=['https://...']")
        if self.credentials and (self.any or b"null" in self.origins):
            # Fetch section 3.3.5; and any sandboxed frame has the origin "null".
            raise ConfigError(
                "CORS: allow_credentials needs origins by name; "
                "replace '*' and 'null' in allow_origins"
            )
        self.methods = _tokens("allow_methods", settings.allow_methods)
        self.headers = _tokens("allow_headers", settings.allow_headers)
        if _ANY not in self.headers:
            always = [name.encode() for name in _ALWAYS_ALLOWED]
            listed = {name.lower() for name in self.headers}
            self.headers += [name for name in always if name not in listed]
        checked_number("CORS: max_age", settings.max_age, 0, whole=True)
        self.max_age = b"%d" % settings.max_age
        self.private_network = settings.allow_private_network
        # A cache may give what is for everybody to everybody.
        self.varies = not self.any
        shared: Pairs = [_CREDENTIALS] if self.credentials else []
        exposed = _tokens("expose_headers", settings.expose_headers)
        if exposed:
            shared.append((b"access-control-expose-headers", b", ".join(exposed)))
        self._shared = shared
        self._stranger = _Editor([], self.varies)

    def allows(self, origin: bytes) -> bool:
        """Say whether pages of an origin may read the response."""
        if self.any or origin in self.origins:
            return True
        if self.pattern is None:
            return False
        return self.pattern.fullmatch(origin.decode("latin-1")) is not None

    def editor(self, origin: bytes | None) -> _Editor:
        """Return what marks the response to an ordinary request."""
        if origin is None or not self.allows(origin):
            return self._stranger
        return _Editor([(_ORIGIN, _ANY if self.any else origin), *self._shared], self.varies)

    def preflight(self, scope: Scope, origin: bytes, method: bytes) -> Response:
        """Return the answer to the question whether a request may be sent."""
        if not self.allows(origin):
            detail = "requests from this origin are not allowed"
            return problem_response(403, detail=detail, headers=[(b"vary", b"Origin")])
        headers: Pairs = [(_ORIGIN, _ANY if self.any else origin)]
        if self.credentials:
            headers.append(_CREDENTIALS)
        if self.varies:
            vary(headers, b"Origin")
        # A "*" would not cover Authorization, nor anything with credentials
        # (Fetch section 4.8), so what is asked for is repeated.
        methods = b", ".join(self.methods)
        if _ANY in self.methods:
            methods = method
            vary(headers, b"Access-Control-Request-Method")
        names = b", ".join(self.headers)
        if _ANY in self.headers:
            names = value_of(scope, b"access-control-request-headers") or b""
            vary(headers, b"Access-Control-Request-Headers")
        headers.append((b"access-control-allow-methods", methods))
        if names:
            headers.append((b"access-control-allow-headers", names))
        headers.append((b"access-control-max-age", self.max_age))
        asked = value_of(scope, b"access-control-request-private-network")
        if asked == b"true" and self.private_network:
            headers.append((b"access-control-allow-private-network", b"true"))
        return 204, headers, b""


class _Editor:
    """Marks one response."""

    __slots__ = ("added", "varies")

    def __init__(self, added: Pairs, varies: bool) -> None:
        self.added = added
        self.varies = varies

    def __call__(self, headers: Pairs) -> Pairs:
        if self.added:
            # Two answers to one question are an error to a browser.
            headers = [pair for pair in headers if pair[0] not in _REPLACED] + self.added
        return vary(headers, b"Origin") if self.varies else headers


def _pattern(text: str | None) -> re.Pattern[str] | None:
    if text is None:
        return None
    try:
        return re.compile(text)
    except (re.error, TypeError) as error:
        raise ConfigError(f"CORS: allow_origin_regex {text!r}: {error}") from None


def _tokens(option: str, values: Sequence[str]) -> list[bytes]:
    found = [text.encode() for text in checked_texts(f"CORS: {option}", values)]
    for token in found:
        if not is_token(token):
            raise ConfigError(f"CORS: {option}: {token.decode()!r} is not a name; list them singly")
    return found
