"""Where to listen: TCP, a Unix socket, or a descriptor somebody opened for us."""

from __future__ import annotations

import errno
import os
import socket
import stat
from pathlib import Path

from ..errors import ConfigError

__all__ = ["address_of", "beside", "inherited", "tcp", "udp", "unix"]


def tcp(host: str, port: int, backlog: int, reuse_port: bool = False) -> socket.socket:
    """Return a socket that listens on ``host`` (address or name) and ``port``.

    With ``reuse_port`` others may share that place (``beside``).  Raises
    ``ConfigError`` if that place is taken, not ours, or not allowed.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not a host name"
        raise ConfigError(f"host {host!r} cannot be resolved: {why}") from None
    family, kind, protocol, _, address = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        # A restart must not wait for old connections to time out.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(address)
        listener.listen(backlog)
    except OSError as error:
        listener.close()
        raise ConfigError(_why(error, f"{host}:{port}")) from None
    listener.setblocking(False)
    return listener


def beside(listener: socket.socket, backlog: int) -> socket.socket:
    """Return another socket at the place of one that was opened with ``reuse_port``.

    The kernel divides connections between the two.  A Unix socket cannot be
    shared so: it is returned itself.
    """
    if listener.family == socket.AF_UNIX:
        return listener.dup()
    host, port, *_ = listener.getsockname()
    return tcp(host, port, backlog, reuse_port=True)


def udp(listener: socket.socket, shared: bool = False) -> socket.socket:
    """Return a UDP socket at the place of a TCP listener.

    If it is ``shared``, others may open theirs there, and the kernel divides
    clients among them.  Raises ``ConfigError`` if the place is taken.
    """
    address = listener.getsockname()
    opened = socket.socket(listener.family, socket.SOCK_DGRAM)
    try:
        if shared:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if listener.family == socket.AF_INET6:
            only = listener.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)
        opened.bind(address)
    except OSError as error:
        opened.close()
        raise ConfigError(_why(error, f"{address[0]}:{address[1]} (UDP)")) from None
    opened.setblocking(False)
    return opened


def unix(path: str, backlog: int, mode: int = 0o666) -> socket.socket:
    """Return a Unix socket that listens at ``path``, by default for everybody (mode 0666).

    A socket left behind by a server that died is replaced; one that still
    answers, or another kind of file, is not: ``ConfigError``.
    """
    if Path(path).exists():
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            raise ConfigError(f"uds: {path!r} exists and is not a socket")
        if _answers(path):
            raise ConfigError(f"uds: another server listens on {path!r}")
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(path)
        # Before it listens: nobody can have connected yet.
        os.chmod(path, mode)
        listener.listen(backlog)
    except OSError as error:
        listener.close()
        raise ConfigError(_why(error, path)) from None
    listener.setblocking(False)
    return listener


def inherited(fd: int, backlog: int) -> socket.socket:
    """Return the listening socket behind descriptor ``fd``, which stays open without us."""
    copy = -1
    try:
        copy = os.dup(fd)
        listener = socket.socket(fileno=copy)
    except OSError as error:
        if copy >= 0:
            os.close(copy)
        raise ConfigError(f"fd {fd} is not a socket one can listen on: {error.strerror}") from None
    try:
        listener.listen(backlog)
    except OSError as error:
        listener.close()
        raise ConfigError(f"fd {fd} is not a socket one can listen on: {error.strerror}") from None
    listener.setblocking(False)
    return listener


def address_of(listener: socket.socket, scheme: str = "http") -> str:
    """Return the URL, or the path, that clients use."""
    name = listener.getsockname()
    if isinstance(name, tuple):
        host = f"[{name[0]}]" if ":" in name[0] else name[0]
        return f"{scheme}://{host}:{name[1]}"
    return f"unix:{name}"


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(path)
        except OSError:
            return False
    return True


def _why(error: OSError, place: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"cannot listen on {place}: the address is already in use"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"cannot listen on {place}: this machine does not have that address"
    if error.errno == errno.EACCES:
        return f"cannot listen on {place}: not allowed (ports below 1024 need a privilege)"
    return f"cannot listen on {place}: {error.strerror or error}"
