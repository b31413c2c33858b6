"""Who is the client, and what did it ask for, when a proxy stands in between?

Only peers that the operator listed are believed, and only in the fields that
the operator named: in any other field a proxy may just pass on what a client
made up.  Everybody else's are just headers.
"""

from __future__ import annotations

import base64
import ipaddress
import re
import ssl
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from typing import Any

from ..http import is_host
from .certificate import subject
from .out import Address, Out

__all__ = ["BELIEVED", "FIELDS", "Proxies", "Told", "client_certificate"]

FIELDS = (
    *("x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port"),
    *("x-forwarded-prefix", "forwarded", "client-cert"),
)
"""What proxies may be believed in."""

BELIEVED = ("x-forwarded-for", "x-forwarded-proto")
"""What every proxy sets, and so no client can."""

_Headers = list[tuple[bytes, bytes]]
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_SCHEMES = {b"http": "http", b"https": "https", b"ws": "http", b"wss": "https"}
_USUAL_PORTS = {"http": 80, "https": 443}

# Segments of a path; two slashes at its start would name another host.
# Not with a slash in disguise: decoded, "/%2F" would begin a path like an authority.
_PREFIX = re.compile(rb"(?:/(?:[\w.~!$&'()*+,;=:@\-]|%(?!2[Ff])[0-9A-Fa-f]{2})+)+/?")

# RFC 7239 section 4; that a colon needs quotes is forgotten too often to insist.
_PAIR = re.compile(
    rb"[ \t]*([\w!#$%&'*+.^`|~\-]+)=(?:\"((?:[^\"\\]|\\.)*)\"|([^\s\",;=]+))[ \t]*(?:;|$)"
)
_QUOTED = re.compile(rb"\\(.)")

# Nobody has more proxies in a row; a client may write more.
_MAX_HOPS = 100

# RFC 8941 section 3.3.5.
_BINARY = re.compile(rb"[ \t]*:([A-Za-z0-9+/]*={0,2}):[ \t]*")


class Told:
    """What the scope of one request is to say, in place of what the connection says."""

    __slots__ = ("client", "headers", "prefix", "scheme", "tls")

    def __init__(self, headers: _Headers, scheme: str, out: Out) -> None:
        self.headers = headers
        self.scheme = scheme
        self.client = out.client
        self.tls = out.tls
        self.prefix = b""  # what the proxy took off the path, still percent-encoded


class Proxies:
    """The peers whose word is taken, and in which fields."""

    def __init__(
        self,
        trusted: Iterable[str] = ("127.0.0.1", "::1"),
        believed: Collection[str] = BELIEVED,
    ) -> None:
        """Take addresses, networks (CIDR), other literal names, or ``*`` for everybody.

        ``believed`` are some of ``FIELDS``.
        """
        self._everybody = False
        self._networks: list[_Network] = []
        self._names: set[str] = set()
        for text in trusted:
            self._add(text.strip())
        self._believed = {name.encode() for name in believed}
        # Whether the certificate of a connection may be that of a proxy.
        self.relays_certificates = b"client-cert" in self._believed
        if self.relays_certificates:
            self._believed.add(b"client-cert-chain")

    def _add(self, text: str) -> None:
        if text == "*":
            self._everybody = True
            return
        try:
            self._networks.append(ipaddress.ip_network(text))
        except ValueError:
            self._names.add(text)

    def trusts(self, host: str | None) -> bool:
        """Say whether a peer at ``host`` is believed; None is a Unix socket's peer."""
        if self._everybody:
            return True
        if host is None or host in self._names:
            # A Unix socket has no address to list; its file has permissions.
            return host is not None or "unix" in self._names
        address = _parsed(host)
        return address is not None and any(address in network for network in self._networks)

    def told(self, headers: _Headers, scheme: str, out: Out) -> Told:
        """Return what is true of a request with some of ``http.PROXY_FIELDS``."""
        told = Told(headers, scheme, out)
        if not out.trusted:
            if self.relays_certificates:
                # Applications that look for themselves must not find it.
                told.headers = _without_certificates(headers)
            return told
        found: dict[bytes, bytes] = {}
        for name, value in headers:
            if name in self._believed:
                found[name] = found[name] + b"," + value if name in found else value
        if b"forwarded" in found:
            # It says all of that, and each of its elements is of one proxy.
            self._hear_forwarded(told, found[b"forwarded"])
        else:
            self._hear(told, found)
        if b"x-forwarded-prefix" in found:
            told.prefix = _prefix(found[b"x-forwarded-prefix"])
        if self.relays_certificates:
            told.tls = _certificate(told, found)
        return told

    def _hear(self, told: Told, found: Mapping[bytes, bytes]) -> None:
        """Take over what the ``X-Forwarded`` fields say."""
        hops = found.get(b"x-forwarded-for", b"").rsplit(b",", _MAX_HOPS)
        for hop in reversed(hops):
            text = hop.strip().decode("latin-1")
            if text:
                told.client = _node(text)
                if not self._passes(text):
                    break
        # Of the others the last is the nearest proxy's own.
        proto = _last(found, b"x-forwarded-proto").lower()
        told.scheme = _SCHEMES.get(proto, told.scheme)
        host, port = _last(found, b"x-forwarded-host"), _last(found, b"x-forwarded-port")
        if host or port:
            _set_host(told, host, port)

    def _hear_forwarded(self, told: Told, value: bytes) -> None:
        """Take over what ``Forwarded`` says (RFC 7239)."""
        chain: list[dict[bytes, bytes]] = []
        for text in _elements(value):
            element = _element(text)
            if element is None:
                break
            chain.append(element)
            node = element.get(b"for", b"").decode("latin-1")
            if not node:
                break
            told.client = _node(node)
            if not self._passes(node):
                break
        # What the client saw was seen by the proxy that is nearest to it.
        for element in chain:
            scheme = element.get(b"proto", b"").lower()
            told.scheme = _SCHEMES.get(scheme, told.scheme)
        for element in reversed(chain):
            if b"host" in element:
                _set_host(told, element[b"host"], b"")
                break

    def _passes(self, text: str) -> bool:
        """Say whether a hop is a proxy of ours, which says the truth about the one before."""
        node = _node(text)
        return self.trusts(text if node is None else node[0])


