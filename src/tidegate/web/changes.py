"""Does a new OpenAPI document break clients of the old one?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = ["breaking_changes"]

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace", "query")


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
        self.seen: set[tuple[int, int, bool]] = set()

    def all(self) -> Iterator[str]:
        for path, item in self.old.get("paths", {}).items():
            there = self.new.get("paths", {}).get(path)
            if there is None:
                yield f"{path}: the path is gone"
                continue
            for method in _METHODS:
                if method in item:
                    where = f"{method.upper()} {path}"
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
            yield from self.schema(label, known.get("schema", {}), one.get("schema", {}), True)
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
                    label, media.get("schema", {}), there.get("schema", {}), True
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
                        label, media.get("schema", {}), other.get("schema", {}), False
                    )

    def schema(self, where: str, old: Any, new: Any, sent: bool) -> Iterator[str]:
        """Compare two schemas; ``sent`` if clients send it, else they receive it."""
        old, new = self._deref(self.old, old), self._deref(self.new, new)
        key = (id(old), id(new), sent)
        if key in self.seen:
            return
        self.seen.add(key)
        narrow, wide = (new, old) if sent else (old, new)
        if "type" in old and "type" in new:
            before, after = _types(old), _types(new)
            # Whoever reads must understand all that the writer may write.
            missing = before - after if sent else after - before
            if missing:
                yield f"{where}: was {_or(before)}, is {_or(after)}"
        yield from self._enums(where, old, new, sent)
        yield from self._bounds(where, narrow, wide, sent)
        required_before, required_now = set(old.get("required", ())), set(new.get("required", ()))
        properties = new.get("properties", {})
        for name in sorted(required_now - required_before) if sent else ():
            yield f"{where}: {name!r} has become required"
        for name, one in old.get("properties", {}).items():
            if name in properties:
                yield from self.schema(f"{where}.{name}", one, properties[name], sent)
            elif not sent:
                yield f"{where}: {name!r} is gone"
        for name in sorted(required_before - required_now) if not sent else ():
            if name in properties:
                yield f"{where}: {name!r} may now be missing"
        if isinstance(old.get("items"), dict) and isinstance(new.get("items"), dict):
            yield from self.schema(f"{where}[]", old["items"], new["items"], sent)

    def _enums(self, where: str, old: Any, new: Any, sent: bool) -> Iterator[str]:
        if "enum" in old and "enum" in new:
            before, after = set(map(str, old["enum"])), set(map(str, new["enum"]))
            lost = before - after if sent else after - before
            if lost:
                verb = "may no longer be" if sent else "may now be"
                yield f"{where}: {verb} {', '.join(sorted(lost))}"
        elif sent and "enum" in new and "enum" not in old:
            yield f"{where}: may now only be {', '.join(map(str, new['enum']))}"

    def _bounds(self, where: str, narrow: Any, wide: Any, sent: bool) -> Iterator[str]:
        if not sent:
            return
        for name, tighter in (("minimum", 1), ("minLength", 1), ("maximum", -1), ("maxLength", -1)):
            if name in narrow:
                before = wide.get(name)
                if before is None or (narrow[name] - before) * tighter > 0:
                    yield f"{where}: {name} is now {narrow[name]}"

    def _deref(self, document: Any, schema: Any) -> Any:
        for _ in range(10):
            if "$ref" not in schema:
                break
            found = document
            for part in schema["$ref"].removeprefix("#/").split("/"):
                found = found.get(part, {})
            schema = found
        return schema


def _types(schema: Any) -> set[str]:
    kinds = schema["type"]
    found = {kinds} if isinstance(kinds, str) else set(kinds)
    # Every integer is a number.
    return found | {"integer"} if "number" in found else found


def _or(kinds: set[str]) -> str:
    return " or ".join(sorted(kinds))
