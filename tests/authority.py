"""Certificates for tests, made while they run: an authority, its servers and its clients."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

__all__ = ["Authority", "Files", "authority"]


@dataclass(frozen=True)
class Files:
    """A certificate chain and its key."""

    certfile: str
    keyfile: str

    @property
    def options(self) -> tuple[str, ...]:
        """As the command line takes them."""
        return "--ssl-certfile", self.certfile, "--ssl-keyfile", self.keyfile

    @property
    def settings(self) -> dict[str, Any]:
        """As ``Config`` takes them."""
        return {"ssl_certfile": self.certfile, "ssl_keyfile": self.keyfile}


class Authority:
    """Signs certificates; ``context`` is a client that believes it."""

    def __init__(self) -> None:
        self.ca = trustme.CA()

    def ca_file(self, folder: Path) -> str:
        path = folder / "ca.pem"
        self.ca.cert_pem.write_to_path(path)
        return str(path)

    def issue(
        self,
        folder: Path,
        *hosts: str,
        name: str = "server",
        password: str = "",
        not_after: datetime | None = None,
        **subject: str,
    ) -> Files:
        """Write ``name.pem`` and ``name.key``, for ``localhost`` if no host is named."""
        made = self.ca.issue_cert(
            *(hosts or ("localhost", "127.0.0.1")), not_after=not_after, **subject
        )
        key = made.private_key_pem.bytes()
        if password:
            key = load_pem_private_key(key, None).private_bytes(
                Encoding.PEM,
                PrivateFormat.PKCS8,
                BestAvailableEncryption(password.encode()),
            )
        files = Files(str(folder / f"{name}.pem"), str(folder / f"{name}.key"))
        Path(files.certfile).write_bytes(b"".join(pem.bytes() for pem in made.cert_chain_pems))
        Path(files.keyfile).write_bytes(key)
        return files

    def context(self, shown: Files | None = None, *, checks_host: bool = True) -> ssl.SSLContext:
        """Return a client's context; ``shown`` is its own certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = checks_host
        self.ca.configure_trust(context)
        if shown is not None:
            context.load_cert_chain(shown.certfile, shown.keyfile)
        return context


@cache
def authority() -> Authority:
    """Return the one that a test run needs; a second is a stranger: ``Authority()``."""
    return Authority()
