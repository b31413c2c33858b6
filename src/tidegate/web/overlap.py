"""What does a document say of two handlers that it can only show as one?

OpenAPI does not know ``/{id:int}`` from ``/{id}`` or ``/{name}``, so a client may
meet either: what it may send is what one of them takes, what it may get is what
one of them answers.
"""

from __future__ import annotations

import re
from typing import Any

__all__ = ["Paths"]

_PARAMETER = re.compile(r"\{([^{}]*)\}")


class Paths:
    """The paths of a document with their operations."""

    def __init__(self) -> None:
        self.items: dict[str, dict[str, Any]] = {}
        self._shapes: dict[str, str] = {}  # paths without names, as they were first written

    def add(self, path: str, method: str, operation: dict[str, Any]) -> None:
        """Add an operation, to that which is there if there is one."""
        first = self._shapes.setdefault(_PARAMETER.sub("{}", path), path)
        operations = self.items.setdefault(first, {})
        operation = _renamed(operation, path, first)
        known = operations.get(method)
        operations[method] = operation if known is None else _either(known, operation)


def _renamed(operation: dict[str, Any], path: str, other: str) -> dict[str, Any]:
    """Return an operation with the names that the parameters of another path have."""
    if path == other:
        return operation
    names = dict(zip(_PARAMETER.findall(path), _PARAMETER.findall(other), strict=True))
    parameters = [
        {**one, "name": names[one["name"]]} if one["in"] == "path" else one
        for one in operation.get("parameters", [])
    ]
    return {**operation, "parameters": parameters}


def _either(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Return the operation that stands for two."""
    both = {**second, **first}
    if first["summary"] != second["summary"]:
        both["summary"] = f"{first['summary']} or {second['summary']}"
    parameters = _parameters(first.get("parameters", []), second.get("parameters", []))
    if parameters:
        both["parameters"] = parameters
    bodies = [one["requestBody"] for one in (first, second) if "requestBody" in one]
    if bodies:
        both["requestBody"] = {
            **bodies[0],
            "required": len(bodies) == 2 and all(one["required"] for one in bodies),
            "content": _contents(*(one["content"] for one in bodies)),
        }
    responses = dict(first["responses"])
    for status, response in second["responses"].items():
        known = responses.get(status)
        responses[status] = response if known is None else _response(known, response)
    both["responses"] = responses
    return both


def _parameters(first: list[Any], second: list[Any]) -> list[Any]:
    found = {(one["in"], one["name"]): one for one in first}
    for one in second:
        known = found.get((one["in"], one["name"]))
        if known is None:
            # The other handler does without it.
            found[one["in"], one["name"]] = {**one, "required": one["in"] == "path"}
            continue
        found[one["in"], one["name"]] = {
            **known,
            "required": known["required"] and one["required"],
            "schema": _schema(known["schema"], one["schema"]),
        }
    taken = {(one["in"], one["name"]) for one in second}
    return [
        one if key in taken else {**one, "required": key[0] == "path"} for key, one in found.items()
    ]


def _response(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    both = {**second, **first}
    if first["description"] != second["description"]:
        both["description"] = f"{first['description']} or {second['description']}"
    contents = _contents(first.get("content", {}), second.get("content", {}))
    if contents:
        both["content"] = contents
    return both


def _contents(*all_contents: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for contents in all_contents:
        for kind, content in contents.items():
            known = found.get(kind)
            if known is None:
                found[kind] = content
            elif "schema" in known and "schema" in content:
                found[kind] = {**known, "schema": _schema(known["schema"], content["schema"])}
            else:
                found[kind] = {}  # one of them may be anything
    return found


def _schema(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    if first == second:
        return first
    known = first["anyOf"] if first.keys() == {"anyOf"} else [first]
    return {"anyOf": known if second in known else [*known, second]}
