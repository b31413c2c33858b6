"""What do we ask browsers to be careful about?"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field

from ...asgi import Application, Receive, Scope, Send
from ...errors import ConfigError
from ..headers import Pairs
from .fields import at_start
from .settings import checked_field, checked_number

__all__ = ["SecurityHeaders"]

_NONCE = "{nonce}"

# The preload lists of browsers take no less.
_YEAR = 31_536_000

_ANCESTORS = {"DENY": "frame-ancestors 'none'", "SAMEORIGIN": "frame-ancestors 'self'"}


@dataclass(frozen=True)
class SecurityHeaders:
    """Adds the fields that make browsers careful, where the application did not set them.

    ``csp`` is a Content-Security-Policy; each ``{nonce}`` in it becomes a value
    made for this request, which the application finds as
    ``scope["state"]["csp_nonce"]``.  ``hsts_max_age`` (seconds) is sent over
    HTTPS only, 0 for never.  ``frame_options`` is ``DENY`` or ``SAMEORIGIN``;
    without a ``csp`` it is said in the newer form too.  ``permissions_policy``
    maps features to allowlists, ``{"camera": "()"}``.  None leaves a field out.
    Raises ``ConfigError``.
    """

    csp: str | None = None
    _: KW_ONLY
    csp_report_only: bool = False
    hsts_max_age: int = _YEAR
    hsts_include_subdomains: bool = False
    hsts_preload: bool = False
    frame_options: str | None = "DENY"
    nosniff: bool = True
    referrer_policy: str | None = "strict-origin-when-cross-origin"
    permissions_policy: Mapping[str, str] = field(default_factory=dict)
    opener_policy: str | None = "same-origin"
    resource_policy: str | None = "same-origin"

    def __post_init__(self) -> None:
        if self.frame_options is not None and self.frame_options not in _ANCESTORS:
            raise ConfigError(
                f"SecurityHeaders: frame_options is {self.frame_options!r}; "
                "write 'DENY', 'SAMEORIGIN' or None"
            )
        checked_number("SecurityHeaders: hsts_max_age", self.hsts_max_age, 0, whole=True)
        lasting = self.hsts_max_age >= _YEAR and self.hsts_include_subdomains
        if self.hsts_preload and not lasting:
            raise ConfigError(
                "SecurityHeaders: hsts_preload needs hsts_include_subdomains=True "
                f"and hsts_max_age={_YEAR} or more"
            )
        self._fixed()
        self._policy()

    def __call__(self, app: Application) -> Application:
        """Return ``app`` with this around it."""
        policy = self._policy()
        nonced = policy is not None and _NONCE.encode() in policy[1]
        plain = self._fixed()
        if policy is not None and not nonced:
            plain.append(policy)
        hsts = self._hsts()
        add_plain, add_secure = _Added(plain), _Added([*plain, *hsts])

        async def security_headers(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            added = add_secure if scope.get("scheme") == "https" else add_plain
            if nonced and policy is not None:
                nonce = secrets.token_urlsafe(16)
                scope.setdefault("state", {})["csp_nonce"] = nonce
                value = policy[1].replace(_NONCE.encode(), nonce.encode())
                added = _Added([*added.fields, (policy[0], value)])
            await app(scope, receive, at_start(send, added))

        return security_headers

    def _fixed(self) -> Pairs:
        """Return what is the same for every response."""
        features = ", ".join(
            f"{name}={allowed}" for name, allowed in self.permissions_policy.items()
        )
        listed = {
            "x-content-type-options": "nosniff" if self.nosniff else None,
            "x-frame-options": self.frame_options,
            "referrer-policy": self.referrer_policy,
            "permissions-policy": features or None,
            "cross-origin-opener-policy": self.opener_policy,
            "cross-origin-resource-policy": self.resource_policy,
        }
        return [
            checked_field("SecurityHeaders", name, value)
            for name, value in listed.items()
            if value is not None
        ]

    def _policy(self) -> tuple[bytes, bytes] | None:
        if self.csp is not None:
            only = "-report-only" if self.csp_report_only else ""
            return checked_field("SecurityHeaders: csp", f"content-security-policy{only}", self.csp)
        if self.frame_options is None:
            return None
        return b"content-security-policy", _ANCESTORS[self.frame_options].encode()

    def _hsts(self) -> Pairs:
        # RFC 6797 section 7.2: never over plain HTTP.
        if not self.hsts_max_age:
            return []
        value = f"max-age={self.hsts_max_age}"
        value += "; includeSubDomains" if self.hsts_include_subdomains else ""
        value += "; preload" if self.hsts_preload else ""
        return [(b"strict-transport-security", value.encode())]


class _Added:
    """Adds fields to a response that does not have them."""

    __slots__ = ("fields", "names")

    def __init__(self, fields: Pairs) -> None:
        self.fields = fields
        self.names = frozenset(name for name, _ in fields)

    def __call__(self, headers: Pairs) -> Pairs:
        given = {name.lower() for name, _ in headers}
        if self.names.isdisjoint(given):
            return headers + self.fields
        return headers + [pair for pair in self.fields if pair[0] not in given]
