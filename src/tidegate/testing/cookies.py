"""The cookies a client keeps between requests."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from email.message import Message
from http.cookiejar import Cookie, CookieJar
from typing import Any, cast
from urllib.request import Request

from ..web.headers import Pairs

__all__ = ["Cookies"]


class Cookies(MutableMapping[str, str]):
    """Cookies by name; domain, path, expiry and ``Secure`` are heeded (RFC 6265)."""

    def __init__(self) -> None:
        self.jar = CookieJar()

    def __getitem__(self, name: str) -> str:
        for cookie in self.jar:
            if cookie.name == name:
                return cookie.value or ""
        raise KeyError(name)

    def __setitem__(self, name: str, value: str) -> None:
        """Send a cookie with every request from now on."""
        self.discard(name)
        self.jar.set_cookie(
            Cookie(
                version=0,
                name=name,
                value=value,
                port=None,
                port_specified=False,
                domain="",
                domain_specified=False,
                domain_initial_dot=False,
                path="/",
                path_specified=True,
                secure=False,
                expires=None,
                discard=False,
                comment=None,
                comment_url=None,
                rest={},
            )
        )

    def __delitem__(self, name: str) -> None:
        if name not in self:
            raise KeyError(name)
        self.discard(name)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(cookie.name for cookie in self.jar))

    def __len__(self) -> int:
        return len({cookie.name for cookie in self.jar})

    def __repr__(self) -> str:
        return f"Cookies({dict(self)!r})"

    def discard(self, name: str) -> None:
        """Forget a cookie, if there is one."""
        for cookie in [cookie for cookie in self.jar if cookie.name == name]:
            self.jar.clear(cookie.domain, cookie.path, cookie.name)

    def header_for(self, url: str) -> str:
        """Return the Cookie field for a request; empty if there is none to send."""
        request = Request(url)
        self.jar.add_cookie_header(request)
        return request.get_header("Cookie", "") or ""

    def keep(self, url: str, headers: Pairs) -> None:
        """Take the cookies that a response sets."""
        lines = [value for name, value in headers if name == b"set-cookie"]
        if lines:
            message = Message()
            for line in lines:
                message["set-cookie"] = line.decode("latin-1")
            self.jar.extract_cookies(cast(Any, _Response(message)), Request(url))


class _Response:
    """As much of a response as the cookie jar asks for."""

    def __init__(self, message: Message) -> None:
        self._message = message

    def info(self) -> Message:
        return self._message
