"""Does a new OpenAPI document break clients of the old one?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

__all__ = ["breaking_changes"]

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace", "x-query")

_BOUNDS = {
    **dict.fromkeys(("minimum", "exclusiveMinimum", "minLength", "minItems"), 1),
    **dict.fromkeys(("maximum", "exclusiveMaximum", "maxLength", "maxItems"), -1),
}
_TYPES: dict[Any, str] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    type(None): "null",
    dict: "object",
    list: "array",
}
_ANYTHING: dict[str, Any] = {}


def breaking_changes(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Return what a client of ``old`` may fail on, one line each; [] if there is nothing.

    What requests may carry must not become less, and what responses promise
    must not become less either.
    """
    return list(_Comparison(old, new).all())


class _Comparison:
    def __init__(self, old: dict[str, Any], new: dict[str, Any]) -> None:
        self.old = old
        self.new = new
        # By the identities of two schemas of the documents, which live as long as we do.
        self.seen: set[tuple[int, int, bool]] = set()
        self.known: dict[tuple[int, int, bool], bool] = {}

    def all(self) -> Iterator[str]:
        for path, item in self.old.get("paths", {}).items():
            there = self.new.get("paths", {}).get(path)
            if there is None:
                yield f"{path}: the path is gone"
                continue
            for method in _METHODS:
                if method in item:
                    where = f"{method.removeprefix('x-').upper()} {path}"
                    if method not in there:
                        yield f"{where}: the method is gone"
                    else:
                        yield from self.operation(where, item[method], there[method])

    def operation(self, where: str, old: Any, new: Any) -> Iterator[str]:
        before = {(one["in"], one["name"]): one for one in old.get("parameters", ())}
        after = {(one["in"], one["name"]): one for one in new.get("parameters", ())}
        for key, one in after.items():
            label = f"{where}: {key[0]} parameter {key[1]!r}"
            known = before.get(key)
            if known is None:
                if one.get("required"):
                    yield f"{label} is new and required"
                continue
            if one.get("required") and not known.get("required"):
                yield f"{label} has become required"
            yield from self.schema(
                label, known.get("schema", _ANYTHING), one.get("schema", _ANYTHING), True
            )
        for key in before.keys() - after.keys():
            yield f"{where}: {key[0]} parameter {key[1]!r} is gone"
        yield from self.content(where, old.get("requestBody"), new.get("requestBody"))
        yield from self.responses(where, old.get("responses", {}), new.get("responses", {}))

    def content(self, where: str, old: Any, new: Any) -> Iterator[str]:
        if new is None:
            return
        if new.get("required") and not (old or {}).get("required"):
            yield f"{where}: content has become required"
        if old is None:
            return
        for kind, media in old.get("content", {}).items():
            there = new.get("content", {}).get(kind)
            if there is None:
                yield f"{where}: content may no longer be {kind}"
            else:
                label = f"{where}: content"
                yield from self.schema(
                    label, media.get("schema", _ANYTHING), there.get("schema", _ANYTHING), True
                )

    def responses(self, where: str, old: Any, new: Any) -> Iterator[str]:
        for status, response in old.items():
            there = new.get(status)
            if not status.startswith("2"):
                continue
            if there is None:
                yield f"{where}: it no longer answers {status}"
                continue
            for kind, media in response.get("content", {}).items():
                other = there.get("content", {}).get(kind)
                label = f"{where}: answer {status}"
                if other is None:
                    yield f"{label} is no longer {kind}"
                else:
                    yield from self.schema(
                        label, media.get("schema", _ANYTHING), other.get("schema", _ANYTHING), False
                    )

    def schema(self, where: str, old: Any, new: Any, sent: bool) -> Iterator[str]:
        """Compare two schemas; ``sent`` if clients send it, else they receive it."""
        before, after = self._members(self.old, old), self._members(self.new, new)
        if len(before) == len(after) == 1:
            yield from self._one(where, before[0], after[0], sent)
            return
        # Whoever reads must understand all that the writer may write.
        for one in before if sent else after:
            pairs = [(one, other) for other in after] if sent else [(o, one) for o in before]
            if not any(self._fits(*pair, sent) for pair in pairs):
                verb = "may no longer be" if sent else "may now be"
                yield f"{where}: {verb} {_or(_types(one))}"

    def _members(self, document: Any, schema: Any) -> list[Any]:
        """Return the alternatives of a schema; often that is itself."""
        schema = self._deref(document, schema)
        inner = schema.get("anyOf") or schema.get("oneOf")
        if not inner:
            return [schema]
        return [member for one in inner for member in self._members(document, one)]

    def _fits(self, old: Any, new: Any, sent: bool) -> bool:
        key = (id(old), id(new), sent)
        if key not in self.known:
            self.known[key] = True  # in a circle, as long as nothing is said against it
            self.known[key] = not any(self._differences("", old, new, sent))
        return self.known[key]

    def _one(self, where: str, old: Any, new: Any, sent: bool) -> Iterator[str]:
        key = (id(old), id(new), sent)
        if key not in self.seen:
            self.seen.add(key)
            yield from self._differences(where, old, new, sent)

    def _differences(self, where: str, old: Any, new: Any, sent: bool) -> Iterator[str]:
        before, after = _types(old), _types(new)
        written, understood = (before, after) if sent else (after, before)
        if written - understood:
            yield f"{where}: was {_or(before)}, is {_or(after)}"
            return
        yield from self._enums(where, old, new, sent)
        if sent:
            yield from _bounds(where, old, new)
        yield from self._properties(where, old, new, sent)
        for name, suffix in (("items", "[]"), ("additionalProperties", ".*")):
            if isinstance(old.get(name), dict) and isinstance(new.get(name), dict):
                yield from self.schema(f"{where}{suffix}", old[name], new[name], sent)
        for at, pair in enumerate(
            zip(old.get("prefixItems", ()), new.get("prefixItems", ()), strict=False)
        ):
            yield from self.schema(f"{where}[{at}]", *pair, sent)

    def _properties(self, where: str, old: Any, new: Any, sent: bool) -> Iterator[str]:
        required_before, required_now = set(old.get("required", ())), set(new.get("required", ()))
        properties = new.get("properties", {})
        for name in sorted(required_now - required_before) if sent else ():
            yield f"{where}: {name!r} has become required"
        for name, one in old.get("properties", {}).items():
            if name in properties:
                yield from self.schema(f"{where}.{name}", one, properties[name], sent)
            elif not sent or new.get("additionalProperties") is False:
                yield f"{where}: {name!r} is gone"
        for name in sorted(required_before - required_now) if not sent else ():
            if name in properties:
                yield f"{where}: {name!r} may now be missing"

    def _enums(self, where: str, old: Any, new: Any, sent: bool) -> Iterator[str]:
        before, after = _values(old), _values(new)
        if before is not None and after is not None:
            lost = before - after if sent else after - before
            if lost:
                verb = "may no longer be" if sent else "may now be"
                yield f"{where}: {verb} {', '.join(sorted(lost))}"
        elif sent and after is not None:
            yield f"{where}: may now only be {', '.join(sorted(after))}"
        elif not sent and before is not None:
            yield f"{where}: may now be other than {', '.join(sorted(before))}"

    def _deref(self, document: Any, schema: Any) -> Any:
        for _ in range(10):
            if "$ref" not in schema:
                break
            found = document
            for part in schema["$ref"].removeprefix("#/").split("/"):
                found = found.get(part, {})
            schema = found
        return schema


def _bounds(where: str, old: Any, new: Any) -> Iterator[str]:
    for name, tighter in _BOUNDS.items():
        if name in new:
            before = old.get(name)
            if before is None or (new[name] - before) * tighter > 0:
                yield f"{where}: {name} is now {new[name]}"
    for name in ("pattern", "format", "multipleOf"):
        if name in new and new[name] != old.get(name):
            yield f"{where}: {name} is now {new[name]}"


def _values(schema: Any) -> set[str] | None:
    """Return what a value may be, as JSON; None if that is not listed."""
    listed = [schema["const"]] if "const" in schema else schema.get("enum")
    return None if listed is None else {json.dumps(one) for one in listed}


def _types(schema: Any) -> set[str]:
    listed = _values(schema)
    kinds = schema.get("type")
    if kinds is None:
        if listed is None:
            return set(_TYPES.values())
        return {_TYPES[type(json.loads(one))] for one in listed}
    found = {kinds} if isinstance(kinds, str) else set(kinds)
    # Every integer is a number.
    return found | {"integer"} if "number" in found else found


def _or(kinds: set[str]) -> str:
    return "anything" if kinds == set(_TYPES.values()) else " or ".join(sorted(kinds))
