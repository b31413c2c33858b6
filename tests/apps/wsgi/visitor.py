"""How is one conversation held with two servers, and what may differ in their answers?

``ALLOWED`` is the whole list of what may.
"""

from __future__ import annotations

import http.client
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.cookies import SimpleCookie

__all__ = ["ALLOWED", "PARTS", "Answer", "Conversation", "Visitor", "differences"]

# The same for both, so that absolute addresses are the same.
HOST = "shop.example"

# Header -> why it is not compared.
ALLOWED = {
    "date": "the time of the answer",
    "server": "the name of the server",
    "connection": "gunicorn always says it, Tidegate where it is not the default",
    "keep-alive": "belongs to connection",
    "transfer-encoding": "content of one chunk: Tidegate knows its length, gunicorn does not",
}

# What is drawn anew for each answer -> what is compared instead of it.
DRAWN = [
    # WsgiDAV writes the time into its pages about errors.
    (re.compile(rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+"), rb"TIME"),
    # Django masks the token anew in each form.
    (re.compile(rb'(name="csrfmiddlewaretoken" value=")[^"]+'), rb"\1TOKEN"),
    # Keys of sessions and tokens are random, signatures and expiry depend on the time.
    (re.compile(rb"\b((?:csrftoken|messages|sessionid|session)=)[^;]{5,}"), rb"\1TOKEN"),
    (re.compile(rb"(?i)(; expires=)[^;]+"), rb"\1TIME"),
]


# Of an answer, as they are compared.
PARTS = ("status", "reason", "headers", "body", "sized")


@dataclass(frozen=True)
class Answer:
    """What a client got, without what may differ."""

    request: str
    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    sized: bool  # the length was announced


@dataclass
class Visitor:
    """One client of one server, on one connection; it keeps cookies and all answers."""

    port: int
    drawn: Sequence[str] = ()  # headers whose values are of no account
    patient: bool = False  # asks again where the server has closed the connection
    answers: list[Answer] = field(default_factory=list)
    cookies: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)

    def ask(
        self,
        method: str,
        target: str,
        body: bytes | Sequence[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """Send one request, note the answer, and return the content as it came.

        A body that is not bytes goes in chunks.
        """
        sent = {"Host": HOST, **(headers or {})}
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        chunked = body is not None and not isinstance(body, bytes)
        if chunked:
            sent["Transfer-Encoding"] = "chunked"
        try:
            self.connection.request(method, target, body, sent, encode_chunked=chunked)
            response = self.connection.getresponse()
        except ConnectionError:
            if not self.patient:
                raise
            self.connection.close()
            self.connection.request(method, target, body, sent, encode_chunked=chunked)
            response = self.connection.getresponse()
        content = response.read()
        self._keep_cookies(response)
        self.answers.append(
            Answer(
                f"{method} {target}",
                response.status,
                response.reason,
                self._comparable(response.getheaders()),
                _settled(content),
                response.headers["content-length"] is not None,
            )
        )
        return content

    def post_form(self, target: str, form: str) -> bytes:
        """Send a form."""
        kind = "application/x-www-form-urlencoded"
        return self.ask("POST", target, form.encode(), {"Content-Type": kind})

    def close(self) -> None:
        self.connection.close()

    def _keep_cookies(self, response: http.client.HTTPResponse) -> None:
        for line in response.headers.get_all("set-cookie", []):
            for name, morsel in SimpleCookie(line).items():
                if morsel["max-age"] == "0" or not morsel.value:
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = morsel.coded_value

    def _comparable(self, headers: list[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
        """The order of headers with different names says nothing (RFC 9110 section 5.3)."""
        kept = []
        for name, value in headers:
            lower = name.lower()
            if lower in self.drawn:
                kept.append((lower, "there"))
            elif lower not in ALLOWED and lower != "content-length":
                kept.append((lower, _settled(value.encode("latin-1")).decode("latin-1")))
        return tuple(sorted(kept, key=lambda pair: pair[0]))


Conversation = Callable[[Visitor], None]


def differences(
    ours: list[Answer], theirs: list[Answer], parts: Sequence[str] = PARTS
) -> list[str]:
    """Say what differs, one line for each part of an answer."""
    found = []
    for one, other in zip(ours, theirs, strict=True):
        assert one.request == other.request, (one.request, other.request)
        for part in parts:
            here, there = getattr(one, part), getattr(other, part)
            if part == "sized":
                # To know more than the other does is well.
                there = there or here
            elif part == "headers":
                # With duplicates: a header that comes twice is a difference.
                here, there = Counter(here) - Counter(there), Counter(there) - Counter(here)
            if here != there:
                found.append(f"{one.request[:80]}: {part}: {here!r:.400}, not {there!r:.400}")
    return found


def _settled(content: bytes) -> bytes:
    for pattern, instead in DRAWN:
        content = pattern.sub(instead, content)
    return content
