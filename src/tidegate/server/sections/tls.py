"""Certificates, and who must show one."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Literal

from ...errors import ConfigError
from ...http import Field, field
from ..options import option
from ..tls import CERT_REQS

__all__ = ["TlsSettings"]


@dataclasses.dataclass(kw_only=True)
class TlsSettings:
    """TLS."""

    ssl_certfile: str | None = option(
        None, "Speak TLS, with the certificate chain in this PEM file.", group="TLS", path=True
    )
    ssl_keyfile: str | None = option(
        None, "Its private key, PEM [default: in the same file].", group="TLS", path=True
    )
    ssl_keyfile_password: str | None = option(
        None, "Password of the keys; the list of processes shows it.", group="TLS", secret=True
    )
    ssl_keyfile_password_file: str | None = option(
        None, "Read the password of the keys from this file.", group="TLS", path=True
    )
    ssl_sni_certs: dict[str, str] = option(
        {},
        "Another pair of files, for clients that ask for this name, or '*.name'.",
        group="TLS",
        flag="ssl-sni-cert",
        path=True,
    )
    ssl_ca_certs: str | None = option(
        None, "Who may sign the certificates of clients: a PEM file.", group="TLS", path=True
    )
    ssl_cert_reqs: Literal["none", "optional", "required"] = option(
        "none", "Whether clients show a certificate.", group="TLS", instead=CERT_REQS
    )
    ssl_ciphers: str | None = option(
        None, "Ciphers of TLS 1.2 [default: only with forward secrecy, and AEAD].", group="TLS"
    )
    http_redirect: str | None = option(
        None, "Listen here too, [HOST:]PORT, in clear, and redirect to HTTPS.", group="TLS"
    )
    http_redirect_to: int | None = option(
        None,
        "Port in those redirects [default: where HTTPS is listened on].",
        group="TLS",
        least=1,
        most=65535,
    )
    hsts: int | None = option(
        None,
        "Seconds in which browsers are to use HTTPS only [default: not sent].",
        group="TLS",
        least=0,
    )
    hsts_subdomains: bool = option(
        False, "The same for all names below, with or without a server.", group="TLS"
    )

    def https_complaints(self) -> Iterator[tuple[str, str]]:
        """Yield name and complaint for settings that cannot be used together."""
        try:
            self.redirect_address("")
        except ConfigError as error:
            yield "http_redirect", str(error)
        if self.http_redirect_to is not None and self.http_redirect is None:
            yield "http_redirect_to", "http_redirect_to needs http_redirect"
        if self.hsts_subdomains and self.hsts is None:
            yield "hsts_subdomains", "hsts_subdomains needs hsts"

    def redirect_address(self, host: str) -> tuple[str, int] | None:
        """Return where to listen in clear, on ``host`` if nothing else is said.

        Raises ``ConfigError`` if that is no place.
        """
        if self.http_redirect is None:
            return None
        name, _, port = self.http_redirect.rpartition(":")
        if not (port.isascii() and port.isdigit() and int(port) <= 65535):
            raise ConfigError(
                f"http_redirect must be PORT or HOST:PORT, not {self.http_redirect!r}"
            )
        return name.strip("[]") or host, int(port)

    def hsts_fields(self) -> list[Field]:
        """Return the field of RFC 6797, if wanted."""
        if self.hsts is None:
            return []
        more = "; includeSubDomains" if self.hsts_subdomains else ""
        return [field(b"strict-transport-security", f"max-age={self.hsts}{more}".encode())]