@lru_cache(1024)
def _parsed(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    # A socket for both versions shows IPv4 in this form.
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _node(text: str) -> Address | None:
    """Read what a proxy wrote: ``1.2.3.4``, ``1.2.3.4:5``, ``::1`` or ``[::1]:5``.

    The port is 0 when it does not say.  None for ``unknown``, and for names
    that hide an address (RFC 7239 section 6).
    """
    host, port = text, ""
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        port = port.removeprefix(":")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    if _parsed(host) is None:
        return None
    return host, int(port) if port.isascii() and port.isdigit() and len(port) <= 5 else 0


def _last(found: Mapping[bytes, bytes], name: bytes) -> bytes:
    return found.get(name, b"").rpartition(b",")[2].strip()


def _set_host(told: Told, host: bytes, port: bytes) -> None:
    """Let the Host header say what the client has asked for."""
    present = next((value for name, value in told.headers if name == b"host"), b"")
    host = host or present
    if port.isdigit() and len(port) <= 5 and 0 < int(port) <= 0xFFFF:
        host = re.sub(rb":[0-9]*$", b"", host)
        if host and int(port) != _USUAL_PORTS.get(told.scheme):
            host = b"%b:%d" % (host, int(port))
    if host and is_host(host):
        others = [pair for pair in told.headers if pair[0] != b"host"]
        told.headers = [(b"host", host), *others]


def _prefix(value: bytes) -> bytes:
    prefix = value.rpartition(b",")[2].strip()
    return prefix.rstrip(b"/") if _PREFIX.fullmatch(prefix) else b""


def _elements(value: bytes) -> Iterable[bytes]:
    """Yield the elements of ``Forwarded`` from the last to the first.

    From the end, because a quotation mark that a client leaves open must not
    take in what a proxy has added.
    """
    pieces = value.rsplit(b",", _MAX_HOPS)
    while pieces:
        parts = [pieces.pop()]
        marks = parts[0].count(b'"')
        while marks % 2 and pieces:
            parts.append(pieces.pop())
            marks += parts[-1].count(b'"')
        element = b",".join(reversed(parts)).strip()
        if element:
            yield element


def _element(text: bytes) -> dict[bytes, bytes] | None:
    """Return the pairs of one element; None if it breaks the grammar."""
    pairs: dict[bytes, bytes] = {}
    at = 0
    while at < len(text):
        found = _PAIR.match(text, at)
        if found is None or found[1].lower() in pairs:
            return None
        quoted, plain = found[2], found[3]
        pairs[found[1].lower()] = plain if quoted is None else _QUOTED.sub(rb"\1", quoted)
        at = found.end()
    return pairs


def _certificate(told: Told, found: Mapping[bytes, bytes]) -> Mapping[str, Any] | None:
    """Return the TLS extension with the client's certificate (RFC 9440)."""
    try:
        leaf = _binary(found[b"client-cert"])
        name = subject(leaf)
        rest = found.get(b"client-cert-chain")
        chain = [leaf, *map(_binary, rest.split(b",") if rest else ())]
    except (KeyError, ValueError):
        # Who has shown nothing that can be read has shown nothing.
        return told.tls
    return {**(told.tls or TERMINATED), **client_certificate(chain, name)}


def _binary(item: bytes) -> bytes:
    found = _BINARY.fullmatch(item)
    if found is None:
        raise ValueError("not a byte sequence in colons")
    return base64.b64decode(found[1], validate=True)


def client_certificate(
    chain: Iterable[bytes], name: str = "", error: str | None = None
) -> dict[str, Any]:
    """Return the entries of the ASGI TLS extension about a client; ``chain`` in DER."""
    return {
        "client_cert_chain": tuple(map(ssl.DER_cert_to_PEM_cert, chain)),
        "client_cert_name": name or None,
        "client_cert_error": error,
    }


TERMINATED: Mapping[str, Any] = {
    "server_cert": None,
    **client_certificate(()),
    "tls_version": None,
    "cipher_suite": None,
}
"""The TLS extension where a proxy speaks TLS and does not say more."""


def _without_certificates(headers: _Headers) -> _Headers:
    return [pair for pair in headers if not pair[0].startswith(b"client-cert")]
