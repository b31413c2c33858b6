"""Which request calls a handler with these arguments?  The plan read backwards, for tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from ..errors import UsageError
from .annotations import place_of
from .plan import Plan
from .socket import SocketPlan
from .table import parse_template

__all__ = ["Asked", "request_for", "socket_types"]

Asked = tuple[str, str, dict[str, Any], dict[str, str], Any]
"""Method, path, query parameters, header fields, and JSON content or ``msgspec.UNSET``."""


def request_for(
    plans: list[Plan], handler: Callable[..., Any], arguments: Mapping[str, Any]
) -> Asked:
    """Return the request; arguments of dependencies count too.

    Raises ``UsageError`` for a function that is no handler, or an argument that
    does not come from a request.
    """
    plan = next((one for one in plans if one.route.handler is handler), None)
    if plan is None:
        raise UsageError(f"{place_of(handler)} is not a handler of this application")
    path: dict[str, Any] = {}
    query: dict[str, Any] = {}
    headers: dict[str, str] = {}
    content: Any = msgspec.UNSET
    known = {one.argument.name: one for one in plan.parameters}
    for name, value in arguments.items():
        one = known.get(name)
        if one is None:
            raise UsageError(f"{place_of(handler)} takes no {name!r} from the request")
        if one.source == "path":
            path[one.name] = _text(value)
        elif one.source == "query":
            given = msgspec.to_builtins(value)
            query.update(given if one.whole else {one.name: given})
        elif one.source == "header":
            headers[one.name] = _text(value)
        elif one.source == "body":
            content = value
        else:
            raise UsageError(f"{name!r} comes from a {one.source}; use post() and its like")
    method = min(plan.route.methods, default="GET")
    try:
        filled = parse_template(plan.route.path).fill(path)
    except KeyError as error:
        raise UsageError(f"{plan.route.path} needs {error.args[0]!r}") from None
    return method, filled, query, headers, content


def _text(value: Any) -> str:
    built = msgspec.to_builtins(value)
    return built if isinstance(built, str) else msgspec.json.encode(built).decode()


def socket_types(plan: Plan | None) -> tuple[Any, Any] | None:
    """Return what a socket takes and what it sends; None if there is none."""
    if isinstance(plan, SocketPlan):
        return plan.incoming.hint, plan.outgoing.hint
    return None
