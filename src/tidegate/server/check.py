"""Would the server start?  Imports the targets and says what they are.

Nothing is served and no startup event is sent; only whether the application
would take one is found out, by offering it a lifespan without any event.
"""

from __future__ import annotations

import asyncio
import os
import time
import traceback
from collections.abc import Awaitable

from ..asgi import Application, Message
from ..bridge.wsgi.asgi import Wsgi
from ..errors import ConfigError
from .checks import mount_target
from .config import Config
from .target import load
from .tls import certificates

__all__ = ["Findings", "check", "takes_lifespan"]

# Until the first receive() an application has nothing to wait for.
_PROBE_SECONDS = 5.0


class Findings:
    """What was found out: ``facts`` for people, and ``complaints``."""

    def __init__(self) -> None:
        self.facts: list[str] = []
        self.complaints: list[str] = []


def check(config: Config) -> Findings:
    """Import every target of a configuration and say what it is."""
    findings = Findings()
    if config.app:
        _check_target(findings, str(config.app), config.app, config.interface, config)
    for prefix, text in config.mounts.items():
        kind, target = mount_target(text)
        interface = {"asgi": "asgi3"}.get(kind, kind)
        _check_target(findings, f"{prefix} = {text}", target, interface, config)
    for prefix, folder in config.static.items():
        if os.path.isdir(folder):
            findings.facts.append(f"{prefix} = {folder}: files")
        else:
            findings.complaints.append(f"static {prefix!r}: there is no folder {folder!r}")
    try:
        shown = certificates(config)
    except ConfigError as error:
        findings.complaints.append(str(error))
    else:
        for name, expires in (shown.expiries() if shown is not None else {}).items():
            date = time.strftime("%Y-%m-%d", time.gmtime(expires))
            findings.facts.append(f"{name}: a certificate, until {date}")
    return findings


def _check_target(
    findings: Findings, name: str, target: object, interface: str, config: Config
) -> None:
    factory = config.factory and target == config.app
    try:
        application = load(target, factory=factory, interface=interface, app_dir=config.app_dir)
    except ConfigError as error:
        findings.complaints.append(f"{name}: {error}")
        return
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{frame.filename}, line {frame.lineno}"
        findings.complaints.append(f"{name} cannot be loaded: {error!r} ({where})")
        return
    findings.facts.append(f"{name}: {_described(application, config)}")


def _described(application: Application, config: Config) -> str:
    if isinstance(application, Wsgi):
        return "a WSGI application"
    if config.lifespan == "off":
        return "an ASGI application, lifespan events are off"
    takes = asyncio.run(takes_lifespan(application))
    words = {True: "takes", False: "does not take", None: "may take"}[takes]
    return f"an ASGI application, {words} lifespan events"


async def takes_lifespan(application: Application) -> bool | None:
    """Say whether an application waits for lifespan events; None if it does neither in time."""
    asked = asyncio.Event()

    async def receive() -> Message:
        asked.set()
        await asyncio.Event().wait()  # until cancelled: there never is an event
        raise RuntimeError("unreachable")

    async def send(message: Message) -> None:
        raise ConfigError(f"nothing was asked, and {message['type']!r} is no answer")

    scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
    called = asyncio.ensure_future(_awaited(application(scope, receive, send)))
    asking = asyncio.ensure_future(asked.wait())
    await asyncio.wait(
        [called, asking], timeout=_PROBE_SECONDS, return_when=asyncio.FIRST_COMPLETED
    )
    answer = True if asked.is_set() else False if called.done() else None
    for task in (called, asking):
        task.cancel()
    await asyncio.gather(called, asking, return_exceptions=True)
    return answer


async def _awaited(call: Awaitable[None]) -> None:
    await call
