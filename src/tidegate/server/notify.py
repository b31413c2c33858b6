"""What a service manager is told: ready, reloading, stopping, still alive.

The protocol of sd_notify(3): datagrams to the Unix socket that the manager
names in ``NOTIFY_SOCKET``.  Without one, nothing happens.
"""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress

__all__ = ["notify", "reloading", "watchdog_seconds"]


def notify(*states: str) -> None:
    """Tell the service manager, such as ``READY=1`` and ``STATUS=4 workers``."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    # A leading @ means the abstract namespace, as a null byte does for the kernel.
    address = "\0" + path[1:] if path.startswith("@") else path
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.connect(address)
        line.sendall("\n".join(states).encode())


def reloading() -> None:
    """Tell that the configuration is read anew; ``READY=1`` says that this is over."""
    microseconds = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notify("RELOADING=1", f"MONOTONIC_USEC={microseconds}")


def watchdog_seconds() -> float | None:
    """Return how often the manager wants a sign of life, or None."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    # Half of it, so that one may come late.
    return int(microseconds) / 1e6 / 2 if microseconds.isdigit() and int(microseconds) else None
