"""The AsyncAPI 3.0 document of an application: its sockets and event streams."""

from __future__ import annotations

import inspect
import re
from typing import Any

from .plan import Plan
from .schemas import Schemas
from .socket import SocketPlan

__all__ = ["document"]

_CONVERTER = re.compile(r"\{([^{}:]*):[^{}]*\}")


def document(app: Any) -> dict[str, Any]:
    """Return the AsyncAPI document.  Raises ``ConfigError`` for a type that has no schema."""
    plans = [p for p in app.plans if p.route.kind != "http" and not p.route.options.hidden]
    schemas = Schemas()
    for plan in plans:
        for _, hint in _messages(plan):
            schemas.want(hint)
    schemas.make()
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    for plan in plans:
        name = plan.route.name
        while name in channels:
            name += "_"
        address = _CONVERTER.sub(r"{\1}", plan.route.path)
        channel: dict[str, Any] = {"address": address, "messages": {}}
        channel["title"] = (inspect.getdoc(plan.route.handler) or name).partition("\n\n")[0]
        names = re.findall(r"\{([^{}]*)\}", address)
        if names:
            channel["parameters"] = {one: {} for one in names}
        for action, hint in _messages(plan):
            word = "incoming" if action == "receive" else "outgoing"
            channel["messages"][word] = {"payload": schemas.of(hint)}
            operations[f"{name}_{action}"] = {
                "action": action,
                "channel": {"$ref": f"#/channels/{name}"},
                "messages": [{"$ref": f"#/channels/{name}/messages/{word}"}],
            }
        channels[name] = channel
    info = {"title": app.title or "API", "version": app.version}
    return {
        "asyncapi": "3.0.0",
        "info": info,
        "channels": channels,
        "operations": operations,
        "components": {"schemas": schemas.components},
    }


def _messages(plan: Plan) -> list[tuple[str, Any]]:
    """Return what the application receives and sends, with their types."""
    if isinstance(plan, SocketPlan):
        return [("receive", plan.incoming.hint), ("send", plan.outgoing.hint)]
    return [] if plan.encoding.item is None else [("send", plan.encoding.item)]
