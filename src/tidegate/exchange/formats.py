"""How is the end of a request written as one line of text?

A format is compiled once, at the start, to a function.  Whatever came from
outside is escaped, so that no request can forge a line or a field of one.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import time
from collections.abc import Callable
from difflib import get_close_matches
from functools import lru_cache

from ..errors import ConfigError
from .ended import Ended

__all__ = ["FORMATS", "Line", "compile_line", "escaped"]

Line = Callable[[Ended], str]

_COMMON = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s'

_ATOM = re.compile(r"%(?:%|\((?:\{(?P<name>[^{}]+)\}(?P<of>[ioe])|(?P<atom>\w+))\)s)")

# What could end a field or a line, or speak to a terminal.
_ESCAPES = {n: f"\\x{n:02x}" for n in range(256) if not 32 <= n <= 126 or n in b'"\\'}

_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def escaped(value: bytes | None) -> str:
    """Return bytes of others as printable ASCII without quotes; ``-`` for nothing."""
    return value.decode("latin-1").translate(_ESCAPES) if value else "-"


def compile_line(text: str) -> Line:
    """Return the function that writes lines in a format.

    ``text`` is one of ``FORMATS``, or text with atoms such as ``%(h)s``.
    Raises ``ConfigError`` for an atom or a name that there is not.
    """
    if text == "json":
        return _json
    text = FORMATS.get(text, text)
    if "%" not in text:
        near = get_close_matches(text, FORMATS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        what = f"one of {', '.join(FORMATS)}, or text with atoms like %(h)s"
        raise ConfigError(f"must be {what}, not {text!r}{hint}")
    template = ""
    getters: list[Line] = []
    end = 0
    for found in _ATOM.finditer(text):
        template += _literal(text[end : found.start()])
        end = found.end()
        if found[0] == "%%":
            template += "%%"
        else:
            template += "%s"
            getters.append(_getter(found))
    template += _literal(text[end:])
    return lambda ended: template % tuple([get(ended) for get in getters])


def _literal(text: str) -> str:
    if "%" in text:
        wrong = text[text.index("%") :][:20]
        raise ConfigError(f"{wrong!r} is not an atom: write %(h)s, %({{referer}}i)s, or %% for %")
    if not text.isprintable():
        raise ConfigError(f"{text!r} holds a control character, which would break up lines")
    return text


def _getter(found: re.Match[str]) -> Line:
    atom = found["atom"]
    if atom is not None:
        if atom not in _ATOMS:
            near = get_close_matches(atom, _ATOMS, n=1)
            hint = f"did you mean %({near[0]})s?" if near else f"there are {', '.join(_ATOMS)}"
            raise ConfigError(f"{found[0]!r} is not an atom; {hint}")
        return _ATOMS[atom]
    name = found["name"]
    if found["of"] == "e":
        return _variable(name)
    key = name.lower().encode("latin-1", "replace")
    if found["of"] == "i":
        return lambda ended: escaped(ended.header(key))
    return lambda ended: escaped(ended.sent(key))


def _variable(name: str) -> Line:
    """Return what a variable of the WSGI environment would hold."""
    upper = name.upper()
    if upper.startswith("HTTP_"):
        key = upper.removeprefix("HTTP_").replace("_", "-").lower().encode("latin-1", "replace")
        return lambda ended: escaped(ended.header(key))
    if upper in _VARIABLES:
        return _VARIABLES[upper]
    known = ", ".join(_VARIABLES)
    raise ConfigError(f"%({{{name}}}e)s: of the environment there are HTTP_... and {known}")


def _client_host(ended: Ended) -> str:
    client = ended.client
    return "-" if client is None else escaped(client[0].encode("latin-1", "replace"))


def _client_port(ended: Ended) -> str:
    client = ended.client
    return "-" if client is None or client[1] is None else str(client[1])


def _user(ended: Ended) -> str:
    """The name that the client gave with Basic authentication; whether it is true is unknown."""
    scheme, _, credentials = (ended.header(b"authorization") or b"").partition(b" ")
    if scheme.lower() != b"basic":
        return "-"
    try:
        return escaped(base64.b64decode(credentials).partition(b":")[0])
    except binascii.Error:
        return "-"


def _target(ended: Ended) -> str:
    # Visible ASCII already; a quote would end the field.
    return ended.target.replace("\\", "\\x5c").replace('"', "\\x22")


def _request_line(ended: Ended) -> str:
    return f"{ended.method} {_target(ended)} HTTP/{ended.version}"


def _time(_ended: Ended) -> str:
    return _local_time(int(time.time()))


@lru_cache(maxsize=1)
def _local_time(seconds: int) -> str:
    """``[22/Nov/2026:17:36:06 +0000]``; not strftime, which follows the locale."""
    now = time.localtime(seconds)
    sign, minutes = "-" if now.tm_gmtoff < 0 else "+", abs(now.tm_gmtoff) // 60
    date = f"{now.tm_mday:02}/{_MONTHS[now.tm_mon - 1]}/{now.tm_year}"
    clock = f"{now.tm_hour:02}:{now.tm_min:02}:{now.tm_sec:02}"
    return f"[{date}:{clock} {sign}{minutes // 60:02}{minutes % 60:02}]"


@lru_cache(maxsize=1)
def _utc(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def _json(ended: Ended) -> str:
    now = time.time()
    entry: dict[str, object] = {
        "time": f"{_utc(int(now))}.{int(now % 1 * 1000):03}Z",
        "client": None if ended.client is None else ended.client[0],
        "method": ended.method,
        "target": ended.target,
        "version": ended.version,
        "status": ended.status,
        "bytes": ended.size,
        "seconds": round(ended.seconds, 6),
    }
    for key, header in ((b"referer", "referer"), (b"user-agent", "user_agent")):
        value = ended.header(key)
        if value is not None:
            entry[header] = value.decode("latin-1")
    if ended.code is not None:
        entry["close_code"] = ended.code
    if ended.request_id != "-":
        entry["request_id"] = ended.request_id
    if ended.trace_id != "-":
        entry["trace_id"] = ended.trace_id
    # ASCII only: nothing in it can speak to a terminal.
    return json.dumps(entry)


_ATOMS: dict[str, Line] = {
    "h": _client_host,
    "l": lambda ended: "-",
    "u": _user,
    "t": _time,
    "r": _request_line,
    "m": lambda ended: ended.method,
    "U": lambda ended: _target(ended).partition("?")[0],
    "q": lambda ended: _target(ended).partition("?")[2],
    "H": lambda ended: f"HTTP/{ended.version}",
    "s": lambda ended: str(ended.status),
    "B": lambda ended: str(ended.size),
    "b": lambda ended: str(ended.size) if ended.size else "-",
    "f": lambda ended: escaped(ended.header(b"referer")),
    "a": lambda ended: escaped(ended.header(b"user-agent")),
    "T": lambda ended: str(int(ended.seconds)),
    "M": lambda ended: str(int(ended.seconds * 1000)),
    "D": lambda ended: str(int(ended.seconds * 1_000_000)),
    "L": lambda ended: f"{ended.seconds:.6f}",
    "p": lambda ended: f"<{os.getpid()}>",
    "request_id": lambda ended: ended.request_id,
    "trace_id": lambda ended: ended.trace_id,
}

_VARIABLES: dict[str, Line] = {
    "REQUEST_METHOD": _ATOMS["m"],
    "RAW_URI": _target,
    "QUERY_STRING": _ATOMS["q"],
    "SERVER_PROTOCOL": _ATOMS["H"],
    "REMOTE_ADDR": _client_host,
    "REMOTE_PORT": _client_port,
    "CONTENT_TYPE": lambda ended: escaped(ended.header(b"content-type")),
    "CONTENT_LENGTH": lambda ended: escaped(ended.header(b"content-length")),
}

FORMATS = {
    "tidegate": '%(h)s %(l)s "%(r)s" %(s)s %(M)sms %(B)sB',
    "common": _COMMON,
    "combined": _COMMON + ' "%(f)s" "%(a)s"',
    "json": "",
}
"""The formats that have a name; ``tidegate`` is what ``AccessLog`` writes without one."""
