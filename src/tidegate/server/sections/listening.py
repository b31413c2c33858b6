"""Where the server listens, and with how many processes."""

from __future__ import annotations

import dataclasses
from typing import Literal

from ..options import option

__all__ = ["ListeningSettings"]


# listen() takes a C int.
MAX_BACKLOG = 2**31 - 1


@dataclasses.dataclass(kw_only=True)
class ListeningSettings:
    """Addresses, sockets and processes."""

    host: str = option("127.0.0.1", "Address or name to listen on.", group="Listening")
    port: int = option(
        8000, "Port to listen on; 0 picks a free one.", group="Listening", least=0, most=65535
    )
    uds: str | None = option(
        None, "Listen on this Unix socket instead.", group="Listening", path=True
    )
    fd: int | None = option(
        None, "Listen on this inherited file descriptor instead.", group="Listening", least=0
    )
    backlog: int = option(
        2048,
        "Connections the kernel may hold for us.",
        group="Listening",
        least=0,
        most=MAX_BACKLOG,
    )
    workers: int = option(
        1,
        "Worker processes [also: WEB_CONCURRENCY].",
        group="Listening",
        env="WEB_CONCURRENCY",
        least=1,
    )
    loop: Literal["auto", "asyncio", "uvloop"] = option(
        "auto",
        "Event loop; auto is uvloop where it exists.",
        group="Listening",
        instead={"none": "asyncio", "zuvloop": "auto"},
    )
