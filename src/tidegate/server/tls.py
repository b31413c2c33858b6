"""What do the settings about TLS mean to the modules that speak it?"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from ..net.certificates import Certificates, Pair, TlsSettings

if TYPE_CHECKING:
    from .config import Config

__all__ = ["CERT_REQS", "certificates"]

_MODES = {
    "none": ssl.CERT_NONE,
    "optional": ssl.CERT_OPTIONAL,
    "required": ssl.CERT_REQUIRED,
}

CERT_REQS = {
    word: name
    for name, mode in _MODES.items()
    for word in (str(mode.value), f"CERT_{name.upper()}")
}
"""The numbers and names of the ``ssl`` module, and our words for them."""


def certificates(config: Config) -> Certificates | None:
    """Read the certificates of a configuration; None without TLS.

    Raises ``ConfigError`` with the file and the reason if they are no good.
    """
    if config.ssl_certfile is None:
        return None
    pairs = [Pair(config.ssl_certfile, config.ssl_keyfile or "")]
    for host, files in config.ssl_sni_certs.items():
        certfile, _, keyfile = files.partition(",")
        pairs.append(Pair(certfile.strip(), keyfile.strip(), host))
    return Certificates(
        TlsSettings(
            tuple(pairs),
            password=config.ssl_keyfile_password,
            password_file=config.ssl_keyfile_password_file,
            ca_certs=config.ssl_ca_certs,
            verify=_MODES[config.ssl_cert_reqs],
            ciphers=config.ssl_ciphers,
        )
    )
