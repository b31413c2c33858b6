"""What will happen to a request?  The compiled plans, as text for people."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from ..errors import UsageError
from .annotations import place_of
from .inject import Node
from .plan import Plan
from .pools import Pool

__all__ = ["explain", "routes"]


def routes(app: Any) -> str:
    """Return a table of all routes: methods, path, where it runs, handler."""
    rows = []
    for plan in app.plans:
        route = plan.route
        methods = {"websocket": "WEBSOCKET"}.get(route.kind) or ",".join(sorted(route.methods))
        rows.append((methods, route.path, _where(plan), _name(route.handler)))
    for mount in app.collect_mounts():
        path = mount.path.rstrip("/") + "/..."
        rows.append(("MOUNT", path, "", type(mount.app).__qualname__))
    widths = [max((len(row[i]) for row in rows), default=0) for i in range(4)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
             for row in rows]  # fmt: skip
    return "\n".join(lines)


def explain(app: Any, method: str, path: str) -> str:
    """Return how a request would be served.  Raises ``UsageError`` if nothing serves it."""
    plan = find(app, method, path)
    return "\n".join(_lines(app, plan))


def find(app: Any, method: str, path: str) -> Plan:
    """Return the plan for a path, or for a template as it was written."""
    for plan in app.plans:
        kind = "WEBSOCKET" if plan.route.kind == "websocket" else ""
        if plan.route.path == path and (method in plan.route.methods or method == kind):
            found: Plan = plan
            return found
    target = app._routes.target(path, method)
    if isinstance(target, tuple):
        served: Plan = target[0].plan
        return served
    if target is not None:
        raise UsageError(f"{path} takes {target.allow}, not {method}")
    raise UsageError(f"nothing serves {method} {path}; 'tidegate routes' lists what there is")


def _lines(app: Any, plan: Plan) -> Iterator[str]:
    route = plan.route
    methods = ", ".join(sorted(route.methods)) or "WEBSOCKET"
    yield f"{methods} {route.path} -> {place_of(route.handler)}"
    layers = [*app.middleware, *route.middleware, *route.options.middleware]
    if layers:
        yield "middleware, outermost first: " + ", ".join(_name(layer) for layer in layers)
    step = 0
    for kind, nodes in plan.order:
        step += 1
        if kind == "content":
            names = " and ".join(repr(one.argument.name) for one in plan.content)
            limit = plan.route.options.max_body_size
            size = "" if limit is None else f", at most {limit} bytes"
            yield f"{step}. read the content for {names}{size}"
            continue
        place = "in one thread hop" if kind == "thread" else "on the event loop"
        yield f"{step}. {place}:"
        for node in nodes:
            yield from _node(node)
    yield f"{step + 1}. the handler, {_where(plan)}:"
    for node in [*plan.hopped, plan.node]:
        yield from _node(node)
    if plan.leases:
        yield "all thread hops of a request use the same thread"
    if plan.timeout is not None:
        yield f"504 after {plan.timeout:g} s"
    if plan.cancels:
        yield "cancelled when the client leaves"
    encoding = plan.encoding
    status = encoding.status or (204 if encoding.returns is None else 200)
    what = (
        _hint(encoding.returns) if encoding.item is None else f"a stream of {_hint(encoding.item)}"
    )
    yield f"answer: {status}, {what}"


def _node(node: Node) -> Iterator[str]:
    yields = ", closed afterwards" if node.is_generator else ""
    yield f"   {place_of(node.function)}{yields}"
    for one in node.parameters:
        need = "required" if one.argument.required else f"default {one.argument.default!r}"
        yield f"      {one.argument.name}: {_hint(one.hint)} from {one.source} {one.name!r}, {need}"
    for source in node.inputs:
        yield f"      given {_name(source.function)}"


def _where(plan: Plan) -> str:
    run = plan.route.options.run
    if plan.where == "loop":
        return "on the event loop"
    pool = f" of pool {run.name!r}" if isinstance(run, Pool) else ""
    return f"in a {plan.where}{pool}"


def _name(value: Any) -> str:
    return getattr(value, "__qualname__", None) or type(value).__qualname__


def _hint(hint: Any) -> str:
    return hint.__name__ if inspect.isclass(hint) else str(hint).replace("typing.", "")
