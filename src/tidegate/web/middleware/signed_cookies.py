"""How can the client keep its own session without being able to change it?

The only module that imports ``itsdangerous`` (extra ``sessions``).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence

from ...errors import ConfigError
from .settings import checked_secrets

try:
    import itsdangerous
except ImportError:
    _installed = False
else:
    _installed = True

__all__ = ["SignedCookies"]


class SignedCookies:
    """A session store that writes all content, signed, into the cookie itself.

    The client can read it, and can bring back what it had before: what must be
    secret or undone belongs into a store of the server's.  ``secrets`` is one
    or several, the newest first: it signs, and all are believed.  Raises
    ``ConfigError`` for a short one, or without the package ``itsdangerous``.
    """

    def __init__(self, secrets: str | Sequence[str]) -> None:
        if not _installed:
            raise ConfigError("SignedCookies needs a package: pip install tidegate[sessions]")
        listed = checked_secrets("SignedCookies: secrets", secrets)
        self._signer = itsdangerous.TimestampSigner(
            list(reversed(listed)),  # the last one signs
            salt=b"tidegate.sessions",
            key_derivation="hmac",
            digest_method=hashlib.sha256,
        )

    async def load(self, token: str, max_age: int) -> bytes | None:
        """Return the content, if we signed it and not too long ago."""
        try:
            encoded = self._signer.unsign(token.encode("latin-1"), max_age)
            return base64.urlsafe_b64decode(encoded + b"=" * (-len(encoded) % 4))
        except (itsdangerous.BadData, binascii.Error):
            return None

    async def save(self, token: str | None, content: bytes, max_age: int) -> str:
        """Return the content, signed."""
        # Without "=", so that the cookie need not be quoted.
        return self._signer.sign(base64.urlsafe_b64encode(content).rstrip(b"=")).decode()

    async def delete(self, token: str) -> None:
        """Do nothing: the client has it."""
