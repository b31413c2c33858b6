"""Which certificate is shown to whom, and until when?  Pairs of files as TLS contexts.

Files are watched: a new pair serves new connections, a bad one is reported and
the old one stays.  A context is never changed once it is in use, so a swap is
one assignment and connections that exist do not notice.
"""

from __future__ import annotations

import logging
import os
import re
import ssl
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from ..errors import ConfigError
from ..exchange.certificate import expiry

__all__ = [
    "VERSIONS",
    "AlertPath",
    "Certificates",
    "Pair",
    "TlsContext",
    "TlsSettings",
    "alert_path",
    "key_password",
    "suites",
]

logger = logging.getLogger("tidegate.error")

# What TLS 1.2 may use: forward secrecy and authenticated encryption, the list
# of RFC 9325 section 4.2.  TLS 1.3 has no other suites, and no setting here.
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"

VERSIONS = {"TLSv1.2": 0x0303, "TLSv1.3": 0x0304}
"""The versions that are spoken: OpenSSL's names, and the numbers of RFC 8446 section 4.2.1."""

# Seconds between two looks at the files.
_WATCH_INTERVAL = 5.0

_DAY = 86400.0
_WARN_DAYS = 21

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n?", re.DOTALL)

# Of a file: when changed, how long, and which; None if it cannot be seen.
_Stamp = tuple[int, int, int] | None


@dataclass(frozen=True)
class Pair:
    """A certificate chain and its key, both PEM."""

    certfile: str
    keyfile: str = ""  # empty: the key is in the first file
    host: str = ""  # the name that clients ask for, or ``*.name``; empty: any


@dataclass(frozen=True)
class TlsSettings:
    """What the operator wants.  The first pair is for names that no other pair has."""

    pairs: tuple[Pair, ...]
    password: str | None = None
    password_file: str | None = None
    ca_certs: str | None = None
    verify: ssl.VerifyMode = ssl.CERT_NONE
    ciphers: str | None = None  # of TLS 1.2, in OpenSSL's words
    protocols: tuple[str, ...] = ("http/1.1",)  # offered by ALPN (RFC 7301)

    def files(self) -> list[str]:
        """Return every file that is read."""
        named = [name for pair in self.pairs for name in (pair.certfile, pair.keyfile)]
        return [name for name in [*named, self.password_file, self.ca_certs] if name]


class AlertPath:
    """How a connection whose handshake fails tells the client why; ``write`` is None after."""

    __slots__ = ("write",)

    def __init__(self, write: Callable[[bytes], None] | None) -> None:
        self.write = write


alert_path: ContextVar[AlertPath | None] = ContextVar("alert_path", default=None)
"""That of the connection which begins in this context: event loops do not let it through."""


class _Agreement(ssl.SSLObject):
    """One connection's TLS, which tells the client why a handshake failed.

    The event loops close without sending the alert (RFC 8446 section 6.2).
    """

    outgoing: ssl.MemoryBIO
    path: AlertPath | None

    def do_handshake(self) -> None:
        """Go on with the handshake."""
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError:
            if self.path is not None and self.path.write is not None:
                self.path.write(self.outgoing.read())
            raise


class TlsContext(ssl.SSLContext):
    """A context that knows what it shows: OpenSSL does not give that back."""

    sslobject_class = _Agreement

    pair: Pair
    server_cert: str  # PEM, without the chain
    expires: float  # seconds since the epoch
    suites: Mapping[str, int]  # OpenSSL's name -> number (IANA's registry)

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """Begin a connection; what the event loop calls."""
        made = super().wrap_bio(incoming, outgoing, server_side, server_hostname, session)
        agreement = cast(_Agreement, made)
        agreement.outgoing = outgoing
        agreement.path = alert_path.get()
        return made


class Certificates:
    """The contexts that new connections use, by the name that the client asks for.

    Add it to a clock's ``watched``; or call ``reload``.  Raises ``ConfigError``
    if the first load fails.
    """

    def __init__(
        self,
        settings: TlsSettings,
        wall_time: Callable[[], float] = time.time,
        interval: float = _WATCH_INTERVAL,
    ) -> None:
        self.settings = settings
        self._wall_time = wall_time
        self._interval = interval
        self.deadline = 0.0  # of the next look, in the loop's time
        self._warned = wall_time()  # of the last warning, or chance for one
        self._stamps = self._look()
        self._contexts = _load(settings)
        self.context = self._contexts[0]  # for new connections; it finds the others

    def find(self, name: str) -> TlsContext:
        """Return the context for the name that a client asks for; empty if it asks for none."""
        return _named(self._contexts, name) or self.context

    def all(self) -> list[TlsContext]:
        """Return every context; the first is for names that no other has."""
        return list(self._contexts)

    def expiries(self) -> dict[str, float]:
        """Return when each certificate ends, in seconds since the epoch, by its file."""
        return {each.pair.certfile: each.expires for each in self._contexts}

    def on_deadline(self, now: float) -> None:
        """Look whether the files have changed, and once a day whether they are old."""
        self.deadline = now + self._interval
        if self._look() != self._stamps:
            self.reload()
        if self._wall_time() - self._warned >= _DAY:
            self.warn()

    def reload(self) -> bool:
        """Read the files again; False, and the old certificates, if they are no good."""
        self._stamps = self._look()
        try:
            self._contexts = _load(self.settings)
        except ConfigError as error:
            logger.error("The certificates are not replaced: %s", error)
            return False
        self.context = self._contexts[0]
        logger.info("The certificates have been read again")
        self.warn()
        return True

    def warn(self) -> None:
        """Log which certificates have ended, or will within three weeks."""
        self._warned = now = self._wall_time()
        for name, expires in self.expiries().items():
            days = (expires - now) / _DAY
            date = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(expires))
            if days < 0:
                logger.warning("The certificate in %s has expired: %s", name, date)
            elif days < _WARN_DAYS:
                logger.warning("The certificate in %s expires in %d days: %s", name, days, date)

    def _look(self) -> list[_Stamp]:
        return [_stamp(name) for name in self.settings.files()]


