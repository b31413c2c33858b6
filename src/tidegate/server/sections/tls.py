"""Certificates, and who must show one."""

from __future__ import annotations

import dataclasses
from typing import Literal

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
