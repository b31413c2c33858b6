"""What do the settings about TLS mean to the modules that speak it?"""

from __future__ import annotations

import asyncio
import signal
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..net.certificates import Certificates, Pair, TlsSettings

if TYPE_CHECKING:
    from .config import Config

__all__ = ["CERT_REQS", "certificates", "rereading"]

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
            protocols=("h2", "http/1.1") if config.http2 else ("http/1.1",),
        )
    )


@contextmanager
def rereading(made: Certificates | None) -> Iterator[None]:
    """Read the certificates again at SIGHUP, unless the program has its own use for it.

    The files are watched all the same; this is for who does not want to wait.
    """
    number = getattr(signal, "SIGHUP", None)
    if made is None or number is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    if signal.getsignal(number) is not signal.SIG_DFL:
        yield
        return
    loop = asyncio.get_running_loop()
    signal.signal(number, lambda *_: loop.call_soon_threadsafe(made.reload))
    try:
        yield
    finally:
        signal.signal(number, signal.SIG_DFL)
