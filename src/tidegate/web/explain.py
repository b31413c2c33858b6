"""What is wrong with a value?  All of it, asked only when a decoder has refused it.

Decoders stop at the first error because that is quick.  A person who fills a
form wants all of them, so the refused value is decoded once more without types
and compared with them place by place.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any
from urllib.parse import quote

import msgspec

from .kinds import alternatives

__all__ = ["MAX_ERRORS", "Fault", "faults_in", "from_model", "pointer"]

# Enough for any form; a list of a million wrong items must not make a long answer.
MAX_ERRORS = 50

Fault = tuple[tuple[str | int, ...], str]
"""Where in the value, and what is wrong there."""

_AT = re.compile(r" - at `(?:key in )?\$?(.*)`$", re.DOTALL)
_STEPS = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")
# Messages that repeat what was sent.
_ECHO = re.compile(r"^(Invalid (?:enum )?value) .*$", re.DOTALL)


def pointer(steps: Sequence[str | int]) -> str:
    """Return a JSON Pointer as URI fragment (RFC 6901 section 6)."""
    escaped = (str(step).replace("~", "~0").replace("/", "~1") for step in steps)
    return "#" + "".join("/" + quote(step, safe="~") for step in escaped)


def faults_in(value: Any, hint: Any, strict: bool, dec_hook: Any = None) -> list[Fault]:
    """Return all that keeps ``value`` from being a ``hint``, at most ``MAX_ERRORS``."""
    return list(islice(_Walk(strict, dec_hook).faults((), value, hint), MAX_ERRORS))


def from_model(error: Any) -> list[Fault]:
    """Return the faults that a pydantic ``ValidationError`` lists."""
    listed = error.errors(include_url=False, include_context=False, include_input=False)
    return [(tuple(item["loc"]), item["msg"]) for item in listed[:MAX_ERRORS]]


class _Walk:
    def __init__(self, strict: bool, dec_hook: Any) -> None:
        self.strict = strict
        self.dec_hook = dec_hook

    def faults(self, at: tuple[str | int, ...], value: Any, hint: Any) -> Iterator[Fault]:
        inner = list(islice(self._inside(at, value, hint), MAX_ERRORS))
        if inner:
            yield from inner
            return
        try:
            msgspec.convert(value, hint, strict=self.strict, dec_hook=self.dec_hook)
        except msgspec.ValidationError as error:
            yield _fault(at, str(error))

    def _inside(self, at: tuple[str | int, ...], value: Any, hint: Any) -> Iterator[Fault]:
        """Yield what is wrong with the parts of a value; nothing if it has none."""
        choices = [one for one in alternatives(hint) if one is not type(None)]
        if len(choices) != 1 or value is None:
            return  # which of them was meant is anybody's guess
        (one,) = choices
        origin, args = typing.get_origin(one), typing.get_args(one)
        if isinstance(value, list) and origin in (list, set, frozenset) and args:
            for index, item in enumerate(value):
                yield from self.faults((*at, index), item, args[0])
        elif isinstance(value, dict):
            if origin is dict:
                for key, item in value.items():
                    yield from self.faults((*at, key), item, args[1])
            else:
                yield from self._fields(at, value, one)

    def _fields(self, at: tuple[str | int, ...], value: Any, structure: Any) -> Iterator[Fault]:
        try:
            info = msgspec.inspect.type_info(structure)
            fields = getattr(info, "fields", ())
            hints = typing.get_type_hints(structure, include_extras=True) if fields else {}
        except (TypeError, NameError):
            return
        known = set()
        for field in fields:
            known.add(field.encode_name)
            if field.encode_name in value:
                hint = hints.get(field.name, Any)
                if not isinstance(hint, typing.TypeVar):
                    yield from self.faults((*at, field.encode_name), value[field.encode_name], hint)
            elif field.required:
                yield (*at, field.encode_name), "This field is required"
        tag = getattr(info, "tag_field", None)
        if getattr(info, "forbid_unknown_fields", False):
            for name in value:
                if name not in known and name != tag:
                    yield (*at, name), "There is no such field"


def _fault(at: tuple[str | int, ...], message: str) -> Fault:
    found = _AT.search(message)
    if found:
        message = message[: found.start()]
        steps = [name or index for name, index in _STEPS.findall(found[1])]
        at = (*at, *(int(s) if s.isdigit() else s for s in steps if s != "..."))
    message = _ECHO.sub(r"\1", message)
    return at, message.replace("`", "'")
