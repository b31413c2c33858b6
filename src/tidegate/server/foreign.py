"""What do the options of other servers mean here?

One row says where an option of uvicorn, gunicorn or hypercorn goes: to an
option of ours, to nowhere with a note, or, if leaving it out would change what
the operator relies on, to a refusal that names what to write instead.  Options
that have the same name and meaning here need no row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from ..errors import ConfigError
from .config import Config
from .options import options_of
from .sections.listening import ListeningSettings

__all__ = ["GUNICORN", "HYPERCORN", "UVICORN", "Foreign"]

Converted = dict[str, Any]


class Foreign(NamedTuple):
    """One option of another server."""

    flags: tuple[str, ...]
    key: str  # in its configuration file, or as a keyword
    convert: Callable[[str], Converted] | None = None  # to fields of ours; None if there are none
    note: str = ""  # what to know
    refused: bool = False
    takes_value: bool = True

    def converted(self, value: Any) -> Converted:
        """Return the settings of ours that a value means.  Raises ``ConfigError``."""
        if self.convert is None:
            return {}
        try:
            return self.convert(_text(value))
        except ValueError as error:
            raise ConfigError(f"{self.key} {error}") from None


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return str(value)


def _names(names: str, key: str) -> tuple[tuple[str, ...], str]:
    flags = tuple(names.split())
    return flags, key or flags[-1].lstrip("-").replace("-", "_")


def _same(
    names: str, field: str, key: str = "", zero_is_none: bool = False, takes_value: bool = True
) -> Foreign:
    def convert(text: str) -> Converted:
        if zero_is_none and text == "0":
            return {}
        option = options_of(Config)[field]
        return {field: option.parse(option.meta.get("instead", {}).get(text, text))}

    return Foreign(*_names(names, key), convert, takes_value=takes_value)


def _turned(
    names: str, convert: Callable[[str], Converted], key: str = "", note: str = ""
) -> Foreign:
    return Foreign(*_names(names, key), convert, note)


def _ignored(names: str, note: str, key: str = "", takes_value: bool = True) -> Foreign:
    return Foreign(*_names(names, key), None, note, takes_value=takes_value)


def _refused(names: str, note: str, key: str = "", takes_value: bool = True) -> Foreign:
    return Foreign(*_names(names, key), None, note, refused=True, takes_value=takes_value)


def _bind(text: str) -> Converted:
    """Read ``HOST:PORT``, ``HOST``, ``:PORT``, ``unix:PATH`` or ``fd://NUMBER``, or several."""
    if "," in text:
        return {"bind": [place for each in text.split(",") for place in _place(_bind(each))]}
    if text.startswith("unix:"):
        return {"uds": text.removeprefix("unix:").removeprefix("//")}
    host, colon, port = text.removeprefix("tcp://").rpartition(":")
    if text.startswith("fd:"):
        return {"fd": options_of(Config)["fd"].parse(port.removeprefix("//"))}
    if not colon or port.endswith("]"):
        return {"host": text.strip("[]")}
    host = host.strip("[]") or "0.0.0.0"
    return {"host": host, "port": options_of(Config)["port"].parse(port)}


def _place(settings: Converted) -> list[str]:
    """Return one place as our own ``bind`` has it."""
    return ListeningSettings(**settings).places()


def _healthcheck(text: str) -> Converted:
    # Zero switches it off in both.
    return {"timeout_worker_healthcheck": float(text)}


def _access_file(text: str) -> Converted:
    """Read where to log requests; nowhere, if it is not said."""
    if text in ("None", ""):
        return {"access_log": False}
    return {"access_log": True, "access_logfile": text}


def _folder(text: str) -> Converted:
    if "," in text:
        raise ConfigError("one folder becomes app_dir; for several, set PYTHONPATH")
    return {"app_dir": text}


def _tls_version(text: str) -> Converted:
    """Accept what the ``ssl`` module calls a protocol, if it includes what is spoken here."""
    if text.removeprefix("PROTOCOL_") not in _SPOKEN:
        raise ValueError(f"{text!r} is not spoken: TLS 1.2 and 1.3 are")
    return {}


def _not_here(note: str, *names: str) -> Iterable[Foreign]:
    return [_ignored(name, note) for name in names]


_OWN_PARSER = "there is one implementation, Tidegate's own"
_HOW_CALLED = "Tidegate looks at the application itself (see --interface)"
_PEOPLE = (
    _same("-u --user", "user"),
    _same("-g --group", "group"),
    _same("-m --umask", "umask"),
)
_STATSD = "there is no statsd output"
# Numbers and names of PROTOCOL_... in the ssl module that include TLS 1.2.
_SPOKEN = ("2", "5", "16", "17", "SSLv23", "TLS", "TLS_SERVER", "TLSv1_2")
_VERSIONS = "TLS 1.2 and 1.3 are spoken, nothing older"

UVICORN = (
    _ignored("--http", _OWN_PARSER),
    _turned("--ssl-version", _tls_version, note=_VERSIONS),
)
"""uvicorn's, save those that have the same name here."""

