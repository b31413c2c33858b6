"""How is a cookie of ours set?  (RFC 6265 section 4.1, with SameSite and prefixes of 6265bis.)"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

from ...asgi import Scope
from ...errors import ConfigError, UsageError
from ..cookies import SameSite, cookie_field, parse_cookies
from .fields import value_of

__all__ = ["Cookie", "SameSite"]


@dataclass(frozen=True)
class Cookie:
    """A cookie by name, and whom a browser gives it to.

    ``where`` names the settings it came from, for a ``ConfigError``.
    """

    where: str
    name: str
    _: KW_ONLY
    path: str = "/"
    domain: str | None = None
    secure: bool = True
    http_only: bool = True
    same_site: SameSite = "lax"

    def __post_init__(self) -> None:
        if self.same_site not in ("lax", "strict", "none"):
            raise ConfigError(
                f"{self.where}: same_site is {self.same_site!r}; write 'lax', 'strict' or 'none'"
            )
        if not self.secure and (self.same_site == "none" or self.name.startswith("__")):
            # 6265bis sections 4.1.3 and 5.7: browsers would throw it away.
            raise ConfigError(
                f"{self.where}: browsers want secure=True for a cookie with the name "
                f"{self.name!r} and same_site={self.same_site!r}"
            )
        if self.name.startswith("__Host-") and (self.domain or self.path != "/"):
            raise ConfigError(f"{self.where}: a __Host- cookie has no domain, and the path '/'")
        try:
            self.field("", 0)
        except UsageError as error:
            raise ConfigError(f"{self.where}: {error}") from None

    def read(self, scope: Scope) -> str | None:
        """Return the value a client sent, None if it did not send one."""
        given = value_of(scope, b"cookie")
        if given is None:
            return None
        return parse_cookies(given.decode("latin-1")).get(self.name)

    def field(self, value: str, max_age: int | None) -> tuple[bytes, bytes]:
        """Return what sets the cookie for ``max_age`` seconds, None until the browser ends.

        0 removes it.  ``value`` must not need quoting.
        """
        made = cookie_field(
            self.name,
            value,
            max_age=max_age,
            expires=0 if max_age == 0 else None,
            path=self.path,
            domain=self.domain,
            secure=self.secure,
            http_only=self.http_only,
            same_site=self.same_site,
        )
        return b"set-cookie", made.encode("latin-1")
