"""Can these settings be used?  If not, a ``ConfigError`` says what to write instead.

``where`` names the option in the message: ``CORS: allow_origins``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence

from ...asgi import Scope
from ...errors import AppError, ConfigError
from ...http import field

__all__ = [
    "checked_field",
    "checked_number",
    "checked_origins",
    "checked_secrets",
    "checked_texts",
    "path_matcher",
]

_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://([^/?#@\s]+)")
_DEFAULT_PORTS = (("http", ":80"), ("https", ":443"))

# Sixteen random bytes in hexadecimal, the least that cannot be guessed.
_MIN_SECRET = 32


def checked_texts(where: str, values: Iterable[str]) -> tuple[str, ...]:
    """Return several texts."""
    if isinstance(values, str | bytes):
        raise ConfigError(f"{where} must be a list of str; write [{values!r}]")
    found = tuple(values)
    for value in found:
        if not isinstance(value, str):
            raise ConfigError(f"{where} must be a list of str, not of {value!r}")
    return found


def checked_number(where: str, value: float, least: float, *, whole: bool = False) -> None:
    """Refuse what is not a number, or less than ``least``."""
    kinds = (int,) if whole else (int, float)
    if type(value) not in kinds or not least <= value < math.inf:
        kind = "a whole number" if whole else "a number"
        raise ConfigError(f"{where} must be {kind} of at least {least}, not {value!r}")


def checked_field(where: str, name: str, value: str) -> tuple[bytes, bytes]:
    """Return a response field that can be sent."""
    try:
        made = field(name.lower().encode("latin-1"), value.encode("latin-1"))
    except (AppError, UnicodeEncodeError, AttributeError) as error:
        raise ConfigError(f"{where} cannot be sent: {error}") from None
    return made.name, made.value


def checked_origins(where: str, values: Iterable[str]) -> frozenset[bytes]:
    """Return origins as browsers write them (RFC 6454 section 6.2); ``null`` is one."""
    return frozenset(_origin(where, value) for value in checked_texts(where, values))


def _origin(where: str, value: str) -> bytes:
    if value == "null":
        return b"null"
    found = _ORIGIN.match(value.lower())
    if found is None:
        raise ConfigError(f"{where}: {value!r} is not an origin; write 'https://{value}'")
    right = found[0]
    for scheme, port in _DEFAULT_PORTS:
        if found[1] == scheme:
            right = right.removesuffix(port)
    if not right.isascii():
        raise ConfigError(f"{where}: write {value!r} as browsers do, in ASCII (xn--...)")
    if right != value:
        # What a browser sends is compared byte by byte.
        raise ConfigError(f"{where}: browsers do not send {value!r}; write {right!r}")
    if "*" in value:
        raise ConfigError(f"{where}: {value!r} holds a wildcard; write a regular expression")
    return right.encode()


def checked_secrets(where: str, secrets: str | Sequence[str]) -> tuple[str, ...]:
    """Return one or more secrets, the newest first."""
    found = checked_texts(where, [secrets] if isinstance(secrets, str) else secrets)
    if not found:
        raise ConfigError(f"{where} must be a text or a list of them, the newest first")
    for secret in found:
        if len(secret) < _MIN_SECRET:
            raise ConfigError(
                f"{where} has {len(secret)} characters and needs {_MIN_SECRET}; "
                "make one with: python -c 'import secrets; print(secrets.token_hex(32))'"
            )
    return found


def path_matcher(where: str, paths: Iterable[str]) -> Callable[[Scope], bool]:
    """Return what says whether a request is for one of these paths of the application.

    A path that ends with a slash stands for all below it.
    """
    listed = checked_texts(where, paths)
    for path in listed:
        if not path.startswith("/"):
            raise ConfigError(f"{where}: a path begins with a slash; write {'/' + path!r}")
    exact = frozenset(listed)
    trees = tuple(path for path in listed if path.endswith("/"))

    def matches(scope: Scope) -> bool:
        path: str = scope["path"]
        if not exact:
            return False
        root = scope.get("root_path", "")
        if root and path.startswith(root):
            path = path[len(root) :]
        # Whoever resolves ".." later would end up outside the tree.
        return path in exact or (bool(trees) and path.startswith(trees) and "/.." not in path)

    return matches
