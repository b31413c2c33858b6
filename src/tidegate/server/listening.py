"""Which sockets does the server listen on?  They are opened once, by whoever starts the rest.

A place is written ``HOST:PORT``, ``[IPV6]:PORT``, ``unix:PATH`` or ``fd:N``.
Sockets may come from outside instead: from a service manager
(sd_listen_fds(3)), or from the server that this one replaces.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Sequence
from contextlib import suppress

from .._version import __version__
from ..errors import ConfigError
from ..net import sockets
from . import redirect
from .config import Config
from .sections.listening import tcp_place

__all__ = ["Listeners", "address_of", "announce", "datagrams", "listen", "remove"]

logger = logging.getLogger("tidegate.error")

# Where the server that is replaced puts its sockets: "PLACE=FD" lines.
HANDED_ON = "TIDEGATE_LISTENERS"

# Marks the place that redirects to HTTPS.
_REDIRECT = "redirect "

# The first descriptor that a service manager passes on.
_FIRST = 3


class Listeners:
    """The sockets of a server, by place; ``open`` them, and ``close`` them at the end.

    With ``reuse_port`` every slot of a worker has its own; otherwise all share.
    They stay open here while workers come and go, so that nobody is refused.
    """

    def __init__(self) -> None:
        self._shared: dict[str, socket.socket] = {}
        self._slots: dict[int, list[socket.socket]] = {}
        self._given = _given()

    def open(self, config: Config) -> None:
        """Open what is not open yet, and close what is no longer wanted.

        Nothing changes if it raises ``ConfigError``.
        """
        wanted = _wanted(config, self._given)
        fresh: dict[str, socket.socket] = {}
        try:
            for place in wanted:
                if place not in self._shared:
                    given = self._given.get(place)
                    fresh[place] = _open(config, place) if given is None else given
        except ConfigError:
            for listener in fresh.values():
                listener.close()
            raise
        for place in set(self._shared) - set(wanted):
            self._shared.pop(place).close()
        self._shared = {place: (self._shared | fresh)[place] for place in wanted}

    def of_slot(self, config: Config, slot: int) -> list[socket.socket]:
        """Return the sockets for the worker in a slot."""
        if not config.reuse_port or slot == 0:
            return self.all()
        shared = self._shared.items()
        if slot not in self._slots:
            own = [each for place, each in shared if not place.startswith(_REDIRECT)]
            self._slots[slot] = [sockets.beside(each, config.backlog) for each in own]
        clear = [each for place, each in shared if place.startswith(_REDIRECT)]
        return [*self._slots[slot], *clear]

    def drop(self, slot: int) -> None:
        """Close the sockets of a slot that nobody serves any more."""
        for each in self._slots.pop(slot, ()):
            each.close()

    def all(self) -> list[socket.socket]:
        """Return each place once; what redirects to HTTPS comes last."""
        return list(self._shared.values())

    def handed_on(self) -> tuple[dict[str, str], list[int]]:
        """Return what tells a new server of our sockets: variables, and descriptors to pass."""
        lines = [f"{place}={each.fileno()}" for place, each in self._shared.items()]
        return {HANDED_ON: "\n".join(lines)}, [each.fileno() for each in self._shared.values()]

    def close(self) -> None:
        """Close them all."""
        for slot in list(self._slots):
            self.drop(slot)
        for each in self._shared.values():
            each.close()


def listen(config: Config) -> list[socket.socket]:
    """Open what the configuration says to listen on.  Raises ``ConfigError``."""
    listeners = Listeners()
    listeners.open(config)
    return listeners.all()


def datagrams(
    config: Config, listeners: Sequence[socket.socket], shared: bool = False
) -> list[socket.socket]:
    """Open UDP sockets beside the listeners of the application, if HTTP/3 is spoken.

    With ``shared`` other processes may have theirs in the same place.  Raises
    ``ConfigError`` if it is taken, or if all the listeners are Unix sockets.
    """
    if not config.http3:
        return []
    own = redirect.apart(config, listeners)[0]
    places = [each for each in own if each.family != socket.AF_UNIX]
    if not places:
        raise ConfigError("http3 needs an address and a port, and there are only Unix sockets")
    opened: list[socket.socket] = []
    try:
        for each in places:
            opened.append(sockets.udp(each, shared))
    except ConfigError:
        for one in opened:
            one.close()
        raise
    return opened


def remove(config: Config) -> None:
    """Delete the Unix sockets; the server has stopped."""
    for place in config.places():
        if place.startswith("unix:"):
            with suppress(FileNotFoundError):
                os.unlink(place.removeprefix("unix:"))


def announce(listeners: Sequence[socket.socket], config: Config) -> None:
    """Log where we listen; scripts wait for this line."""
    listeners, clear = redirect.apart(config, listeners)
    for one in clear:
        logger.info("Redirecting to HTTPS from %s", sockets.address_of(one))
    for listener in listeners:
        logger.info(
            "Tidegate %s running on %s (press Ctrl+C to stop)",
            __version__,
            address_of(listener, config),
        )


def address_of(listener: socket.socket, config: Config) -> str:
    """Return the URL of one of our listeners."""
    return sockets.address_of(listener, "http" if config.ssl_certfile is None else "https")


def _wanted(config: Config, given: dict[str, socket.socket]) -> list[str]:
    """Return where to listen, and last where to redirect."""
    clear = config.redirect_address(config.host)
    more = [] if clear is None else [f"{_REDIRECT}{clear[0]}:{clear[1]}"]
    # A service manager names no places: what it gives is what we listen on.
    activated = [place for place in given if place.startswith("fd:")]
    return [*(config.bind or activated or config.places()), *more]


def _open(config: Config, place: str) -> socket.socket:
    if place.startswith(_REDIRECT):
        (listener,) = redirect.listen(config)
        return listener
    kind, _, rest = place.partition(":")
    if kind == "unix":
        listener = sockets.unix(rest, config.backlog, int(config.uds_mode, 8))
        try:
            os.chown(rest, *config.socket_owner())
        except OSError as error:
            listener.close()
            raise ConfigError(f"uds_owner {config.uds_owner!r}: {error.strerror}") from None
        return listener
    if kind == "fd":
        return sockets.inherited(int(rest), config.backlog)
    # A configuration was checked: it is of this form.
    host, port = tcp_place(place) or ("", 0)
    return sockets.tcp(host, port, config.backlog, config.reuse_port)


def _given() -> dict[str, socket.socket]:
    """Return the sockets that were opened for us, by place, and take them over."""
    handed = os.environ.pop(HANDED_ON, "")
    if handed:
        pairs = [line.rpartition("=") for line in handed.split("\n")]
        return {place: _adopted(int(fd)) for place, _, fd in pairs}
    mine = os.environ.get("LISTEN_PID") == str(os.getpid())
    count = os.environ.get("LISTEN_FDS", "") if mine else ""
    if not count.isdigit():
        return {}
    del os.environ["LISTEN_PID"], os.environ["LISTEN_FDS"]  # not for our children
    return {f"fd:{fd}": _adopted(fd) for fd in range(_FIRST, _FIRST + int(count))}


def _adopted(fd: int) -> socket.socket:
    try:
        listener = socket.socket(fileno=fd)
    except OSError as error:
        raise ConfigError(f"descriptor {fd}, passed on to us: {error.strerror}") from None
    os.set_inheritable(fd, False)
    listener.setblocking(False)
    return listener
