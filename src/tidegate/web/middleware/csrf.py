"""Did a page of ours cause this request, or one of somebody else?

Browsers say so by themselves: ``Sec-Fetch-Site`` on secure origins, ``Origin``
on every unsafe request and handshake.  A token is only for what says neither.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

from ...asgi import Application, Receive, Scope, Send
from ...errors import UsageError
from ..headers import Pairs, vary
from ..problems import problem_response
from .answer import answer
from .cookies import Cookie
from .fields import at_start, value_of
from .settings import checked_field, checked_origins, checked_secrets, path_matcher

__all__ = ["CSRF", "csrf_token"]

# RFC 9110 section 9.2.1: these change nothing, or the application is wrong.
_SAFE = frozenset(("GET", "HEAD", "OPTIONS", "TRACE"))

_STATE = "csrf_token"
_DEFAULT_PORTS = {b"https": b":443", b"http": b":80"}
_CROSS_SITE = problem_response(403, detail="this request came from a page of another site")
_UNKNOWN = problem_response(
    403,
    detail="it is not known which page this request came from; send Origin, or the CSRF token",
)


@dataclass(frozen=True)
class CSRF:
    """Answers 403 to requests that pages of other sites cause.

    Requests from the same origin, from ``trusted_origins`` and with safe
    methods pass, and so does what carries neither a cookie nor credentials
    that a browser adds by itself.  A client that sends cookies but no
    ``Origin`` must repeat the token of ``csrf_token()`` in ``header``; that
    works only with a ``secret``, or several, the newest first.  ``exempt`` are
    paths that are not looked at.  Handshakes of sockets are looked at.
    Raises ``ConfigError``.
    """

    trusted_origins: Sequence[str] = ()
    _: KW_ONLY
    secret: str | Sequence[str] | None = None
    exempt: Sequence[str] = ()
    header: str = "x-csrf-token"
    # Only this host can set it: a neighbour's subdomain cannot plant its own.
    cookie: str = "__Host-csrf"
    secure: bool = True

    def __post_init__(self) -> None:
        _Judge(self)
        path_matcher("CSRF: exempt", self.exempt)
        checked_field("CSRF: header", self.header, "")

    def __call__(self, app: Application) -> Application:
        """Return ``app`` with this around it."""
        judge = _Judge(self)
        is_exempt = path_matcher("CSRF: exempt", self.exempt)

        async def csrf(scope: Scope, receive: Receive, send: Send) -> None:
            kind = scope["type"]
            if kind == "websocket" or (kind == "http" and scope["method"] not in _SAFE):
                refusal = None if is_exempt(scope) else judge.refusal(scope)
                if refusal is not None:
                    await answer(scope, receive, send, refusal)
                    return
            if judge.keys and kind == "http":
                token = _Token(judge, scope)
                scope.setdefault("state", {})[_STATE] = token
                send = at_start(send, token.edit)
            await app(scope, receive, send)

        return csrf


def csrf_token(scope: Scope) -> str:
    """Return the token that this client may send instead of an Origin.

    The response sets the cookie that belongs to it, so ask before it begins.
    Raises ``UsageError`` without ``CSRF(secret=...)``.
    """
    token = scope.get("state", {}).get(_STATE)
    if not isinstance(token, _Token):
        raise UsageError("there is no CSRF token; add CSRF(secret=...) to the middleware")
    return token.text()


class _Judge:
    """The rules."""

    def __init__(self, settings: CSRF) -> None:
        self.trusted = checked_origins("CSRF: trusted_origins", settings.trusted_origins)
        secret = settings.secret
        listed = () if secret is None else checked_secrets("CSRF: secret", secret)
        self.keys = [text.encode() for text in listed]
        self.header = settings.header.lower().encode()
        # Scripts of ours must be able to read it.
        self.cookie = Cookie(
            "CSRF: cookie", settings.cookie, secure=settings.secure, http_only=False
        )

    def refusal(self, scope: Scope) -> tuple[int, Pairs, bytes] | None:
        """Return the answer to a request that must not pass, None if it may."""
        origin = value_of(scope, b"origin")
        if origin is not None and origin in self.trusted:
            return None
        site = value_of(scope, b"sec-fetch-site")
        if site is not None:
            # Fetch Metadata section 2.3; "none" is the user, not a page.
            return None if site in (b"same-origin", b"none") else _CROSS_SITE
        if origin is not None:
            return None if _is_own(origin, scope) else _CROSS_SITE
        if scope["type"] == "websocket" or not _has_ambient_authority(scope):
            # No browser opens a socket without saying from where.
            return None
        return None if self._has_token(scope) else _UNKNOWN

    def _has_token(self, scope: Scope) -> bool:
        sent = value_of(scope, self.header)
        kept = self.cookie.read(scope)
        if sent is None or kept is None:
            return False
        return hmac.compare_digest(sent, kept.encode("latin-1")) and self.is_ours(kept)

    def is_ours(self, token: str) -> bool:
        """Say whether we made a token."""
        nonce, _, signature = token.encode("latin-1").partition(b".")
        good = [hmac.compare_digest(_signature(key, nonce), signature) for key in self.keys]
        return any(good)

    def new_token(self) -> str:
        """Return a new token, signed with the newest key."""
        nonce = secrets.token_hex(16).encode()
        return (nonce + b"." + _signature(self.keys[0], nonce)).decode()


class _Token:
    """The token of one client, made when it is asked for."""

    __slots__ = ("_asked", "_judge", "_new", "_scope")

    def __init__(self, judge: _Judge, scope: Scope) -> None:
        self._judge = judge
        self._scope = scope
        self._asked: str | None = None  # None until the application asked
        self._new = False  # the client does not have it yet

    def text(self) -> str:
        """Return the token; the same for every call."""
        if self._asked is None:
            kept = self._judge.cookie.read(self._scope)
            self._new = kept is None or not self._judge.is_ours(kept)
            self._asked = self._judge.new_token() if kept is None or self._new else kept
        return self._asked

    def edit(self, headers: Pairs) -> Pairs:
        """Give the client the cookie, if it needs one."""
        if self._asked is None:
            return headers
        if self._new:
            headers.append(self._judge.cookie.field(self._asked, None))
        # The page holds what is this client's own.
        return vary(headers, b"Cookie")


def _signature(key: bytes, nonce: bytes) -> bytes:
    return hmac.digest(key, b"tidegate.csrf." + nonce, "sha256").hex().encode()


def _is_own(origin: bytes, scope: Scope) -> bool:
    """Say whether an origin is the one the request went to.

    A proxy may have taken off TLS, so ``https`` is good where we see ``http``;
    the other way round somebody on the network could have written the page.
    """
    scheme, _, authority = origin.partition(b"://")
    here = b"https" if scope.get("scheme") in ("https", "wss") else b"http"
    if scheme != b"https" and scheme != here:
        return False
    host = value_of(scope, b"host")
    if not host or not authority:
        return False
    return host.lower().removesuffix(_DEFAULT_PORTS.get(scheme, b"")) == authority


def _has_ambient_authority(scope: Scope) -> bool:
    """Say whether a request has what a browser adds without a page's doing."""
    credentials = value_of(scope, b"authorization")
    if credentials is not None and not credentials.lower().startswith(b"bearer "):
        return True
    return value_of(scope, b"cookie") is not None