GUNICORN = (
    _turned("-b --bind", _bind),
    _same("-w --workers", "workers"),
    _same("--backlog", "backlog"),
    _same("--threads", "threads"),
    _ignored("-k --worker-class", _HOW_CALLED),
    _ignored("--worker-connections", "--limit-concurrency bounds the requests at once"),
    _turned(
        "-t --timeout",
        _healthcheck,
        note="a worker whose loop is blocked so long is replaced; WSGI threads may take longer",
    ),
    _same("--graceful-timeout", "timeout_graceful_shutdown"),
    _same("--keep-alive", "timeout_keep_alive", "keepalive"),
    _same("--max-requests", "limit_max_requests", zero_is_none=True),
    _same("--max-requests-jitter", "limit_max_requests_jitter"),
    _same("--limit-request-line", "max_target_size", zero_is_none=True),
    _same("--limit-request-fields", "max_fields"),
    _ignored(
        "--limit-request-field_size",
        "--max-head-size bounds all fields",
        "limit_request_field_size",
    ),
    _turned("--chdir", _folder, note="modules are looked for there; the current folder stays"),
    _turned("--pythonpath", _folder),
    _turned("--access-logfile", _access_file, "accesslog"),
    _same("--error-logfile --log-file", "error_logfile", "errorlog"),
    _same("--access-logformat", "access_log_format", "access_log_format"),
    _same("--log-level", "log_level", "loglevel"),
    _same("--log-config", "log_config", "logconfig"),
    _same("--log-config-json", "log_config", "logconfig_json"),
    _same("--forwarded-allow-ips", "forwarded_allow_ips"),
    _same("--root-path", "root_path"),
    _same("--preload", "preload", "preload_app", takes_value=False),
    _same("--reuse-port", "reuse_port", takes_value=False),
    _same("--reload", "reload", takes_value=False),
    _same("--reload-extra-file", "reload_includes", "reload_extra_files"),
    _ignored("--reload-engine", "watchfiles tells which files change"),
    _ignored("--worker-tmp-dir", "workers need no temporary files"),
    _ignored("-n --name", "processes keep their names", "proc_name"),
    _ignored("--capture-output", "output stays where it goes", takes_value=False),
    _ignored("--no-sendfile", "there is no such switch", "sendfile", takes_value=False),
    *_not_here(_STATSD, "--statsd-host", "--statsd-prefix"),
    _same("-p --pid", "pid", "pidfile"),
    *_PEOPLE,
    _refused("-D --daemon", "run it under a service manager", takes_value=False),
    _refused("-e --env", "set it in the environment, or use --env-file", "raw_env"),
    Foreign(
        *_names("--proxy-protocol", ""),
        lambda text: {"proxy_protocol": text.lower() not in ("off", "false")},
        "every connection must begin with the header, from a peer in forwarded_allow_ips",
        takes_value=False,
    ),
    _same("--certfile", "ssl_certfile"),
    _same("--keyfile", "ssl_keyfile"),
    _same("--ca-certs", "ssl_ca_certs"),
    _same("--ciphers", "ssl_ciphers"),
    _same("--cert-reqs", "ssl_cert_reqs"),
    _turned("--ssl-version", _tls_version, note=_VERSIONS),
)
"""gunicorn's."""

HYPERCORN = (
    _turned("-b --bind", _bind),
    _same("-w --workers", "workers"),
    _same("--backlog", "backlog"),
    _ignored("-k --worker-class", 'write loop = "asyncio" or "uvloop" to choose'),
    _same("--graceful-timeout", "timeout_graceful_shutdown"),
    _same("--keep-alive", "timeout_keep_alive", "keep_alive_timeout"),
    _same("--read-timeout", "timeout_body"),
    _same("--max-requests", "limit_max_requests", zero_is_none=True),
    _same("--max-requests-jitter", "limit_max_requests_jitter"),
    _same("--root-path", "root_path"),
    _same("--websocket-ping-interval", "ws_ping_interval"),
    _same("--websocket-max-message-size", "ws_max_size"),
    _same("--h11-max-incomplete-size", "max_head_size"),
    _same("--include-date-header", "date_header"),
    _same("--include-server-header", "server_header"),
    _same("--startup-timeout", "timeout_lifespan_startup"),
    _same("--shutdown-timeout", "timeout_lifespan_shutdown"),
    _turned("--access-log --access-logfile", _access_file, "accesslog"),
    _same("--error-log --error-logfile --log-file", "error_logfile", "errorlog"),
    _same("--access-logformat", "access_log_format", "access_log_format"),
    _same("--log-level", "log_level", "loglevel"),
    _same("--log-config", "log_config", "logconfig"),
    _same("--reload", "reload", "use_reloader", takes_value=False),
    _ignored("--debug", "use log_level", takes_value=False),
    _ignored("--server-name", "a proxy in front can choose by name", "server_names"),
    *_not_here(_STATSD, "--statsd-host", "--statsd-prefix"),
    _same("-p --pid", "pid", "pid_path"),
    *_PEOPLE,
    *(
        _refused(name, "a server listens on one place")
        for name in ("--insecure-bind", "--quic-bind")
    ),
    _same("--certfile", "ssl_certfile"),
    _same("--keyfile", "ssl_keyfile"),
    _same("--keyfile-password", "ssl_keyfile_password"),
    _same("--ca-certs", "ssl_ca_certs"),
    _same("--ciphers", "ssl_ciphers"),
    _same("--verify-mode", "ssl_cert_reqs"),
    _same("--ssl-handshake-timeout", "timeout_tls_handshake"),
    _refused("--verify-flags", "revocation lists are not read"),
    _ignored("--alpn-protocols", "offered is what is spoken: h2 and http/1.1"),
)
"""hypercorn's; some can only stand in its configuration file."""