def _stamp(name: str) -> _Stamp:
    try:
        found = os.stat(name)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _load(settings: TlsSettings) -> list[TlsContext]:
    """Return a context for each pair; the first chooses.  Raises ``ConfigError``."""
    contexts = [_context(pair, settings) for pair in settings.pairs]

    def choose(
        connection: ssl.SSLSocket | ssl.SSLObject, name: str | None, context: ssl.SSLContext
    ) -> None:
        found = _named(contexts, name or "")
        if found is not None:
            connection.context = found

    if len(contexts) > 1:
        contexts[0].sni_callback = choose
    return contexts


def _named(contexts: list[TlsContext], name: str) -> TlsContext | None:
    host = name.lower().rstrip(".")
    by_host = {each.pair.host.lower(): each for each in contexts if each.pair.host}
    # A star stands for one label (RFC 9525 section 6.3).
    return by_host.get(host) or by_host.get("*." + host.partition(".")[2])


def _context(pair: Pair, settings: TlsSettings) -> TlsContext:
    context = TlsContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # A client could ask for one costly handshake after the other.
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols(settings.protocols)
    try:
        context.set_ciphers(settings.ciphers or _CIPHERS)
    except ssl.SSLError:
        raise ConfigError(f"ssl_ciphers: OpenSSL knows none of {settings.ciphers!r}") from None
    text = _read(pair.certfile, "certificate")
    found = _CERTIFICATE.search(text)
    if found is None:
        raise ConfigError(f"{pair.certfile}: holds no certificate in PEM form")
    keyfile = pair.keyfile or pair.certfile
    if "PRIVATE KEY-----" not in _read(keyfile, "key"):
        raise ConfigError(f"{keyfile}: holds no private key in PEM form")
    _load_pair(context, pair.certfile, keyfile, key_password(settings))
    if settings.ca_certs:
        _read(settings.ca_certs, "CA")
        try:
            context.load_verify_locations(settings.ca_certs)
        except ssl.SSLError as error:
            raise ConfigError(f"{settings.ca_certs}: {_reason(error)}") from None
    context.verify_mode = settings.verify
    context.pair = pair
    context.server_cert = found[0]
    context.expires = expiry(ssl.PEM_cert_to_DER_cert(found[0].strip()))
    context.suites = suites(context)
    return context


def suites(context: ssl.SSLContext) -> dict[str, int]:
    """Return the ciphers of a context: OpenSSL's names, and the numbers of IANA's registry."""
    # The upper half of OpenSSL's number says only which protocol it is of.
    return {each["name"]: each["id"] & 0xFFFF for each in context.get_ciphers()}


def _load_pair(context: TlsContext, certfile: str, keyfile: str, password: str | None) -> None:
    asked = False

    def answer() -> str:
        # Always given: without it OpenSSL would ask at the terminal.
        nonlocal asked
        asked = True
        return password or ""

    try:
        context.load_cert_chain(certfile, keyfile, answer)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ConfigError(f"{keyfile}: is not the key of {certfile}") from None
        if asked and password is None:
            raise ConfigError(
                f"{keyfile}: the key is encrypted; write its password to a file and give "
                "--ssl-keyfile-password-file, or set TIDEGATE_SSL_KEYFILE_PASSWORD"
            ) from None
        if asked:
            raise ConfigError(f"{keyfile}: the password does not open the key") from None
        raise ConfigError(f"{certfile}, {keyfile}: {_reason(error)}") from None
    except OSError as error:
        raise ConfigError(f"{certfile}, {keyfile}: {error.strerror or error}") from None


def key_password(settings: TlsSettings) -> str | None:
    """Return what opens the keys; None if nothing is said.  Raises ``ConfigError``."""
    if settings.password_file is None:
        return settings.password
    return _read(settings.password_file, "password").rstrip("\r\n")


def _read(name: str, what: str) -> str:
    try:
        return Path(name).read_text("utf-8")
    except OSError as error:
        raise ConfigError(f"{name}: the {what} file cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{name}: the {what} file is not text; PEM is read, not DER") from None


def _reason(error: ssl.SSLError) -> str:
    return (error.reason or str(error)).replace("_", " ").lower()
