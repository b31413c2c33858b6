"""How is each server started, and what does it speak?

One worker, no access log, the event loop that the server picks by itself (the
fast one where it has to be named), no limit on the requests of a connection,
and an idle time-out long enough for the ``idle`` row.  Limits on connections
are raised for the row that goes beyond them.  Everything else stays at its
default.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from .rows import Row

__all__ = ["BASELINES", "SERVERS", "Server"]

BASELINES = ("uvicorn", "fastapi")
"""What every figure is compared with, besides the best peer; one of them is in each row."""


HTTP1 = frozenset({"http1", "websocket"})
HTTP2 = HTTP1 | {"http2"}
"""Where it is on by default, on a connection without TLS."""
HTTP3 = frozenset({"http3"})

MANY = 12_000
"""Connections that a server must be told to take, if it takes fewer by itself."""


@dataclass(frozen=True)
class Server:
    """One server, as data."""

    name: str
    package: str
    """The distribution whose version the report names."""
    commands: Mapping[str, str]
    """Interface ("asgi", "wsgi") to command line, quoted as in a shell.  It may
    use ``{python}``, ``{target}``, ``{module}``, ``{attribute}`` and ``{port}``."""
    protocols: frozenset[str] = HTTP1
    extras: Mapping[str, str] = field(default_factory=dict)
    """Row to words that its command line needs besides; with ``{certificate}`` and ``{key}``."""
    environment: Mapping[str, str] = field(default_factory=dict)
    ours: bool = False
    """Tidegate: runs on the interpreter that runs the benchmark."""

    def serves(self, protocol: str, interface: str) -> bool:
        """Say whether a row of this protocol and interface can be measured."""
        return protocol in self.protocols and interface in self.commands

    def command(self, row: Row, words: Mapping[str, str]) -> list[str]:
        """Return the argument vector that serves a row.

        ``words`` are ``python`` and ``port``, and ``certificate`` and ``key``
        where the row is served with TLS.
        """
        module, _, attribute = row.app.partition(":")
        filling = {"target": row.app, "module": module, "attribute": attribute, **words}
        line = f"{self.commands[row.interface]} {self.extras.get(row.name, '')}"
        # Split before filling in: the path of an interpreter may hold a space.
        return [word.format(**filling) for word in shlex.split(line)]


TIDEGATE = {
    "asgi": "{python} -m tidegate run {target} --host 127.0.0.1 --port {port}"
    " --no-access-log --timeout-keep-alive 120",
    "wsgi": "{python} -m tidegate run {target} --host 127.0.0.1 --port {port}"
    " --threads 8 --no-access-log --timeout-keep-alive 120",
    "web": "{python} -m tidegate run web_tidegate:app --host 127.0.0.1 --port {port}"
    " --no-access-log --timeout-keep-alive 120",
}

TIDEGATE_EXTRAS = {"http3": "--http3 --ssl-certfile {certificate} --ssl-keyfile {key}"}

ON_UVICORN = (
    "{{python}} -m uvicorn web_{name}:app --host 127.0.0.1 --port {{port}}"
    " --no-access-log --timeout-keep-alive 120"
)

SERVERS: dict[str, Server] = {
    server.name: server
    for server in (
        Server("tidegate", "tidegate", TIDEGATE, HTTP2 | HTTP3, TIDEGATE_EXTRAS, ours=True),
        Server(
            "tidegate-pure",
            "tidegate",
            TIDEGATE,
            HTTP2 | HTTP3,
            TIDEGATE_EXTRAS,
            environment={"TIDEGATE_PURE": "1"},
            ours=True,
        ),
        Server(
            "uvicorn",
            "uvicorn",
            {
                "asgi": "{python} -m uvicorn {target} --host 127.0.0.1 --port {port}"
                " --no-access-log --timeout-keep-alive 120"
            },
        ),
        Server(
            "hypercorn",
            "hypercorn",
            protocols=HTTP2 | HTTP3,
            commands={
                "asgi": "{python} -m hypercorn {target} --bind 127.0.0.1:{port}"
                " --worker-class uvloop --keep-alive 120"
            },
            extras={
                "http3": "--quic-bind 127.0.0.1:{port} --certfile {certificate} --keyfile {key}"
            },
        ),
        Server(
            "daphne",
            "daphne",
            # Verbosity 0 is what turns its access log off.
            {"asgi": "{python} -m daphne -b 127.0.0.1 -p {port} -v 0 {target}"},
        ),
        Server(
            "granian",
            "granian",
            protocols=HTTP2,
            commands={
                "asgi": "{python} -m granian --interface asgi --host 127.0.0.1 --port {port}"
                " --no-access-log --http1-header-read-timeout 60000 {target}",
                "wsgi": "{python} -m granian --interface wsgi --host 127.0.0.1 --port {port}"
                " --blocking-threads 8 --no-access-log --http1-header-read-timeout 60000 {target}",
            },
            extras={"broadcast": f"--backpressure {MANY}"},
        ),
        Server(
            "gunicorn",
            "gunicorn",
            {
                "asgi": "{python} -m gunicorn --worker-class asgi --bind 127.0.0.1:{port}"
                " --keep-alive 120 {target}",
                "wsgi": "{python} -m gunicorn --worker-class gthread --threads 8"
                " --bind 127.0.0.1:{port} --keep-alive 120 {target}",
            },
            extras={"broadcast": f"--worker-connections {MANY}"},
        ),
        Server(
            "a2wsgi",
            "a2wsgi",
            # An adapter, here on uvicorn.
            protocols=frozenset({"http1"}),
            commands={
                "wsgi": "{python} -c 'import a2wsgi, uvicorn, {module};"
                " uvicorn.run(a2wsgi.WSGIMiddleware({module}.{attribute}, workers=8),"
                ' host="127.0.0.1", port={port}, access_log=False, timeout_keep_alive=120)\''
            },
        ),
        Server(
            "h2corn",
            "h2corn",
            protocols=HTTP2,
            commands={
                "asgi": "{python} -m h2corn --host 127.0.0.1 --port {port}"
                " --no-access-log --timeout-request-header 120 {target}"
            },
        ),
        Server(
            "m0serve",
            "m0serve",
            {
                "asgi": "{python} -m m0serve --host 127.0.0.1 --port {port}"
                " --max-keepalive-requests 0 --idle-timeout 120 {target}"
            },
        ),
        Server(
            "peregrine",
            "peregrine-server",
            {
                "asgi": "{python} -m peregrine --host 127.0.0.1 --port {port}"
                " --keep-alive 120000 {target}"
            },
            protocols=HTTP1 | HTTP3,
            extras={
                "http3": "--http3 --tls-cert {certificate} --tls-key {key}",
                "broadcast": f"--max-connections {MANY}",
            },
        ),
        Server(
            "freastal",
            "freastal",
            # It has no command line, and no WebSocket.
            protocols=frozenset({"http1"}),
            commands={
                "asgi": "{python} -c 'import freastal, {module};"
                ' freastal.serve_asgi({module}.{attribute}, "127.0.0.1", {port})\''
            },
        ),
        *(
            Server(name, name, {"web": ON_UVICORN.format(name=name)})
            for name in (
                *("fastapi", "starlette", "litestar", "blacksheep", "falcon", "quart", "django"),
            )
        ),
    )
}
