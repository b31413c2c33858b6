"""Can these settings be used?  Every check that is not a type or a bound.

``Config`` calls ``complaints`` and raises what it yields; whoever read the
settings from somewhere adds where.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..bridge.processes.backends import open_pool
from ..errors import ConfigError
from .options import wrong_values
from .policies import policy_complaints

if TYPE_CHECKING:
    from .config import Config

__all__ = ["BadSettings", "Complaint", "complaints", "mount_target"]

MOUNT_KINDS = ("asgi", "wsgi", "auto")

_NEED_CERTIFICATE = (
    *("ssl_keyfile", "ssl_keyfile_password", "ssl_keyfile_password_file", "ssl_sni_certs"),
    *("ssl_ca_certs", "ssl_cert_reqs", "ssl_ciphers"),
    *("http_redirect", "http_redirect_to", "hsts", "hsts_subdomains"),
    *("http3", "http3_port"),
)

# A name in SNI is in ASCII and no address (RFC 6066 section 3).
_HOST = re.compile(r"(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]*[A-Za-z_-][A-Za-z0-9_-]*)*")


class Complaint(NamedTuple):
    """What is wrong with one setting; ``text`` names it, ``key`` the entry of a table."""

    name: str
    text: str
    key: str = ""


class BadSettings(ConfigError):
    """Settings cannot be used; ``complaints`` holds every reason, not only the first."""

    def __init__(self, complaints: list[Complaint]) -> None:
        super().__init__("; ".join(complaint.text for complaint in complaints))
        self.complaints = complaints


def mount_target(text: str) -> tuple[str, str]:
    """Return the interface and the target of ``asgi:live:app``; the first may be left out.

    The interface is ``asgi``, ``wsgi`` or ``auto``.  Raises ``ConfigError`` if
    it is something else.
    """
    kinds = "|".join(MOUNT_KINDS)
    found = re.fullmatch(rf"(?:({kinds}):)?([^:]+:[^:]+)", text) if isinstance(text, str) else None
    if found is None:
        form = "'asgi:module:attribute' or 'wsgi:module:attribute'"
        raise ConfigError(f"must be {form}, not {text!r}")
    return found[1] or "auto", found[2]


def complaints(config: Config) -> Iterator[Complaint]:
    """Yield what is wrong; a value of the wrong type is judged no further."""
    wrong = dict(wrong_values(config))
    for name, text in wrong.items():
        yield Complaint(name, f"{name} {text}")
    for name, check in _CHECKS.items():
        if name not in wrong:
            yield from check(config)
    if config.uds is not None and config.fd is not None:
        text = "uds and fd cannot both be given: a server listens on one place"
        yield Complaint("uds", text)
    for path, text in policy_complaints(config.policies):
        yield Complaint("policies", text, path)
    for name, pool in config.pools.items():
        for key, text in wrong_values(pool):
            yield Complaint("pools", f"pools.{name}.{key} {text}")
        try:
            open_pool(pool.backend if isinstance(pool.backend, str) else "thread", name=name)
        except ConfigError as error:
            yield Complaint("pools", f"pools.{name}: {error}")


def _check_root_path(config: Config) -> Iterator[Complaint]:
    if config.root_path and not config.root_path.startswith("/"):
        yield Complaint("root_path", f"root_path must start with '/', not {config.root_path!r}")


def _check_file(name: str, path: object) -> Iterator[Complaint]:
    if isinstance(path, str) and not Path(path).is_file():
        yield Complaint(name, f"{name}: there is no file {path!r}")


def _check_networks(config: Config) -> Iterator[Complaint]:
    """Refuse what looks like an address or a network and is none."""
    for item in config.forwarded_allow_ips.split(","):
        try:
            if "/" in item:
                ipaddress.ip_network(item.strip())
        except ValueError as error:
            yield Complaint("forwarded_allow_ips", f"forwarded_allow_ips: {error}")


def _check_forwarded(config: Config) -> Iterator[Complaint]:
    try:
        config.proxies()
    except ConfigError as error:
        yield Complaint("forwarded_headers", str(error))


def _check_headers(config: Config) -> Iterator[Complaint]:
    for pair in config.headers:
        if [type(part) for part in pair] != [str, str]:
            yield Complaint("headers", f"headers must be pairs of texts, not {pair!r}")
            return
    try:
        config.response_fields()
    except ConfigError as error:
        yield Complaint("headers", str(error))


def _check_mounts(config: Config) -> Iterator[Complaint]:
    for prefix, target in config.mounts.items():
        if not isinstance(prefix, str) or not prefix.startswith("/"):
            text = f"mount: a prefix must start with '/', not {prefix!r}"
            yield Complaint("mounts", text, str(prefix))
            continue
        if prefix == "/" and config.app:
            text = f"mount '/' and the target {config.app!r} are for the same paths: give one"
            yield Complaint("mounts", text, prefix)
        try:
            mount_target(target)
        except ConfigError as error:
            yield Complaint("mounts", f"mount {prefix!r} {error}", prefix)


def _check_reload(config: Config) -> Iterator[Complaint]:
    if config.reload and not isinstance(config.app, str):
        kind = type(config.app).__name__
        text = f"reload needs the target as 'module:attribute', not an object of type {kind!r}"
        yield Complaint("reload", text)
    if config.live_reload and not config.reload:
        yield Complaint("live_reload", "live_reload needs reload")


def _check_reload_dirs(config: Config) -> Iterator[Complaint]:
    for folder in config.reload_dirs:
        if not Path(folder).is_dir():
            yield Complaint("reload_dirs", f"reload_dir: there is no folder {folder!r}")


def _check_tls(config: Config) -> Iterator[Complaint]:
    """Settings that mean something only together; files are read when the server starts."""
    if config.ssl_certfile is None:
        for name in _NEED_CERTIFICATE:
            if getattr(config, name) not in (None, {}, "none", False):
                yield Complaint(name, f"{name} is for TLS, which needs ssl_certfile")
        return
    if config.ssl_cert_reqs != "none" and config.ssl_ca_certs is None:
        yield Complaint(
            "ssl_cert_reqs",
            f"ssl_cert_reqs {config.ssl_cert_reqs!r} needs ssl_ca_certs: whose signature counts?",
        )
    if config.ssl_cert_reqs == "none" and config.ssl_ca_certs is not None:
        yield Complaint(
            "ssl_ca_certs",
            "ssl_ca_certs is about certificates of clients: ask for them, with "
            "ssl_cert_reqs 'required' or 'optional'",
        )
    if config.ssl_keyfile_password is not None and config.ssl_keyfile_password_file is not None:
        text = "ssl_keyfile_password and ssl_keyfile_password_file cannot both be given"
        yield Complaint("ssl_keyfile_password_file", text)


def _check_sni(config: Config) -> Iterator[Complaint]:
    for host, files in config.ssl_sni_certs.items():
        parts = files.split(",") if isinstance(files, str) else []
        if len(parts) not in (1, 2) or not all(part.strip() for part in parts):
            text = f"ssl_sni_certs {host!r} must be 'CERT,KEY', two files, not {files!r}"
            yield Complaint("ssl_sni_certs", text, str(host))
        elif not _HOST.fullmatch(host):
            text = f"ssl_sni_certs: {host!r} is not a name that clients ask for"
            yield Complaint("ssl_sni_certs", text, str(host))


def _check_http3(config: Config) -> Iterator[Complaint]:
    if not config.http3 or config.ssl_certfile is None:
        return
    if config.ssl_cert_reqs != "none":
        text = "http3 cannot ask clients for certificates, as ssl_cert_reqs demands: leave it out"
        yield Complaint("http3", text)
    if config.proxy_protocol:
        text = "http3 has no PROXY header, which proxy_protocol demands: leave it out"
        yield Complaint("http3", text)
    if find_spec("aioquic") is None:
        yield Complaint("http3", "http3 needs a package: pip install 'tidegate[http3]'")


_CHECKS: dict[str, Callable[[Config], Iterator[Complaint]]] = {
    "root_path": _check_root_path,
    "bind": lambda config: (Complaint(*each) for each in config.listening_complaints()),
    "workers": lambda config: (Complaint(*each) for each in config.process_complaints()),
    "env_file": lambda config: _check_file("env_file", config.env_file),
    "log_config": lambda config: _check_file("log_config", config.log_config),
    "metrics_bind": lambda config: (Complaint(*each) for each in config.observing_complaints()),
    "log_format": lambda config: (Complaint(*each) for each in config.logging_complaints()),
    "forwarded_allow_ips": _check_networks,
    "forwarded_headers": _check_forwarded,
    "headers": _check_headers,
    "mounts": _check_mounts,
    "ready_path": lambda config: (Complaint(*each) for each in config.shutdown_complaints()),
    "static": lambda config: (Complaint(*each) for each in config.static_complaints()),
    "ssl_certfile": _check_tls,
    "ssl_sni_certs": _check_sni,
    "http3": _check_http3,
    "http_redirect": lambda config: (Complaint(*each) for each in config.https_complaints()),
    "reload": _check_reload,
    "reload_dirs": _check_reload_dirs,
}
