"""Which endpoint is at this path?  As quick for three thousand routes as for four.

A dictionary of whole paths comes first; paths with parameters are found in a
trie of segments.  A literal segment is preferred to a parameter, a parameter
with a type to one without, and any of them to the rest of a path; what turns
out to lead nowhere is tried again with the next best.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Generic, TypeAlias, TypeVar

from ..errors import ConfigError

__all__ = ["CONVERTERS", "Table", "Template", "parse_template"]

T = TypeVar("T")

CONVERTERS: dict[str, str] = {
    "str": r"[^/]+",
    "int": r"-?[0-9]+",
    "float": r"-?[0-9]+(?:\.[0-9]+)?",
    "uuid": r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}",
    "path": r".*",
}
"""Types of ``{name:type}`` and what a segment must look like; ``path`` takes the rest."""

_PARAMETER = re.compile(r"\{([^{}:]*)(?::([^{}]*))?\}")

Match: TypeAlias = Callable[[str], "re.Match[str] | None"]


class Template:
    """A path template taken apart: ``/items/{id:int}.json``."""

    __slots__ = ("names", "rest", "segments", "text")

    def __init__(self, text: str, segments: list[tuple[str, str]], rest: bool) -> None:
        self.text = text
        self.segments = segments  # ("", literal), or (pattern, "") with groups
        self.names = [name for name, _ in _PARAMETER.findall(text)]
        self.rest = rest  # whether the last parameter takes what is left of the path

    @property
    def is_static(self) -> bool:
        """Whether it has no parameters."""
        return not self.names

    def fill(self, params: dict[str, Any]) -> str:
        """Return the path with these parameters, percent-encoded.  Raises ``KeyError``."""
        from_names = {name: params[name] for name in self.names}
        return _PARAMETER.sub(lambda found: _quoted(found, from_names[found[1]]), self.text)


def _quoted(found: re.Match[str], value: Any) -> str:
    text = str(value)
    if not re.fullmatch(CONVERTERS[found[2] or "str"], text):
        raise ValueError(f"{text!r} cannot be {found[0]}")
    safe = _SAFE + "/" if found[2] == "path" else _SAFE
    return "".join(c if c in safe else "".join(f"%{b:02X}" for b in c.encode()) for c in text)


_SAFE = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;=:@"


def parse_template(text: str) -> Template:
    """Take a path template apart.  Raises ``ConfigError`` that says what is wrong with it."""
    if not text.startswith("/"):
        raise ConfigError(f"a path begins with '/', {text!r} does not")
    names = [name for name, _ in _PARAMETER.findall(text)]
    for name in names:
        if not name.isidentifier():
            raise ConfigError(f"{text!r}: {name!r} cannot be the name of a parameter")
        if names.count(name) > 1:
            raise ConfigError(f"{text!r} names {name!r} twice")
    segments = []
    parts = text.split("/")[1:]
    rest = False
    for index, part in enumerate(parts):
        if rest:
            raise ConfigError(f"{text!r}: nothing can follow a parameter of type path")
        pattern, rest = _pattern(text, part)
        if rest and index != len(parts) - 1:
            raise ConfigError(f"{text!r}: nothing can follow a parameter of type path")
        segments.append((pattern, part if not pattern else ""))
    return Template(text, segments, rest)


def _pattern(text: str, part: str) -> tuple[str, bool]:
    """Return the pattern of one segment, "" for a literal; and whether it takes the rest."""
    pattern = ""
    end = 0
    rest = False
    for found in _PARAMETER.finditer(part):
        kind = found[2] or "str"
        if kind not in CONVERTERS:
            known = ", ".join(CONVERTERS)
            raise ConfigError(f"{text!r}: there is no type {kind!r}; there are {known}")
        rest = rest or kind == "path"
        pattern += re.escape(part[end : found.start()]) + f"({CONVERTERS[kind]})"
        end = found.end()
    literal = part[end:]
    if "{" in _PARAMETER.sub("", part) or "}" in _PARAMETER.sub("", part):
        raise ConfigError(f"{text!r}: a brace is not closed")
    if rest and (literal or not pattern.startswith("(")):
        raise ConfigError(f"{text!r}: a parameter of type path stands alone in its segment")
    return (pattern + re.escape(literal) if pattern else ""), rest


class _Node(Generic[T]):
    __slots__ = ("any", "forks", "leaf", "literals", "mount", "patterns", "rest")

    def __init__(self) -> None:
        self.literals: dict[str, _Node[T]] = {}
        self.patterns: list[tuple[str, Match, _Node[T]]] = []  # from the strictest
        self.any: _Node[T] | None = None
        self.forks = False  # a segment may lead on in more than one way
        self.leaf: T | None = None
        self.rest: T | None = None  # takes whatever follows
        self.mount: T | None = None  # takes whatever follows, or nothing


class Table(Generic[T]):
    """Paths to endpoints; ``make`` makes the endpoint of a new path."""

    def __init__(self, make: Callable[[], T]) -> None:
        self.make = make
        self.static: dict[str, T] = {}
        self._root: _Node[T] = _Node()
        self._has_mounts = False

    def at(self, template: Template) -> T:
        """Return the endpoint of a template, a new one if there was none."""
        if template.is_static:
            return self.static.setdefault(template.text, self.make())
        node = self._root
        for pattern, literal in template.segments[: -1 if template.rest else None]:
            node = _child(node, pattern, literal)
        if template.rest:
            node.rest = node.rest if node.rest is not None else self.make()
            node.forks = True
            return node.rest
        node.leaf = node.leaf if node.leaf is not None else self.make()
        return node.leaf

    def mount(self, template: Template) -> T:
        """Return the endpoint of everything at and below a template."""
        self._has_mounts = True
        node = self._root
        if template.text != "/":
            for pattern, literal in template.segments:
                node = _child(node, pattern, literal)
        node.mount = node.mount if node.mount is not None else self.make()
        return node.mount

    def find(self, path: str) -> tuple[T, list[str]] | None:
        """Return the endpoint at a path and the values of its parameters."""
        found = self.static.get(path)
        if found is not None:
            return found, []
        return self.find_dynamic(path)

    def find_dynamic(self, path: str) -> tuple[T, list[str]] | None:
        """Return the endpoint at a path among those with parameters."""
        values: list[str] = []
        leaf = _walk(self._root, path.split("/"), 1, values)
        return None if leaf is None else (leaf, values)

    def find_mount(self, path: str) -> tuple[T, list[str], str] | None:
        """Return the longest mount over a path, its parameters, and its part of the path."""
        if not self._has_mounts:
            return None
        segments = path.split("/")
        best = _deepest(self._root, segments, 1, [])
        if best is None:
            return None
        leaf, depth, values = best
        return leaf, values, "/".join(segments[:depth])


def _child(node: _Node[T], pattern: str, literal: str) -> _Node[T]:
    child = _own_child(node, pattern, literal)
    node.forks = bool(node.patterns or node.rest is not None or (node.literals and node.any))
    return child


def _own_child(node: _Node[T], pattern: str, literal: str) -> _Node[T]:
    if not pattern:
        return node.literals.setdefault(literal, _Node())
    if pattern == f"({CONVERTERS['str']})":
        if node.any is None:
            node.any = _Node()
        return node.any
    for known, _, child in node.patterns:
        if known == pattern:
            return child
    child = _Node()
    node.patterns.append((pattern, re.compile(pattern).fullmatch, child))
    # What says more comes first: 'v{n:int}' before '{a}-{b}'.
    node.patterns.sort(key=lambda one: (CONVERTERS["str"] in one[0], -len(one[0])))
    return child


def _walk(node: _Node[T], segments: list[str], at: int, values: list[str]) -> T | None:
    while at < len(segments) and not node.forks:
        segment = segments[at]
        way = node.literals.get(segment)
        if way is None:
            way = node.any
            if way is None or not segment:
                return None
            values.append(segment)
        node = way
        at += 1
    if at == len(segments):
        return node.leaf
    segment = segments[at]
    child = node.literals.get(segment)
    if child is not None:
        found = _walk(child, segments, at + 1, values)
        if found is not None:
            return found
    if segment:
        size = len(values)
        for _, match, child in node.patterns:
            groups = match(segment)
            if groups:
                values += groups.groups()
                found = _walk(child, segments, at + 1, values)
                if found is not None:
                    return found
                del values[size:]
        if node.any is not None:
            values.append(segment)
            found = _walk(node.any, segments, at + 1, values)
            if found is not None:
                return found
            del values[size:]
    if node.rest is not None:
        values.append("/".join(segments[at:]))
    return node.rest


def _deepest(
    node: _Node[T], segments: list[str], at: int, values: list[str]
) -> tuple[T, int, list[str]] | None:
    best: tuple[T, int, list[str]] | None = None
    if at < len(segments):
        segment = segments[at]
        children: list[tuple[_Node[T], list[str]]] = []
        if segment in node.literals:
            children.append((node.literals[segment], []))
        for _, match, one in node.patterns:
            groups = match(segment)
            if groups:
                children.append((one, list(groups.groups())))
        if node.any is not None and segment:
            children.append((node.any, [segment]))
        for inner, more in children:
            best = best or _deepest(inner, segments, at + 1, [*values, *more])
    if best is None and node.mount is not None:
        best = (node.mount, at, values)
    return best
