"""What do the fields Cookie and Set-Cookie say?  (RFC 6265, with SameSite of 6265bis.)"""

from __future__ import annotations

from http.cookies import _quote as quote_cookie
from http.cookies import _unquote as unquote_cookie
from typing import Literal, TypeAlias

from ..errors import UsageError
from ..http import http_date, is_token

__all__ = ["SameSite", "cookie_field", "parse_cookies"]

SameSite: TypeAlias = Literal["lax", "strict", "none"]


def parse_cookies(header: str) -> dict[str, str]:
    """Return the cookies of a Cookie field (RFC 6265 section 5.4); the first of a name counts."""
    found: dict[str, str] = {}
    for pair in header.split(";"):
        name, equals, value = pair.partition("=")
        name = name.strip()
        if equals and name not in found:
            found[name] = unquote_cookie(value.strip())
    return found


def cookie_field(
    name: str,
    value: str = "",
    *,
    max_age: int | None = None,
    expires: float | None = None,
    path: str | None = "/",
    domain: str | None = None,
    secure: bool = True,
    http_only: bool = True,
    same_site: SameSite | None = "lax",
) -> str:
    """Return the value of a Set-Cookie field (RFC 6265 section 4.1).

    ``max_age`` is in seconds, ``expires`` in seconds since 1970.  Raises
    ``UsageError`` for what would end an attribute and begin another.
    """
    if not is_token(name.encode("latin-1", "replace")):
        raise UsageError(f"{name!r} cannot be the name of a cookie")
    parts = [f"{name}={quote_cookie(value) if value else ''}"]
    if max_age is not None:
        parts.append(f"Max-Age={max_age}")
    if expires is not None:
        parts.append(f"Expires={http_date(expires).decode()}")
    for key, text in (("Path", path), ("Domain", domain)):
        if text is not None:
            if any(c in text for c in ";,\r\n\0"):
                raise UsageError(f"the {key.lower()} of a cookie cannot be {text!r}")
            parts.append(f"{key}={text}")
    parts += ["Secure"] if secure else []
    parts += ["HttpOnly"] if http_only else []
    parts += [f"SameSite={same_site.capitalize()}"] if same_site else []
    return "; ".join(parts)
