"""Where the server listens."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence
from typing import Literal

from ...errors import ConfigError
from ..accounts import gid_of, uid_of
from ..options import option

__all__ = ["ListeningSettings", "tcp_place"]

# listen() takes a C int.
MAX_BACKLOG = 2**31 - 1

_TCP = re.compile(r"(?:\[([^\]]+)\]|([^:\[\]]*))(?::([0-9]{1,5}))?")

_PORT = 8000


def tcp_place(place: str) -> tuple[str, int] | None:
    """Return host and port of ``HOST:PORT``, ``[IPV6]:PORT``, or one of both; None otherwise."""
    found = _TCP.fullmatch(place)
    if not place or found is None or int(found[3] or 0) > 65535:
        return None
    return found[1] or found[2] or "0.0.0.0", int(found[3] or _PORT)


@dataclasses.dataclass(kw_only=True)
class ListeningSettings:
    """Addresses and sockets."""

    host: str = option("127.0.0.1", "Address or name to listen on.", group="Listening")
    port: int = option(
        _PORT, "Port to listen on; 0 picks a free one.", group="Listening", least=0, most=65535
    )
    uds: str | None = option(
        None, "Listen on this Unix socket instead.", group="Listening", path=True
    )
    fd: int | None = option(
        None, "Listen on this inherited file descriptor instead.", group="Listening", least=0
    )
    bind: Sequence[str] = option(
        [],
        "Listen here instead: 'HOST:PORT', '[IPV6]:PORT', 'unix:PATH' or 'fd:N'; repeatable.",
        group="Listening",
    )
    uds_mode: str = option(
        "0666", "Who may connect to our Unix sockets: octal digits.", group="Listening"
    )
    uds_owner: str | None = option(
        None, "Whose our Unix sockets are: 'USER' or 'USER:GROUP'.", group="Listening"
    )
    reuse_port: bool = option(
        False, "A socket for each worker, balanced by the kernel.", group="Listening"
    )
    backlog: int = option(
        2048,
        "Connections the kernel may hold for us.",
        group="Listening",
        least=0,
        most=MAX_BACKLOG,
    )
    loop: Literal["auto", "asyncio", "uvloop"] = option(
        "auto",
        "Event loop; auto is uvloop where it exists.",
        group="Listening",
        instead={"none": "asyncio", "zuvloop": "auto"},
    )

    def places(self) -> list[str]:
        """Return where to listen, as ``bind`` has it."""
        if self.bind:
            return list(self.bind)
        if self.uds is not None:
            return [f"unix:{self.uds}"]
        if self.fd is not None:
            return [f"fd:{self.fd}"]
        host = f"[{self.host}]" if ":" in self.host else self.host
        return [f"{host}:{self.port}"]

    def socket_owner(self) -> tuple[int, int]:
        """Return whose our Unix sockets are to be, as numbers; -1 leaves it as it is.

        Raises ``ConfigError`` for somebody who does not exist.
        """
        user, _, group = (self.uds_owner or "").partition(":")
        return uid_of(user) if user else -1, gid_of(group) if group else -1

    def listening_complaints(self) -> Iterator[tuple[str, str]]:
        """Yield what is wrong with places and with who may connect."""
        for place in self.bind:
            known = re.fullmatch("unix:.+|fd:[0-9]+", place) or tcp_place(place)
            if not known:
                form = "'HOST:PORT', '[IPV6]:PORT', 'unix:PATH' or 'fd:N'"
                yield "bind", f"bind must be {form}, not {place!r}"
        if not re.fullmatch("0?[0-7]{3}", self.uds_mode):
            text = f"uds_mode must be octal digits such as '0660', not {self.uds_mode!r}"
            yield "uds_mode", text
        try:
            self.socket_owner()
        except ConfigError as error:
            yield "uds_owner", f"uds_owner: {error}"
